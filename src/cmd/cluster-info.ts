/**
 * `kube-public/cluster-info`: where the cluster is and whom to trust, signed with each token for joining (bootstrap-signer-controller).
 * kubeadm makes it; without one its tokens find nothing here.
 */
import type { Client } from "#client";
import { isStatusError } from "#machinery";

/** Once made it is the administrator's, unless nothing in it has changed but the server's address. */
export async function provideClusterInfo(
  client: Client,
  { server, authority }: { readonly server: string; readonly authority: string },
): Promise<void> {
  const kubeconfig = printInfo(server, authority);
  const metadata = { name: "cluster-info", namespace: "kube-public" };
  const maps = client.resource("v1/configmaps", metadata.namespace);
  try {
    await maps.create({ metadata, data: { kubeconfig } });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
    const { data } = await maps.get(metadata.name);
    const [, before] = /^ {4}server: (\S+)$/m.exec(data?.kubeconfig ?? "") ?? [];
    if (before !== undefined && before !== server && data?.kubeconfig === printInfo(before, authority))
      await maps.patch(metadata.name, { data: { kubeconfig } }, { type: "merge" });
  }
}

const printInfo = (server: string, authority: string) => `apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: ""
  cluster:
    certificate-authority-data: ${Buffer.from(authority).toString("base64")}
    server: ${server}
contexts: null
current-context: ""
users: null
`;
