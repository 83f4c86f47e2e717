/** Room on nodes: whether a pod fits, and which of the nodes that have room suits best. */
import { type FilterPlugin, type Rejection, rejection, type ScorePlugin, scoreMax } from "../framework.ts";
import { mayBeDevices } from "../devices/extended-resources.ts";
import type { NodeInfo } from "../node-info.ts";
import type { PodInfo } from "../pod-info.ts";
import { amountOf, isExtended, isScalar, podRequests, type Resources } from "../resources.ts";

export interface ResourceWeight {
  readonly name: string;
  readonly weight: number;
}

/** NodeResourcesFitArgs. */
export interface FitArguments {
  readonly ignoredResources: readonly string[];
  /** What stands before the `/` of the names of extended resources. */
  readonly ignoredResourceGroups: readonly string[];
  readonly scoringStrategy: {
    readonly type: "LeastAllocated" | "MostAllocated" | "RequestedToCapacityRatio";
    readonly resources: readonly ResourceWeight[];
    /** Utilization in percent, scores from 0 to 10. */
    readonly requestedToCapacityRatio?: { readonly shape: readonly ShapePoint[] };
  };
}

export interface ShapePoint {
  readonly utilization: number;
  readonly score: number;
}

export const defaultResources: readonly ResourceWeight[] = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

export const defaultFit: FitArguments = {
  ignoredResources: [],
  ignoredResourceGroups: [],
  scoringStrategy: { type: "LeastAllocated", resources: defaultResources },
};

/** Names in upstream's order of reasons. */
function* wantedOf({ milliCpu, memory, ephemeralStorage, others }: Resources): Iterable<readonly [string, number]> {
  // What a pod does not ask for is no reason, even on a node that has promised too much of it.
  if (milliCpu > 0) yield ["cpu", milliCpu];
  if (memory > 0) yield ["memory", memory];
  if (ephemeralStorage > 0) yield ["ephemeral-storage", ephemeralStorage];
  for (const entry of others) if (entry[1] > 0) yield entry;
}

function simpleRejection(missing: number): Rejection {
  const reasons = ["Too many pods", "Insufficient cpu", "Insufficient memory"];
  return rejection((missing & 8) === 0, ...reasons.filter((_, bit) => missing & (1 << bit)));
}

export function createNodeResourcesFit({ ignoredResources, ignoredResourceGroups }: FitArguments): FilterPlugin {
  const isIgnored = (name: string) =>
    isExtended(name) &&
    (ignoredResources.includes(name) || ignoredResourceGroups.includes(name.split("/", 1)[0] as string)); // of a text there is a first part
  const wantsOf = ({ requests }: PodInfo) => [...wantedOf(requests)].filter(([name]) => !isIgnored(name));
  type Wants = ReturnType<typeof wantsOf>;
  /** A pod that is larger than the empty node doesn't get in by removing others. */
  const fitsEmpty = (wants: Wants, { allocatable }: NodeInfo) =>
    wants.every(([name, amount]) => amount <= amountOf(allocatable, name));

  return {
    name: "NodeResourcesFit",
    prepare(pod, { objects: { devices } }) {
      const wants = wantsOf(pod);
      /** What a node doesn't offer by itself may come from devices. */
      const isDevice = (name: string, node: NodeInfo) =>
        devices !== undefined &&
        amountOf(node.allocatable, name) === 0 &&
        mayBeDevices(name) &&
        devices.state.classOfResource(name) !== undefined;
      const { milliCpu, memory } = pod.requests;
      const isSimple = wants.every(([name]) => name === "cpu" || name === "memory");
      // Few combinations occur, and many nodes share one.
      const rejections = new Map<string, Rejection>();
      const simple: (Rejection | undefined)[] = [];
      return {
        filter(node) {
          const { pods, allocatable, requested } = node;
          if (isSimple) {
            // Nearly all nodes and pods: what is missing, in bits, and whether removing pods helps, without a loop.
            let missing = pods.size < allocatable.pods ? 0 : 1;
            if (milliCpu > 0 && milliCpu > allocatable.milliCpu - requested.milliCpu) {
              missing |= milliCpu > allocatable.milliCpu ? 10 : 2;
            }
            if (memory > 0 && memory > allocatable.memory - requested.memory) {
              missing |= memory > allocatable.memory ? 12 : 4;
            }
            if (missing === 0) return undefined;
            const known = simple[missing] ?? simpleRejection(missing);
            simple[missing] = known;
            return known;
          }
          const missing = wants.filter(
            ([name, amount]) =>
              amount > amountOf(allocatable, name) - amountOf(requested, name) && !isDevice(name, node),
          );
          const reasons = missing.map(([name]) => `Insufficient ${name}`);
          if (pods.size + 1 > allocatable.pods) reasons.unshift("Too many pods");
          if (reasons.length === 0) return undefined;
          const isResolvable = fitsEmpty(missing, node);
          const key = `${isResolvable} ${reasons.join()}`;
          const found = rejections.get(key) ?? rejection(isResolvable, ...reasons);
          rejections.set(key, found);
          return found;
        },
      };
    },
    events: ["node-added", "node-updated", "pod-deleted", "pod-updated", "devices-changed"],
    helps(event, pod) {
      switch (event.kind) {
        case "devices-changed":
          return wantsOf(pod).some(([name]) => mayBeDevices(name));
        case "node-added":
          return event.node.allocatable.pods > 0 && fitsEmpty(wantsOf(pod), event.node);
        case "node-updated":
          return event.changed.allocatable && event.node.allocatable.pods > 0 && fitsEmpty(wantsOf(pod), event.node);
        case "pod-deleted":
          return true;
        case "pod-updated":
          return event.changed.scaledDown;
        default:
          return false;
      }
    },
  };
}

/** Linear between the points, level outside them. */
function brokenLine(shape: readonly ShapePoint[]): (utilization: number) => number {
  return (utilization) => {
    let before = shape[0];
    for (const point of shape) {
      if (utilization <= point.utilization && before) {
        if (before === point) return point.score * 10;
        const slope =
          ((point.score - before.score) * 10 * (utilization - before.utilization)) /
          (point.utilization - before.utilization);
        return before.score * 10 + Math.trunc(slope);
      }
      before = point;
    }
    return (before?.score ?? 0) * 10;
  };
}

/** 0…100 for what would be used of a node's capacity. */
function strategyOf({ type, requestedToCapacityRatio }: FitArguments["scoringStrategy"]) {
  if (type === "LeastAllocated") {
    return (used: number, capacity: number) =>
      used > capacity ? 0 : Math.trunc(((capacity - used) * scoreMax) / capacity);
  }
  if (type === "MostAllocated") {
    return (used: number, capacity: number) => Math.trunc((Math.min(used, capacity) * scoreMax) / capacity);
  }
  const line = brokenLine(requestedToCapacityRatio?.shape ?? []);
  return (used: number, capacity: number) =>
    line(used > capacity ? scoreMax : Math.trunc((used * scoreMax) / capacity));
}

/**
 * Prefers nodes by how much of them is used; LeastAllocated unless configured: the more stays free, the better.
 * Counts a little for pods that ask for nothing. Requests of the pod as a whole don't count here, as upstream's don't.
 */
export function createNodeResourcesScore({ scoringStrategy }: FitArguments): ScorePlugin {
  const { type, resources } = scoringStrategy;
  const of = strategyOf(scoringStrategy);
  const isRatio = type === "RequestedToCapacityRatio";
  return {
    name: "NodeResourcesFit",
    weight: 1,
    prepare({ pod, assumed, requests }) {
      const wants = pod.spec?.resources
        ? podRequests(pod, { assume: true, podLevel: false })
        : { ...requests, ...assumed };
      const counted = resources
        .map(({ name, weight }) => ({ name, weight, wanted: amountOf(wants, name) }))
        .filter(({ name, wanted }) => wanted > 0 || !isScalar(name));
      return {
        score({ allocatable, assumed, requested }) {
          let sum = 0;
          let weights = 0;
          for (const { name, weight, wanted } of counted) {
            const capacity = amountOf(allocatable, name);
            if (capacity === 0) continue;
            const inUse =
              name === "cpu" ? assumed.milliCpu : name === "memory" ? assumed.memory : amountOf(requested, name);
            const score = of(inUse + wanted, capacity);
            if (isRatio && score <= 0) continue;
            sum += score * weight;
            weights += weight;
          }
          if (weights === 0) return 0;
          return isRatio ? Math.round(sum / weights) : Math.trunc(sum / weights);
        },
      };
    },
  };
}

/**
 * Prefers nodes whose resources become more evenly used by the pod: 1 minus the standard deviation of the used shares, with the pod
 * compared to without it.
 */
export function createBalancedAllocation(resources: readonly ResourceWeight[]): ScorePlugin {
  return {
    name: "NodeResourcesBalancedAllocation",
    weight: 1,
    prepare({ requests }) {
      const counted = resources
        .map(({ name }) => ({ name, wanted: amountOf(requests, name) }))
        .filter(({ name, wanted }) => wanted > 0 || !isScalar(name));
      // A pod that asks for nothing changes no balance, and would drive all such pods to one node.
      if (counted.every(({ wanted }) => wanted === 0)) return undefined;
      const before: number[] = [];
      const after: number[] = [];
      return {
        score({ allocatable, requested }) {
          let length = 0;
          for (const { name, wanted } of counted) {
            const capacity = amountOf(allocatable, name);
            if (capacity === 0) continue;
            const used = amountOf(requested, name);
            before[length] = Math.min(1, used / capacity);
            after[length++] = Math.min(1, (used + wanted) / capacity);
          }
          const half = scoreMax / 2;
          return half + Math.trunc((half + evenness(after, length) - evenness(before, length)) / 2);
        },
      };
    },
  };
}

function evenness(shares: readonly number[], length: number): number {
  let deviation = 0;
  if (length === 2) deviation = Math.abs(((shares[0] ?? 0) - (shares[1] ?? 0)) / 2);
  else if (length > 2) {
    let sum = 0;
    for (let index = 0; index < length; index++) sum += shares[index] ?? 0;
    let squares = 0;
    for (let index = 0; index < length; index++) squares += ((shares[index] ?? 0) - sum / length) ** 2;
    deviation = Math.sqrt(squares / length);
  }
  return Math.trunc((1 - deviation) * scoreMax);
}
