/**
 * Whether this node takes a pod that somebody sent here: upstream's general predicates. The scheduler has checked the same, but for what
 * it saw; others (DaemonSets, people) name a node without asking it.
 */
import type { Node } from "#api";
import { areTolerated, compileRequiredNodes, type DeepReadonly } from "#machinery";
import { milliOf, unitsOf } from "./quantity.ts";
import { podTotal } from "./resources.ts";
import { isSidecar, type PodView } from "./types.ts";

export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

export interface AdmissionFacts {
  /** Pods that have been taken and have not ended. */
  readonly others: readonly PodView[];
  readonly allocatable: Readonly<Record<string, string>>;
  readonly maxPods: number;
  readonly name: string;
  /** The node's own pods bear all taints. */
  readonly isStatic?: boolean;
  /** Undefined as long as the API has no such node: then nothing is known against the pod. */
  readonly node: DeepReadonly<Node> | undefined;
}

/** The first reason, as upstream reports it; undefined: the pod is taken. */
export function refusal(pod: PodView, facts: AdmissionFacts): Refusal | undefined {
  return refusePlatform(pod) ?? lack(pod, facts) ?? mismatch(pod, facts);
}

/** Labels may have changed a moment before the pod came, so who refuses for this reason should read the node once more. */
export const isAboutNode = ({ reason }: Refusal): boolean => reason === "NodeAffinity" || reason === "TaintToleration";

function refusePlatform({ metadata, spec }: PodView): Refusal | undefined {
  const label = metadata.labels?.["kubernetes.io/os"];
  if (label !== undefined && label !== "linux")
    return {
      reason: "PodOSSelectorNodeLabelDoesNotMatch",
      message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    };
  if (spec?.os && spec.os.name !== "linux")
    return { reason: "PodOSNotSupported", message: "Failed to admit pod as the OS field doesn't match node OS" };
  return undefined;
}

function lack(pod: PodView, { others, allocatable, maxPods }: AdmissionFacts): Refusal | undefined {
  if (others.length >= maxPods) return insufficient("pods", { requested: 1, used: others.length, capacity: maxPods });
  // What the node doesn't offer is counted elsewhere in the cluster.
  for (const [name, quantity] of Object.entries(allocatable)) {
    if (name === "pods") continue;
    const of = (one: PodView) => podTotal(one, { kind: "requests", name }).total;
    const requested = of(pod);
    if (requested === 0) continue;
    const capacity = amountOf(name, quantity);
    const used = others.reduce((total, other) => total + of(other), 0);
    if (requested > capacity - used) return insufficient(name, { requested, used, capacity });
  }
  return undefined;
}

const amountOf = (name: string, quantity: string): number => (name === "cpu" ? milliOf(quantity) : unitsOf(quantity));

const insufficient = (
  name: string,
  { requested, used, capacity }: { requested: number; used: number; capacity: number },
): Refusal => ({
  reason: `OutOf${name}`,
  message: `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
});

function mismatch(pod: PodView, { others, name, node, isStatic }: AdmissionFacts): Refusal | undefined {
  const { spec } = pod;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const matches = compileRequiredNodes(spec?.nodeSelector, required);
  if (node && matches && !matches({ name, labels: node.metadata.labels ?? {} }))
    return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
  const taken = new Set(others.flatMap(hostPorts));
  const isTaken = (port: string) =>
    port.startsWith("0.0.0.0 ")
      ? [...taken].some((other) => portOf(other) === portOf(port))
      : taken.has(port) || taken.has(`0.0.0.0 ${portOf(port)}`);
  if (hostPorts(pod).some(isTaken))
    return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports");
  const evicting = (node?.spec?.taints ?? []).filter(({ effect }) => effect === "NoExecute");
  if (!isStatic && !areTolerated(evicting, spec?.tolerations))
    return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate");
  return undefined;
}

const predicate = (name: string, why: string): Refusal => ({
  reason: name,
  message: `Predicate ${name} failed: ${why}`,
});

/** `IP TCP/80`, with 0.0.0.0 for all addresses. */
const hostPorts = ({ spec }: PodView): string[] =>
  [...(spec?.containers ?? []), ...(spec?.initContainers ?? []).filter(isSidecar)].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, hostIP, protocol = "TCP" }) =>
      hostPort ? [`${hostIP || "0.0.0.0"} ${protocol}/${hostPort}`] : [],
    ),
  );

const portOf = (text: string): string => text.slice(text.indexOf(" ") + 1);
