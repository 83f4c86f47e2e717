/**
 * The scheduler's picture of the cluster: nodes in the order in which they are tried, and the pods on them, including those that were
 * placed but whose binding is still under way. It changes with each event, so a decision needs no list and no copy;
 * a decision runs to its end before the next event, so it needs no snapshot either (upstream's is parallel and does).
 */
import type { Node, Pod } from "#api";
import type { DeepReadonly, LabelMatcher } from "#machinery";
import { NodeInfo } from "./node-info.ts";
import { type NodeCounts, PodCounts, type PodQuery } from "./pod-counts.ts";
import { createPodInfo, type PodInfo } from "./pod-info.ts";

/** What rules ask about other objects than nodes and pods. */
export interface ClusterObjects {
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
  /** The pods that belong together with this one: those of its Services and its owner. Undefined when there are none. */
  selectorOf(pod: DeepReadonly<Pod>): LabelMatcher | undefined;
}

const noObjects: ClusterObjects = { namespaceLabels: () => undefined, selectorOf: () => undefined };

export class ClusterState {
  readonly objects: ClusterObjects;
  readonly #infos = new Map<string, NodeInfo>();
  /** Which node each counted pod is on. */
  readonly #nodeOfPod = new Map<string, NodeInfo>();
  readonly #assumed = new Set<string>();
  /** How many nodes have an image. */
  readonly #imageNodes = new Map<string, number>();
  #order: readonly NodeInfo[] | undefined;
  readonly #counts = new PodCounts();
  /** Nodes with pods that have wishes about other pods; few in most clusters. */
  readonly #nodesWithTerms = new Set<NodeInfo>();

  constructor(objects: ClusterObjects = noObjects) {
    this.objects = objects;
  }

  /** Nodes that exist, alternating between zones so that looking at some of them looks at all zones. */
  get nodes(): readonly NodeInfo[] {
    this.#order ??= orderByZone([...this.#infos.values()].filter(({ node }) => node !== undefined));
    return this.#order;
  }

  node(name: string): NodeInfo | undefined {
    const info = this.#infos.get(name);
    return info?.node ? info : undefined;
  }

  get nodesWithTerms(): ReadonlySet<NodeInfo> {
    return this.#nodesWithTerms;
  }

  /** Matching pods on each node. */
  count(query: PodQuery): NodeCounts {
    return this.#counts.get(query, this.#infos.values());
  }

  imageNodes(image: string): number {
    return this.#imageNodes.get(image) ?? 0;
  }

  setNode(node: DeepReadonly<Node>): NodeInfo {
    const info = this.#info(node.metadata.name ?? "");
    const zone = info.node && zoneOf(info);
    this.#countImages(info, -1);
    info.setNode(node);
    this.#countImages(info, 1);
    if (zone !== zoneOf(info)) this.#order = undefined;
    return info;
  }

  removeNode(name: string): void {
    const info = this.#infos.get(name);
    if (!info) return;
    this.#countImages(info, -1);
    info.setNode(undefined);
    this.#order = undefined;
    this.#dropIfEmpty(info);
  }

  /** A pod as the server shows it on a node; ends its being assumed. */
  setPod(pod: DeepReadonly<Pod>): PodInfo {
    const info = createPodInfo(pod);
    this.#assumed.delete(info.uid);
    this.#place(info, pod.spec?.nodeName ?? "");
    return info;
  }

  /** Counts a pod on a node before the server confirmed it. */
  assume(pod: PodInfo, nodeName: string): void {
    this.#assumed.add(pod.uid);
    this.#place(pod, nodeName);
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  removePod(uid: string): PodInfo | undefined {
    this.#assumed.delete(uid);
    const node = this.#nodeOfPod.get(uid);
    if (!node) return undefined;
    this.#nodeOfPod.delete(uid);
    return this.#takeOff(uid, node);
  }

  pod(uid: string): PodInfo | undefined {
    return this.#nodeOfPod.get(uid)?.pods.get(uid);
  }

  #place(pod: PodInfo, nodeName: string): void {
    const before = this.#nodeOfPod.get(pod.uid);
    if (before) this.#takeOff(pod.uid, before);
    const node = this.#info(nodeName);
    this.#nodeOfPod.set(pod.uid, node);
    node.addPod(pod);
    this.#counts.change(pod, node, 1);
    if (node.podsWithTerms.size > 0) this.#nodesWithTerms.add(node);
  }

  #takeOff(uid: string, node: NodeInfo): PodInfo | undefined {
    const pod = node.removePod(uid);
    if (pod) this.#counts.change(pod, node, -1);
    if (node.podsWithTerms.size === 0) this.#nodesWithTerms.delete(node);
    this.#dropIfEmpty(node);
    return pod;
  }

  #info(name: string): NodeInfo {
    let info = this.#infos.get(name);
    if (!info) {
      info = new NodeInfo(name);
      this.#infos.set(name, info);
    }
    return info;
  }

  #dropIfEmpty(info: NodeInfo): void {
    if (!info.node && info.pods.size === 0) this.#infos.delete(info.name);
  }

  #countImages(info: NodeInfo, sign: 1 | -1): void {
    for (const image of info.images.keys()) {
      const count = this.imageNodes(image) + sign;
      if (count > 0) this.#imageNodes.set(image, count);
      else this.#imageNodes.delete(image);
    }
  }
}

const zoneOf = ({ labels }: NodeInfo): string =>
  `${labels["topology.kubernetes.io/region"] ?? ""}\0${labels["topology.kubernetes.io/zone"] ?? ""}`;

function orderByZone(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const zones = [...Map.groupBy(nodes, zoneOf).values()];
  if (zones.length < 2) return nodes;
  const longest = Math.max(...zones.map((zone) => zone.length));
  const order: NodeInfo[] = [];
  for (let position = 0; position < longest; position++) {
    for (const zone of zones) {
      const node = zone[position];
      if (node) order.push(node);
    }
  }
  return order;
}
