/**
 * The next step of a StatefulSet. In order, one pod at a time: ordinals are created upwards, each only when all below are ready;
 * removed downwards; replaced downwards by a new template, as far as the partition allows. With podManagementPolicy Parallel creation and
 * removal wait for nothing. Pure. Upstream: stateful_set_control.go.
 */
import type { Pod, StatefulSet, StatefulSetStatus } from "#api";
import { shareOf } from "../lib/int-or-percent.ts";
import { isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { availableInMs, isPodAvailable, isPodReady, type SeenPod } from "../lib/pods.ts";
import { mendedIdentity, newPod, ordinalOf, type Revisioned, revisionLabel, startOf } from "./identity.ts";

export interface StatefulState {
  readonly set: Seen<StatefulSet>;
  /** Those it controls whose names are its own. */
  readonly pods: readonly SeenPod[];
  /** What pods have that the update hasn't reached. */
  readonly current: Revisioned;
  readonly update: Revisioned;
  readonly now: number;
}

export interface PodStep {
  readonly pod: Pod;
  readonly ordinal: number;
}

export interface StatefulPlan {
  readonly create: readonly PodStep[];
  readonly delete: readonly SeenPod[];
  /** Pods whose identity was tampered with. */
  readonly mend: readonly Pod[];
  readonly events: readonly {
    readonly type: "Normal" | "Warning";
    readonly reason: string;
    readonly message: string;
  }[];
  readonly status: StatefulSetStatus;
}

type Steps = Omit<StatefulPlan, "status">;
const nothing: Steps = { create: [], delete: [], mend: [], events: [] };

const revisionOf = (pod: SeenPod): string => pod.metadata.labels?.[revisionLabel] ?? "";
const isRunning = (pod: SeenPod) => pod.status?.phase === "Running" && isPodReady(pod);
const isOver = (pod: SeenPod) => pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded";

export function planStateful(state: StatefulState): StatefulPlan {
  const { replicas, condemned } = sortPods(state);
  const steps = isDeleting(state.set) ? nothing : nextSteps(state, { replicas, condemned });
  return { ...steps, status: statusAfter(state, steps) };
}

interface Sorted {
  /** By ordinal from the first; undefined where there is none. */
  readonly replicas: readonly (SeenPod | undefined)[];
  /** Beyond the wanted ordinals, highest first. */
  readonly condemned: readonly SeenPod[];
}

function sortPods({ set, pods }: StatefulState): Sorted {
  const start = startOf(set);
  const replicas = new Array<SeenPod | undefined>(set.spec?.replicas ?? 1).fill(undefined);
  const condemned: SeenPod[] = [];
  for (const pod of pods) {
    const ordinal = ordinalOf(pod, set);
    if (ordinal === undefined) continue;
    if (ordinal >= start && ordinal < start + replicas.length) replicas[ordinal - start] = pod;
    else condemned.push(pod);
  }
  condemned.sort((a, b) => (ordinalOf(b, set) ?? 0) - (ordinalOf(a, set) ?? 0));
  return { replicas, condemned };
}

function nextSteps(state: StatefulState, sorted: Sorted): Steps {
  const { set } = state;
  const inOrder = set.spec?.podManagementPolicy !== "Parallel";
  const filled = fill(state, sorted.replicas, inOrder);
  if (filled.blocked || filled.steps.create.length > 0) {
    if (inOrder) return filled.steps;
  }
  const removed = condemn(state, sorted, inOrder);
  const steps: Steps = { ...filled.steps, delete: [...filled.steps.delete, ...removed.delete] };
  if (removed.blocked || (inOrder && removed.delete.length > 0)) return steps;
  if (set.spec?.updateStrategy?.type === "OnDelete") return steps;
  const replaced = replace(state, sorted.replicas);
  return { ...steps, delete: [...steps.delete, ...replaced.filter((pod) => !steps.delete.includes(pod))] };
}

function fill(
  state: StatefulState,
  replicas: Sorted["replicas"],
  inOrder: boolean,
): { steps: Steps; blocked: boolean } {
  const { set } = state;
  const create: PodStep[] = [];
  const remove: SeenPod[] = [];
  const mend: Pod[] = [];
  const events: StatefulPlan["events"][number][] = [];
  const steps = { create, delete: remove, mend, events };
  for (const [index, pod] of replicas.entries()) {
    const ordinal = startOf(set) + index;
    if (!pod) {
      create.push({ ordinal, pod: newPod(set, ordinal, revisionFor(state, ordinal)) });
      if (inOrder) return { steps, blocked: true };
      continue;
    }
    if (isOver(pod)) {
      // Made anew when this one is gone: the name is taken until then.
      if (!isDeleting(pod)) {
        events.push(describeRestart(set, pod));
        remove.push(pod);
      }
      if (inOrder) return { steps, blocked: true };
      continue;
    }
    if (inOrder && (isDeleting(pod) || !isRunning(pod) || !isAvailable(pod, state))) return { steps, blocked: true };
    const mended = isDeleting(pod) ? undefined : mendedIdentity(pod, ordinal);
    if (mended) mend.push(mended);
  }
  return { steps, blocked: false };
}

function describeRestart(set: Seen<StatefulSet>, pod: SeenPod): StatefulPlan["events"][number] {
  const who = `StatefulSet ${namespaceOf(set)}/${nameOf(set)}`;
  return pod.status?.phase === "Failed"
    ? { type: "Warning", reason: "RecreatingFailedPod", message: `${who} is recreating failed Pod ${nameOf(pod)}` }
    : {
        type: "Normal",
        reason: "RecreatingTerminatedPod",
        message: `${who} is recreating terminated Pod ${nameOf(pod)}`,
      };
}

/** Below the partition pods stay what they were. */
function revisionFor({ set, current, update }: StatefulState, ordinal: number): Revisioned {
  const { type = "RollingUpdate", rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type !== "RollingUpdate") return update;
  const bound = rollingUpdate ? (rollingUpdate.partition ?? 0) : (set.status?.currentReplicas ?? 0);
  return ordinal < startOf(set) + bound ? current : update;
}

function isAvailable(pod: SeenPod, { set, now }: Pick<StatefulState, "set" | "now">): boolean {
  const { minReadySeconds } = set.spec ?? {};
  return isPodAvailable(pod, { ...(minReadySeconds ? { minReadySeconds } : {}), now });
}

function condemn(
  state: StatefulState,
  { replicas, condemned }: Sorted,
  inOrder: boolean,
): { delete: SeenPod[]; blocked: boolean } {
  const isHealthy = (pod: SeenPod) => isRunning(pod) && !isDeleting(pod);
  const all = [...replicas, ...condemned.toReversed()].filter((pod) => pod !== undefined);
  const firstUnhealthy = all.find((pod) => !isHealthy(pod));
  const remove: SeenPod[] = [];
  for (const pod of condemned) {
    if (isDeleting(pod)) {
      if (inOrder) return { delete: remove, blocked: true };
      continue;
    }
    const works = isRunning(pod) && isAvailable(pod, state);
    if (inOrder && !works && pod !== firstUnhealthy) return { delete: remove, blocked: true };
    remove.push(pod);
    if (inOrder) return { delete: remove, blocked: false };
  }
  return { delete: remove, blocked: false };
}

/** Pods of an old template that make way now: the highest ordinal, when all above it are well, or as many as may be missing. */
function replace(state: StatefulState, replicas: Sorted["replicas"]): SeenPod[] {
  const { set, update } = state;
  const { partition = 0, maxUnavailable } = set.spec?.updateStrategy?.rollingUpdate ?? {};
  const isOld = (pod: SeenPod) => revisionOf(pod) !== update.revision && !isDeleting(pod);
  const targets = replicas.slice(partition).reverse();
  if (maxUnavailable === undefined) {
    for (const pod of targets) {
      if (pod && isOld(pod)) return [pod];
      if (!pod || !isRunning(pod) || isDeleting(pod)) return [];
    }
    return [];
  }
  const allowed = Math.max(1, shareOf(maxUnavailable, { total: replicas.length, roundUp: false }));
  const works = (pod: SeenPod | undefined) => pod !== undefined && !isDeleting(pod) && isAvailable(pod, state);
  let room = allowed - replicas.filter((pod) => !works(pod)).length;
  const remove: SeenPod[] = [];
  for (const pod of targets) {
    if (!pod || !isOld(pod)) continue;
    // One that doesn't work anyway costs nothing.
    if (works(pod) && room-- <= 0) continue;
    remove.push(pod);
  }
  return remove;
}

/** The status as it is when the steps have been taken. */
function statusAfter(state: StatefulState, steps: Steps): StatefulSetStatus {
  const { set, pods, current, update } = state;
  const count = { replicas: 0, ready: 0, available: 0, current: 0, updated: 0 };
  const add = (pod: SeenPod, sign: 1 | -1) => {
    if (revisionOf(pod) === current.revision) count.current += sign;
    if (revisionOf(pod) === update.revision) count.updated += sign;
  };
  for (const pod of pods) {
    if (ordinalOf(pod, set) === undefined) continue;
    count.replicas++;
    if (isRunning(pod)) {
      count.ready++;
      if (isAvailable(pod, state)) count.available++;
    }
    if (!isDeleting(pod)) add(pod, 1);
  }
  for (const { pod } of steps.create) {
    count.replicas++;
    add(pod, 1);
  }
  for (const pod of steps.delete) add(pod, -1);
  const isComplete =
    (set.spec?.updateStrategy?.type ?? "RollingUpdate") === "RollingUpdate" &&
    count.updated === count.replicas &&
    count.ready === count.replicas &&
    count.replicas === (set.spec?.replicas ?? 1);
  const { conditions, collisionCount = 0 } = set.status ?? {};
  return {
    observedGeneration: set.metadata.generation ?? 0,
    replicas: count.replicas,
    readyReplicas: count.ready,
    availableReplicas: count.available,
    currentReplicas: isComplete ? count.updated : Math.max(0, count.current),
    updatedReplicas: Math.max(0, count.updated),
    currentRevision: isComplete ? update.revision : current.revision,
    updateRevision: update.revision,
    collisionCount,
    ...(conditions ? { conditions: conditions.map((condition) => ({ ...condition })) } : {}),
  };
}

/** The status when no step could be taken. */
export const observedStatus = (state: StatefulState): StatefulSetStatus => statusAfter(state, nothing);

/** When the next ready pod counts as available. */
export function nextAvailabilityMs({
  set,
  pods,
  now,
}: Pick<StatefulState, "set" | "pods" | "now">): number | undefined {
  const { minReadySeconds } = set.spec ?? {};
  if (!minReadySeconds) return undefined;
  const left = pods.map((pod) => availableInMs(pod, { minReadySeconds, now })).filter((ms) => ms !== undefined);
  return left.length > 0 ? Math.min(...left) : undefined;
}
