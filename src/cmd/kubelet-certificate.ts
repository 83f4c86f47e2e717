/** What a node's HTTPS server shows, from the cluster's own authority. */
import type { Pki } from "#apiserver";
import type { Logger } from "#base";
import type { KubeletServer, KubeletTls } from "#kubelet";
import type { ControlPlane } from "./control-plane.ts";

const validDays = 365;

interface Called {
  readonly nodeName: string;
  readonly addresses: readonly string[];
}

/** Of a node beside the control plane. */
export function ownServing({ pki, onRenewal }: ControlPlane, { log, ...called }: Called & { readonly log: Logger }) {
  const tls = () => kubeletTls(pki, called);
  return {
    tls,
    serving(server: KubeletServer) {
      onRenewal(() => {
        tls()
          .then((next) => server.setTls(next))
          .catch((error: unknown) => log.error("the node's new certificate can't be used", { error }));
      });
    },
  };
}

async function kubeletTls(pki: Pki, { nodeName, addresses }: Called): Promise<KubeletTls> {
  const pair = await pki.leaf(`kubelet-${nodeName}`, {
    commonName: `system:node:${nodeName}`,
    organizations: ["system:nodes"],
    usages: ["server"],
    dnsNames: [nodeName],
    ipAddresses: addresses,
    validDays,
  });
  return { ...pair, clientCa: pki.authority.certificate };
}
