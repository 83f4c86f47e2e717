/** Facts about nodes and their taints that several controllers ask for. */
import type { Node, NodeCondition, Pod, Taint, Toleration } from "#api";
import type { Informer } from "#client";
import type { Seen } from "./objects.ts";
import type { SeenPod } from "./pods.ts";

export type SeenNode = Seen<Node>;
export type SeenTaint = Seen<Taint>;

export const nodeCondition = (node: SeenNode, type: string): Seen<NodeCondition> | undefined =>
  node.status?.conditions?.find((condition) => condition.type === type);

export const notReadyTaint = "node.kubernetes.io/not-ready";
export const unreachableTaint = "node.kubernetes.io/unreachable";
export const outOfServiceTaint = "node.kubernetes.io/out-of-service";

export const isSameTaint = (a: SeenTaint, b: SeenTaint): boolean => a.key === b.key && a.effect === b.effect;

export function tolerates(toleration: Seen<Toleration>, taint: SeenTaint): boolean {
  const { effect, key, operator, value = "" } = toleration;
  if (effect && effect !== taint.effect) return false;
  if (key && key !== taint.key) return false;
  if (operator === "Exists") return true;
  // Without a key only "Exists" matches everything.
  return (!operator || operator === "Equal") && Boolean(key) && value === (taint.value ?? "");
}

const nodeIndex = "node";

export function indexPodsByNode(pods: Informer<Pod>): void {
  pods.addIndex(nodeIndex, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
}

export const podsOn = (pods: Informer<Pod>, nodeName: string): readonly SeenPod[] => pods.by(nodeIndex, nodeName);
