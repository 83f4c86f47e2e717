/** Approves what nodes' own HTTPS servers show, so that logs and shells of pods can be had of nodes that joined by themselves. */
import { type CertificateSigningRequest, readCertificateRequest } from "#api";
import { recognizedServing } from "../certificate-signing-request/reconcile.ts";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { draft, nameOf, type Seen } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { whyNot } from "./reconcile.ts";

type Csr = Seen<CertificateSigningRequest>;
const requests = "certificates.k8s.io/v1/certificatesigningrequests";
const contentOf = ({ spec }: Csr) => readCertificateRequest(Buffer.from(spec.request, "base64").toString());

export const kubeletServingApprover: Controller = defineController({
  name: "kubelet-serving-approver",
  account: "serving-approver",
  create({ client, informers, log, options }) {
    const { serviceCidrs = [] } = options;
    const informer = informers.of(requests);
    const nodes = informers.of("v1/nodes");
    const isWanted = (csr: Csr) => recognizedServing(csr, contentOf);
    return [
      {
        watches: (queue) => [
          onEvery(informer, (csr) => isWanted(csr) && queue.add(nameOf(csr))),
          // A node that comes to tell of its addresses.
          watch(nodes, {
            updated(node, old) {
              if (JSON.stringify(node.status?.addresses) === JSON.stringify(old.status?.addresses)) return;
              for (const csr of informer.list())
                if (csr.spec.username === `system:node:${nameOf(node)}` && isWanted(csr)) queue.add(nameOf(csr));
            },
          }),
        ],
        async reconcile(key) {
          const csr = informer.get(key);
          if (!csr || !isWanted(csr)) return;
          const problem = whyNot(csr, contentOf(csr), { nodes: nodes.list(), serviceCidrs });
          if (problem !== undefined)
            return log.warn("a node's request for a serving certificate is left to administrators", {
              request: key,
              why: problem,
            });
          const next = draft<CertificateSigningRequest>(csr);
          const message = "Auto approving kubelet serving certificate for addresses of the node.";
          const approved = { type: "Approved", status: "True", reason: "AutoApproved", message };
          next.status = { ...next.status, conditions: [...(next.status?.conditions ?? []), approved] };
          await unlessGone(client.resource(requests).updateSubresource(key, "approval", next));
        },
      },
    ];
  },
});
