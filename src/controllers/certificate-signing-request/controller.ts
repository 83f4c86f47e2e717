/** The three controllers of certificate requests: kubelets' own are approved, what is approved is signed, and what is over is removed. */
import { type CertificateSigningRequest, readCertificateRequest, type SubjectAccessReview } from "#api";
import { formatTime } from "#machinery";
import {
  type Controller,
  type ControllerContext,
  defineController,
  type Loop,
  onEvery,
  watch,
} from "../lib/controller.ts";
import { draft, nameOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone, unlessOther } from "../lib/unless-gone.ts";
import { isDecided, isToSign, recognize, removalTime, requestProblem, validity } from "./reconcile.ts";

type Csr = Seen<CertificateSigningRequest>;

const account = "certificate-controller";
const requests = "certificates.k8s.io/v1/certificatesigningrequests";
/** The file inside of the request. */
const contentOf = ({ spec }: Csr) => readCertificateRequest(Buffer.from(spec.request, "base64").toString());

/** By name of the request. */
function requestLoop(
  context: ControllerContext,
  isWanted: (csr: Csr) => boolean,
  handle: (csr: Csr) => Promise<unknown>,
): Loop {
  const informer = context.informers.of(requests);
  return {
    watches: (queue) => [onEvery(informer, (csr) => isWanted(csr) && queue.add(nameOf(csr)))],
    async reconcile(key, queue) {
      const csr = informer.get(key);
      if (csr && isWanted(csr) && (await handle(csr)) === "retry") queue.addRateLimited(key);
    },
  };
}

export const requestSigningController: Controller = defineController({
  name: "certificatesigningrequest-signing-controller",
  account,
  create(context) {
    const { client, clock, options } = context;
    const { signers } = options;
    if (!signers || signers.size === 0) return [];
    const sign = async (csr: Csr) => {
      const { signerName, usages = [], expirationSeconds } = csr.spec;
      const signer = signers.get(signerName);
      if (!signer) return;
      const content = contentOf(csr);
      const problem = requestProblem(signerName, content, usages);
      const next = draft<CertificateSigningRequest>(csr);
      next.status ??= {};
      if (problem === undefined) {
        const terms = { usages, ...validity(expirationSeconds, signer, clock.now()) };
        next.status.certificate = Buffer.from(signer.sign(content, terms)).toString("base64");
      } else {
        const lastUpdateTime = formatTime(clock.now());
        const failed = { type: "Failed", status: "True", reason: "SignerValidationFailure", lastUpdateTime };
        next.status.conditions = [...(next.status.conditions ?? []), { ...failed, message: problem }];
      }
      await unlessGone(client.resource(requests).updateStatus(next));
    };
    return [requestLoop(context, isToSign, sign)];
  },
});

export const requestApprovingController: Controller = defineController({
  name: "certificatesigningrequest-approving-controller",
  account,
  create(context) {
    const { client } = context;
    const isAllowed = async ({ spec }: Csr, subresource: string): Promise<boolean> => {
      const { username: user, uid, groups, extra } = draft<CertificateSigningRequest["spec"]>(spec);
      const [group, resource] = ["certificates.k8s.io", "certificatesigningrequests"];
      const review: SubjectAccessReview = {
        metadata: {},
        spec: {
          ...{ user, uid, groups, extra },
          resourceAttributes: { group, version: "*", resource, subresource, verb: "create" },
        },
      };
      const answer = await client.resource("authorization.k8s.io/v1/subjectaccessreviews").create(review);
      return answer.status?.allowed === true;
    };
    const approve = async (csr: Csr) => {
      const recognized = recognize(csr, contentOf(csr));
      for (const { subresource, message } of recognized) {
        if (!(await isAllowed(csr, subresource))) continue;
        const next = draft<CertificateSigningRequest>(csr);
        next.status = { ...next.status };
        const approved = { type: "Approved", status: "True", reason: "AutoApproved", message };
        next.status.conditions = [...(next.status.conditions ?? []), approved];
        await unlessGone(client.resource(requests).updateSubresource(nameOf(csr), "approval", next));
        return;
      }
      // Who asks may be allowed to later; that is no fault of ours.
      if (recognized.length > 0) return "retry";
    };
    return [requestLoop(context, (csr) => !isDecided(csr), approve)];
  },
});

export const requestCleanerController: Controller = defineController({
  name: "certificatesigningrequest-cleaner-controller",
  account,
  create({ client, clock, informers }) {
    const informer = informers.of(requests);
    return [
      {
        workers: 1,
        watches(queue) {
          const mark = (csr: Csr) => {
            const at = removalTime(csr);
            if (at < Infinity) queue.addAfter(nameOf(csr), at - clock.now());
          };
          return [watch(informer, { added: mark, updated: mark })];
        },
        async reconcile(key, queue) {
          const csr = informer.get(key);
          if (!csr) return;
          const at = removalTime(csr);
          if (at > clock.now()) return at < Infinity ? queue.addAfter(key, at - clock.now()) : undefined;
          await unlessOther(client.resource(requests).delete(key, { preconditions: { uid: uidOf(csr) } }));
        },
      },
    ];
  },
});
