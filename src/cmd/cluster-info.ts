/**
 * `kube-public/cluster-info`: where the cluster is and whom to trust, signed with each token for joining (bootstrap-signer-controller).
 * kubeadm makes it; without one its tokens find nothing here.
 */
import type { Client } from "#client";
import { isStatusError } from "#machinery";

/** Once made it is the administrator's. */
export async function provideClusterInfo(
  client: Client,
  { server, authority }: { readonly server: string; readonly authority: string },
): Promise<void> {
  const data = Buffer.from(authority).toString("base64");
  const kubeconfig = `apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: ""
  cluster:
    certificate-authority-data: ${data}
    server: ${server}
contexts: null
current-context: ""
users: null
`;
  const metadata = { name: "cluster-info", namespace: "kube-public" };
  try {
    await client.resource("v1/configmaps", metadata.namespace).create({ metadata, data: { kubeconfig } });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
  }
}
