/**
 * The scheduler's picture of the cluster: nodes in the order in which they are tried, and the pods on them, including those that were
 * placed but whose binding is still under way. It changes with each event, so a decision needs no list and no copy;
 * a decision runs to its end before the next event, so it needs no snapshot either (upstream's is parallel and does).
 */
import type { Node, Pod, PodDisruptionBudget } from "#api";
import type { DeepReadonly, LabelMatcher } from "#machinery";
import { NodeInfo } from "./node-info.ts";
import { type NodeCounts, PodCounts, type PodQuery } from "./pod-counts.ts";
import { createPodInfo, type PodInfo } from "./pod-info.ts";
import type { Devices } from "./devices/pod-devices.ts";
import { noStorage, type StorageObjects } from "./storage.ts";

/** What rules ask about other objects than nodes and pods. */
export interface ClusterObjects {
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
  /** The pods that belong together with this one: those of its Services and its owner. Undefined when there are none. */
  selectorOf(pod: DeepReadonly<Pod>): LabelMatcher | undefined;
  /** All PodDisruptionBudgets of a namespace. */
  budgets(namespace: string): readonly DeepReadonly<PodDisruptionBudget>[];
  readonly storage: StorageObjects;
  /** Absent where nobody has devices. */
  readonly devices?: Devices | undefined;
}

export const noObjects: ClusterObjects = {
  namespaceLabels: () => undefined,
  selectorOf: () => undefined,
  budgets: () => [],
  storage: noStorage,
};
const noPods: readonly PodInfo[] = [];

export class ClusterState {
  readonly objects: ClusterObjects;
  readonly #infos = new Map<string, NodeInfo>();
  /** Which node each counted pod is on. */
  readonly #nodeOfPod = new Map<string, NodeInfo>();
  readonly #assumed = new Set<string>();
  /** How many nodes have an image. */
  readonly #imageNodes = new Map<string, number>();
  /** How many nodes keep pods away by taint, discourage them, or are cordoned: of rules about what no node has nothing is asked. */
  tainted = 0;
  discouraging = 0;
  cordoned = 0;
  #order: readonly NodeInfo[] | undefined;
  readonly #counts = new PodCounts();
  /** Nodes with pods that have wishes about other pods; few in most clusters. */
  readonly #nodesWithTerms = new Set<NodeInfo>();
  /** How many placed pods have each priority: most clusters have few, and often there is nobody to preempt. */
  readonly #priorities = new Map<number, number>();
  /** How many placed pods use each claim. */
  readonly #claimUsers = new Map<string, number>();
  /** Waiting pods that were promised room, by node and by pod. */
  readonly #nominated = new Map<string, Map<string, PodInfo>>();
  readonly #nominations = new Map<string, string>();

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
    this.#countNode(info, -1);
    info.setNode(node);
    this.#countNode(info, 1);
    if (zone !== zoneOf(info)) this.#order = undefined;
    return info;
  }

  removeNode(name: string): void {
    const info = this.#infos.get(name);
    if (!info) return;
    this.#countNode(info, -1);
    info.setNode(undefined);
    this.#order = undefined;
    this.#dropIfEmpty(info);
  }

  /** A pod as the server shows it on a node; ends its being assumed. */
  setPod(pod: DeepReadonly<Pod>): PodInfo {
    const info = createPodInfo(pod);
    this.#assumed.delete(info.uid);
    this.withdrawNomination(info.uid);
    this.place(info, pod.spec?.nodeName ?? "");
    return info;
  }

  /** Counts a pod on a node before the server confirmed it. */
  assume(pod: PodInfo, nodeName: string): void {
    this.#assumed.add(pod.uid);
    this.withdrawNomination(pod.uid);
    this.place(pod, nodeName);
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  removePod(uid: string): PodInfo | undefined {
    this.#assumed.delete(uid);
    return this.takeOff(uid);
  }

  pod(uid: string): PodInfo | undefined {
    return this.#nodeOfPod.get(uid)?.pods.get(uid);
  }

  /** Has a pod on a node or off it, only for what rules ask of the node; whoever does puts it back before the next event. */
  pretend(pod: PodInfo, node: NodeInfo, by: 1 | -1): void {
    if (by === 1) node.addPod(pod);
    else node.removePod(pod.uid);
    for (const { key } of pod.claims) add(this.#claimUsers, key, by);
  }

  /** Counts a pod on a node. */
  place(pod: PodInfo, nodeName: string): void {
    if (this.#nodeOfPod.has(pod.uid)) this.takeOff(pod.uid);
    const node = this.#info(nodeName);
    this.#nodeOfPod.set(pod.uid, node);
    node.addPod(pod);
    this.#counts.change(pod, node, 1);
    add(this.#priorities, pod.priority, 1);
    for (const { key } of pod.claims) add(this.#claimUsers, key, 1);
    if (node.podsWithTerms.size > 0) this.#nodesWithTerms.add(node);
  }

  takeOff(uid: string): PodInfo | undefined {
    const node = this.#nodeOfPod.get(uid);
    const pod = node?.removePod(uid);
    if (!node || !pod) return undefined;
    this.#nodeOfPod.delete(uid);
    this.#counts.change(pod, node, -1);
    add(this.#priorities, pod.priority, -1);
    for (const { key } of pod.claims) add(this.#claimUsers, key, -1);
    if (node.podsWithTerms.size === 0) this.#nodesWithTerms.delete(node);
    this.#dropIfEmpty(node);
    return pod;
  }

  claimUsers(key: string): number {
    return this.#claimUsers.get(key) ?? 0;
  }

  /** Whether any placed pod has a lower priority. */
  hasLower(priority: number): boolean {
    for (const each of this.#priorities.keys()) if (each < priority) return true;
    return false;
  }

  /** Promises a waiting pod room on a node; a promise made before is withdrawn. */
  nominate(pod: PodInfo, nodeName: string): void {
    this.withdrawNomination(pod.uid);
    this.#nominations.set(pod.uid, nodeName);
    const pods = this.#nominated.get(nodeName) ?? new Map<string, PodInfo>();
    this.#nominated.set(nodeName, pods.set(pod.uid, pod));
  }

  /** Answers whether there was a promise. */
  withdrawNomination(uid: string): boolean {
    const nodeName = this.#nominations.get(uid);
    if (nodeName === undefined) return false;
    this.#nominations.delete(uid);
    const pods = this.#nominated.get(nodeName);
    pods?.delete(uid);
    if (pods?.size === 0) this.#nominated.delete(nodeName);
    return true;
  }

  /** The node that a waiting pod was promised room on. */
  nomination(uid: string): string | undefined {
    return this.#nominations.get(uid);
  }

  /** Waiting pods that were promised room on a node. */
  nominated(nodeName: string): Iterable<PodInfo> {
    return this.#nominated.get(nodeName)?.values() ?? noPods;
  }

  /** Those that come before this pod, and so need room beside it. */
  nominatedBefore(pod: PodInfo, nodeName: string): readonly PodInfo[] {
    if (this.#nominated.size === 0 || !this.#nominated.has(nodeName)) return noPods;
    return [...this.nominated(nodeName)].filter(({ uid, priority }) => uid !== pod.uid && priority >= pod.priority);
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

  #countNode(info: NodeInfo, sign: 1 | -1): void {
    if (info.hardTaints.length > 0) this.tainted += sign;
    if (info.softTaints.length > 0) this.discouraging += sign;
    if (info.isUnschedulable) this.cordoned += sign;
    for (const image of info.images.keys()) add(this.#imageNodes, image, sign);
  }
}

function add<K>(counts: Map<K, number>, key: K, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
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
