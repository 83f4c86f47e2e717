/** What `kubectl get nodes` shows. */
import { ageColumn, none, unknown } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { Node } from "../../types.d.ts";

const rolePrefix = "node-role.kubernetes.io/";
const roleLabel = "kubernetes.io/role";

function printStatus({ spec, status }: Node): string {
  // The last one counts, should there be several.
  const ready = status?.conditions?.findLast(({ type }) => type === "Ready");
  const words = [ready ? (ready.status === "True" ? "Ready" : "NotReady") : "Unknown"];
  if (spec?.unschedulable) words.push("SchedulingDisabled");
  return words.join(",");
}

function printRoles({ metadata }: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (key.startsWith(rolePrefix)) roles.add(key.slice(rolePrefix.length));
    else if (key === roleLabel) roles.add(value);
  }
  roles.delete("");
  return [...roles].sort().join(",") || none;
}

const addressOf = (node: Node, wanted: string): string =>
  node.status?.addresses?.find(({ type }) => type === wanted)?.address ?? none;

const addressesDescription =
  "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).";

export const nodeColumns: readonly Column<Node>[] = [
  { name: "Status", type: "string", description: "The status of the node", of: printStatus },
  { name: "Roles", type: "string", description: "The roles of the node", of: printRoles },
  ageColumn,
  {
    name: "Version",
    type: "string",
    description: "Kubelet Version reported by the node.",
    of: ({ status }) => status?.nodeInfo?.kubeletVersion ?? "",
  },
  {
    name: "Internal-IP",
    type: "string",
    description: addressesDescription,
    priority: 1,
    of: (node) => addressOf(node, "InternalIP"),
  },
  {
    name: "External-IP",
    type: "string",
    description: addressesDescription,
    priority: 1,
    of: (node) => addressOf(node, "ExternalIP"),
  },
  {
    name: "OS-Image",
    type: "string",
    description: "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
    priority: 1,
    of: ({ status }) => status?.nodeInfo?.osImage || unknown,
  },
  {
    name: "Kernel-Version",
    type: "string",
    description: "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
    priority: 1,
    of: ({ status }) => status?.nodeInfo?.kernelVersion || unknown,
  },
  {
    name: "Container-Runtime",
    type: "string",
    description: "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
    priority: 1,
    of: ({ status }) => status?.nodeInfo?.containerRuntimeVersion || unknown,
  },
];
