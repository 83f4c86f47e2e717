/** A node and what is on it, kept up to date pod by pod. */
import type { Node, Taint } from "#api";
import type { DeepReadonly } from "#machinery";
import { noTerms } from "./affinity-terms.ts";
import type { HostPort, PodInfo } from "./pod-info.ts";
import { addResources, type Allocatable, noResources, nodeAllocatable, type Resources } from "./resources.ts";

const noAllocatable: Allocatable = { ...noResources(), pods: 0 };
const noLabels: Readonly<Record<string, string>> = Object.freeze({});

export class NodeInfo {
  readonly name: string;
  /** Missing while only its pods are known: it was deleted, or they came first. */
  node: DeepReadonly<Node> | undefined;
  labels = noLabels;
  allocatable = noAllocatable;
  isUnschedulable = false;
  /** Those that keep pods away (NoSchedule, NoExecute) and those that only discourage. */
  hardTaints: readonly DeepReadonly<Taint>[] = [];
  softTaints: readonly DeepReadonly<Taint>[] = [];
  /** Bytes by image name. */
  images: ReadonlyMap<string, number> = new Map();
  readonly pods = new Map<string, PodInfo>();
  readonly requested: Resources = noResources();
  readonly assumed = { milliCpu: 0, memory: 0 };
  readonly hostPorts = new Set<HostPort>();
  /** Those with wishes about other pods, and of these those that must be away from some. */
  readonly podsWithTerms = new Set<PodInfo>();
  readonly podsWithRequiredAnti = new Set<PodInfo>();

  constructor(name: string) {
    this.name = name;
  }

  setNode(node: DeepReadonly<Node> | undefined): void {
    this.node = node;
    this.labels = node?.metadata.labels ?? noLabels;
    this.allocatable = node ? nodeAllocatable(node) : noAllocatable;
    this.isUnschedulable = node?.spec?.unschedulable === true;
    const taints = node?.spec?.taints ?? [];
    this.hardTaints = taints.filter(({ effect }) => effect === "NoSchedule" || effect === "NoExecute");
    this.softTaints = taints.filter(({ effect }) => effect === "PreferNoSchedule");
    const images = new Map<string, number>();
    for (const { names, sizeBytes = 0 } of node?.status?.images ?? []) {
      // An image whose name went to a newer one has none left, which the API gives as null.
      for (const name of names ?? []) images.set(name, sizeBytes);
    }
    this.images = images;
  }

  addPod(pod: PodInfo): void {
    this.pods.set(pod.uid, pod);
    this.#count(pod, 1);
    for (const port of pod.hostPorts) this.hostPorts.add(port);
    if (pod.terms !== noTerms) this.podsWithTerms.add(pod);
    if (pod.terms.requiredAnti.length > 0) this.podsWithRequiredAnti.add(pod);
  }

  removePod(uid: string): PodInfo | undefined {
    const pod = this.pods.get(uid);
    if (!pod) return undefined;
    this.pods.delete(uid);
    this.#count(pod, -1);
    for (const port of pod.hostPorts) this.hostPorts.delete(port);
    this.podsWithTerms.delete(pod);
    this.podsWithRequiredAnti.delete(pod);
    return pod;
  }

  #count(pod: PodInfo, sign: 1 | -1): void {
    addResources(this.requested, pod.requests, sign);
    this.assumed.milliCpu += sign * pod.assumed.milliCpu;
    this.assumed.memory += sign * pod.assumed.memory;
  }
}
