/** What `sampan status` prints. */
import type { Node, Pod } from "#api";
import type { DeepReadonly } from "#machinery";

export interface StatusFacts {
  readonly pid: number;
  readonly server: string;
  readonly kubeconfig: string;
  readonly memoryBytes: number;
  readonly databaseBytes: number;
  readonly nodes: readonly DeepReadonly<Node>[];
  readonly pods: readonly DeepReadonly<Pod>[];
}

export function printStatus(facts: StatusFacts): string {
  const phases = new Map<string, number>();
  for (const { status } of facts.pods)
    phases.set(status?.phase ?? "Unknown", (phases.get(status?.phase ?? "Unknown") ?? 0) + 1);
  const pods = [...phases].map(([phase, count]) => `${count} ${phase}`).join(", ") || "none";
  const nodes = facts.nodes.map(({ metadata, status }) => {
    const ready = status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True");
    const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "";
    return `${metadata.name} ${address} ${ready ? "Ready" : "NotReady"}`;
  });
  const rows: [string, string][] = [
    ["process", `pid ${facts.pid}, ${mebibytes(facts.memoryBytes)}`],
    ["API server", facts.server],
    ["kubeconfig", facts.kubeconfig],
    ["store", mebibytes(facts.databaseBytes)],
    ...(nodes.length === 0
      ? [["nodes", "none"] as [string, string]]
      : nodes.map((node): [string, string] => ["node", node])),
    ["pods", pods],
  ];
  return rows.map(([name, value]) => `${name.padEnd(12)}${value}\n`).join("");
}

const mebibytes = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
