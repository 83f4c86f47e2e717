/**
 * What a cluster must have so that machines can join it by a token: who may ask for a node's certificate, who may read where the cluster
 * is. kubeadm makes the same objects under the same names, each once: they are the administrator's afterwards.
 */
import type { Client } from "#client";
import { isStatusError } from "#machinery";

/** Whom a token for joining makes its holder, beside `system:bootstrappers`. */
export const joinersGroup = "system:bootstrappers:kubeadm:default-node-token";
const requests = "system:certificates.k8s.io:certificatesigningrequests";
const group = "rbac.authorization.k8s.io";
const subject = (name: string, kind = "Group") => ({ apiGroup: group, kind, name });

const clusterBindings = {
  "kubeadm:kubelet-bootstrap": ["system:node-bootstrapper", joinersGroup],
  "kubeadm:node-autoapprove-bootstrap": [`${requests}:nodeclient`, joinersGroup],
  "kubeadm:node-autoapprove-certificate-rotation": [`${requests}:selfnodeclient`, "system:nodes"],
  "kubeadm:get-nodes": ["kubeadm:get-nodes", joinersGroup],
} as const;
const infoRole = { namespace: "kube-public", name: "kubeadm:bootstrap-signer-clusterinfo" };

export async function provideJoining(client: Client): Promise<void> {
  const roleRef = (name: string, kind = "ClusterRole") => ({ apiGroup: group, kind, name });
  const rbac = `${group}/v1` as const;
  const roles = client.resource(`${rbac}/roles`, infoRole.namespace);
  const roleBindings = client.resource(`${rbac}/rolebindings`, infoRole.namespace);
  const getsInfo = { verbs: ["get"], apiGroups: [""], resources: ["configmaps"], resourceNames: ["cluster-info"] };
  await Promise.all([
    ...Object.entries(clusterBindings).map(([name, [role, to]]) =>
      unlessThere(
        client
          .resource(`${rbac}/clusterrolebindings`)
          .create({ metadata: { name }, roleRef: roleRef(role), subjects: [subject(to)] }),
      ),
    ),
    unlessThere(
      client.resource(`${rbac}/clusterroles`).create({
        metadata: { name: "kubeadm:get-nodes" },
        rules: [{ verbs: ["get"], apiGroups: [""], resources: ["nodes"] }],
      }),
    ),
    unlessThere(roles.create({ metadata: infoRole, rules: [getsInfo] })),
    unlessThere(
      roleBindings.create({
        metadata: infoRole,
        roleRef: roleRef(infoRole.name, "Role"),
        subjects: [subject("system:anonymous", "User")],
      }),
    ),
  ]);
}

async function unlessThere(creating: Promise<unknown>): Promise<void> {
  try {
    await creating;
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
  }
}
