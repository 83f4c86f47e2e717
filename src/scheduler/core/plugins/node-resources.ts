/** Room on nodes: whether a pod fits, and which of the nodes that have room suits best. */
import { type FilterPlugin, type Rejection, rejection, type ScorePlugin, scoreMax } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { PodInfo } from "../pod-info.ts";

/** What is missing, in upstream's order; undefined when the pod fits. */
function missing({ requests }: PodInfo, { pods, allocatable, requested }: NodeInfo): string[] | undefined {
  let found: string[] | undefined;
  const lacks = (reason: string) => {
    found ??= [];
    found.push(reason);
  };
  if (pods.size + 1 > allocatable.pods) lacks("Too many pods");
  // What a pod does not ask for is no reason, even on a node that has promised too much of it.
  const { milliCpu, memory, ephemeralStorage } = requests;
  if (milliCpu > 0 && milliCpu > allocatable.milliCpu - requested.milliCpu) lacks("Insufficient cpu");
  if (memory > 0 && memory > allocatable.memory - requested.memory) lacks("Insufficient memory");
  if (ephemeralStorage > 0 && ephemeralStorage > allocatable.ephemeralStorage - requested.ephemeralStorage) {
    lacks("Insufficient ephemeral-storage");
  }
  for (const [name, amount] of requests.others) {
    const free = (allocatable.others.get(name) ?? 0) - (requested.others.get(name) ?? 0);
    if (amount > 0 && amount > free) lacks(`Insufficient ${name}`);
  }
  return found;
}

/** A pod that is larger than the empty node doesn't get in by removing others. */
function isTooLarge({ requests }: PodInfo, { allocatable }: NodeInfo): boolean {
  if (requests.milliCpu > allocatable.milliCpu || requests.memory > allocatable.memory) return true;
  if (requests.ephemeralStorage > allocatable.ephemeralStorage || allocatable.pods === 0) return true;
  for (const [name, amount] of requests.others) if (amount > (allocatable.others.get(name) ?? 0)) return true;
  return false;
}

export const nodeResourcesFit: FilterPlugin = {
  name: "NodeResourcesFit",
  prepare(pod) {
    // Few combinations occur, and many nodes share one.
    const rejections = new Map<string, Rejection>();
    return {
      filter(node) {
        const reasons = missing(pod, node);
        if (!reasons) return undefined;
        const isResolvable = !isTooLarge(pod, node);
        const key = `${isResolvable} ${reasons.join()}`;
        let found = rejections.get(key);
        if (!found) {
          found = rejection(isResolvable, ...reasons);
          rejections.set(key, found);
        }
        return found;
      },
    };
  },
  events: ["node-added", "node-updated", "pod-deleted", "pod-updated"],
  helps(event, pod) {
    switch (event.kind) {
      case "node-added":
        return !isTooLarge(pod, event.node);
      case "node-updated":
        return event.changed.allocatable && !isTooLarge(pod, event.node);
      case "pod-deleted":
        return true;
      case "pod-updated":
        return event.changed.scaledDown;
      default:
        return false;
    }
  },
};

/** Upstream's LeastAllocated: the more of cpu and memory stays free, the better. Counts a little for pods that ask for nothing. */
export const nodeResourcesScore: ScorePlugin = {
  name: "NodeResourcesFit",
  weight: 1,
  prepare({ assumed: wants }) {
    const free = (used: number, capacity: number) =>
      used > capacity ? 0 : Math.trunc(((capacity - used) * scoreMax) / capacity);
    return {
      score({ allocatable, assumed }) {
        let sum = 0;
        let count = 0;
        if (allocatable.milliCpu > 0) {
          sum += free(assumed.milliCpu + wants.milliCpu, allocatable.milliCpu);
          count++;
        }
        if (allocatable.memory > 0) {
          sum += free(assumed.memory + wants.memory, allocatable.memory);
          count++;
        }
        return count === 0 ? 0 : Math.trunc(sum / count);
      },
    };
  },
};

/** Prefers nodes where cpu and memory would be used to the same degree: 1 minus the standard deviation of the two shares. */
export const balancedAllocation: ScorePlugin = {
  name: "NodeResourcesBalancedAllocation",
  weight: 1,
  prepare({ requests }) {
    // A pod that asks for nothing changes no balance, and would drive all such pods to one node.
    if (requests.milliCpu === 0 && requests.memory === 0) return undefined;
    return {
      score({ allocatable, requested }) {
        if (allocatable.milliCpu === 0 || allocatable.memory === 0) return scoreMax;
        const cpu = Math.min(1, (requested.milliCpu + requests.milliCpu) / allocatable.milliCpu);
        const memory = Math.min(1, (requested.memory + requests.memory) / allocatable.memory);
        return Math.trunc((1 - Math.abs(cpu - memory) / 2) * scoreMax);
      },
    };
  },
};
