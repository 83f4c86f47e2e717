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

const addressesDescription = { field: "V1NodeStatus.addresses" };

export const nodeColumns: readonly Column<Node>[] = [
  { name: "Status", type: "string", description: "The status of the node", of: printStatus },
  { name: "Roles", type: "string", description: "The roles of the node", of: printRoles },
  ageColumn,
  {
    name: "Version",
    type: "string",
    description: { field: "V1NodeSystemInfo.kubeletVersion" },
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
    description: { field: "V1NodeSystemInfo.osImage" },
    priority: 1,
    of: ({ status }) => status?.nodeInfo?.osImage || unknown,
  },
  {
    name: "Kernel-Version",
    type: "string",
    description: { field: "V1NodeSystemInfo.kernelVersion" },
    priority: 1,
    of({ status }) {
      const { kernelVersion, architecture } = status?.nodeInfo ?? {};
      return `${kernelVersion || unknown}${architecture ? ` (${architecture})` : ""}`;
    },
  },
  {
    name: "Container-Runtime",
    type: "string",
    description: { field: "V1NodeSystemInfo.containerRuntimeVersion" },
    priority: 1,
    of: ({ status }) => status?.nodeInfo?.containerRuntimeVersion || unknown,
  },
];
