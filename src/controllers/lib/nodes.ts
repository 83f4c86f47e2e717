/** Facts about nodes and their taints that several controllers ask for. */
import type { Node, NodeCondition, Pod, Taint } from "#api";
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

const nodeIndex = "node";

export function indexPodsByNode(pods: Informer<Pod>): void {
  pods.addIndex(nodeIndex, (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName] : []));
}

export const podsOn = (pods: Informer<Pod>, nodeName: string): readonly SeenPod[] => pods.by(nodeIndex, nodeName);
