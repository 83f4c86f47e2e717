/** What a node's HTTPS server shows, from the cluster's own authority. */
import type { Pki } from "#apiserver";
import type { KubeletTls } from "#kubelet";

const validDays = 365;

export async function kubeletTls(
  pki: Pki,
  { nodeName, addresses }: { nodeName: string; addresses: readonly string[] },
): Promise<KubeletTls> {
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
