/**
 * Resource claims: a pod goes to a node that has devices for all of its claims. Follows upstream's dynamicresources. What was found is kept for the
 * pod until the next attempt: the score looks at it, and who binds the pod carries it out.
 */
import { isDeepStrictEqual } from "node:util";
import type { NodeInfo } from "../node-info.ts";
import {
  type FilterPlugin,
  normalizeByMax,
  type Rejection,
  rejection,
  RuleError,
  type ScorePlugin,
} from "../framework.ts";
import type { ClusterState } from "../cluster-state.ts";
import { usesDevices } from "../devices/extended-resources.ts";
import { claimsOf, PodDevices } from "../devices/pod-devices.ts";
import type { PodInfo } from "../pod-info.ts";

const rejections = new Map<string, Rejection>();

/** The same for the same reason, for the few reasons that there are. */
function refuse(reason: string): Rejection {
  const found = rejections.get(reason) ?? rejection(false, reason);
  if (rejections.size < 20) rejections.set(reason, found);
  return found;
}

export const dynamicResourcesFilter: FilterPlugin = {
  name: "DynamicResources",
  holds(pod, { objects: { devices } }) {
    if (!devices || !usesDevices(pod)) return undefined;
    if (!devices.state.isComplete) return "devices are not known yet";
    const claims = claimsOf(pod, devices.state);
    return typeof claims === "string" ? claims : undefined;
  },
  prepare(pod, { objects: { devices } }) {
    if (!devices || !usesDevices(pod)) return undefined;
    devices.attempts.delete(pod);
    const prepared = PodDevices.prepare(pod, devices.state, devices.now());
    if (prepared === undefined) return undefined;
    if (typeof prepared === "string") return { impossible: rejection(false, prepared) };
    devices.attempts.set(pod, prepared);
    return {
      filter(node) {
        const reason = ask(prepared, node);
        return reason === undefined ? undefined : refuse(reason);
      },
    };
  },
  events: ["node-added", "node-updated", "device-claim-changed", "devices-changed"],
  helps(event, pod, state) {
    if (event.kind === "node-updated") return event.changed.labels || event.changed.allocatable;
    if (event.kind !== "device-claim-changed") return true;
    const { claim, old } = event;
    const own = ownClaims(pod, state);
    if (!own) return false;
    if (old?.status?.allocation && !claim.status?.allocation) return true;
    if (!own.some(({ metadata }) => metadata.uid === claim.metadata.uid)) return false;
    return !old || !isDeepStrictEqual(old.status ?? {}, claim.status ?? {});
  },
  afterFailure(pod, { objects: { devices } }) {
    const attempt = devices?.attempts.get(pod);
    if (!devices || !attempt) return "no new claims to deallocate";
    return devices.free(attempt.toFree());
  },
};

function ask(prepared: PodDevices, node: NodeInfo): string | undefined {
  try {
    return prepared.rejects(node);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new RuleError(`running "DynamicResources" filter plugin: ${message}`, { cause: error });
  }
}

function ownClaims(pod: PodInfo, { objects: { devices } }: ClusterState) {
  const claims = devices && claimsOf(pod, devices.state);
  return typeof claims === "string" ? undefined : claims;
}

export const dynamicResourcesScore: ScorePlugin = {
  name: "DynamicResources",
  weight: 2,
  prepare(pod, { objects: { devices } }) {
    const attempt = devices?.attempts.get(pod);
    if (!attempt?.hasAlternatives) return undefined;
    return { score: (node) => attempt.score(node), normalize: (scores) => normalizeByMax(scores) };
  },
};
