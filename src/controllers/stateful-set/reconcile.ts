/**
 * The next step of a StatefulSet. In order, one pod at a time: ordinals are created upwards, each only when all below are ready;
 * removed downwards; replaced downwards by a new template, as far as the partition allows. With podManagementPolicy Parallel creation and
 * removal wait for nothing. Pure. Upstream: stateful_set_control.go.
 */
import type { Pod, StatefulSet, StatefulSetStatus } from "#api";
import { shareOf } from "../lib/int-or-percent.ts";
import { isDeleting, type Seen, type SeenObject } from "../lib/objects.ts";
import { availableInMs, isPodAvailable, isPodFinished, isPodReady, type SeenPod } from "../lib/pods.ts";
import {
  claimNames,
  claimOwnership,
  isStaleClaim,
  mendedPod,
  newPod,
  ordinalOf,
  type Revisioned,
  revisionLabel,
  startOf,
} from "./identity.ts";

export interface StatefulState {
  readonly set: Seen<StatefulSet>;
  /** Those it controls whose names are its own. */
  readonly pods: readonly SeenPod[];
  /** What pods have that the update hasn't reached. */
  readonly current: Revisioned;
  readonly update: Revisioned;
  /** How often a revision's name was taken. */
  readonly collisions: number;
  /** A claim by its name, if there is one. */
  claim(name: string): SeenObject | undefined;
  readonly now: number;
}

export interface Member {
  readonly ordinal: number;
  readonly pod: SeenPod;
}

export interface StatefulPlan {
  readonly create: readonly { readonly ordinal: number; readonly pod: Pod }[];
  readonly delete: readonly SeenPod[];
  /** Pods that can't start as long as a claim is missing. */
  readonly pending: readonly Member[];
  /** Pods whose identity, storage or claims' owners aren't as they should be. */
  readonly mend: readonly Member[];
  /** Pods that are one too many and whose claims don't have the owners they should have. */
  readonly release: readonly Member[];
  readonly status: StatefulSetStatus;
}

type Steps = { -readonly [K in Exclude<keyof StatefulPlan, "status">]: StatefulPlan[K][number][] };

const revisionOf = (pod: SeenPod): string => pod.metadata.labels?.[revisionLabel] ?? "";
const isRunning = (pod: SeenPod) => pod.status?.phase === "Running" && isPodReady(pod);

export function planStateful(state: StatefulState): StatefulPlan {
  const steps: Steps = { create: [], delete: [], pending: [], mend: [], release: [] };
  const outdated = isDeleting(state.set) ? [] : nextSteps(state, steps);
  steps.delete.push(...outdated.filter((pod) => !steps.delete.includes(pod)));
  return { ...steps, status: statusOf(state, outdated.length) };
}

interface Sorted {
  /** By ordinal from the first; undefined where there is none. */
  readonly replicas: readonly (SeenPod | undefined)[];
  /** Beyond the wanted ordinals, highest first. */
  readonly condemned: readonly Member[];
}

function sortPods({ set, pods }: StatefulState): Sorted {
  const start = startOf(set);
  const replicas = new Array<SeenPod | undefined>(set.spec?.replicas ?? 1).fill(undefined);
  const condemned: Member[] = [];
  for (const pod of pods) {
    const ordinal = ordinalOf(pod, set);
    if (ordinal === undefined) continue;
    if (ordinal >= start && ordinal < start + replicas.length) replicas[ordinal - start] = pod;
    else condemned.push({ pod, ordinal });
  }
  condemned.sort((a, b) => b.ordinal - a.ordinal);
  return { replicas, condemned };
}

/** Fills in the steps; answers the pods that make way for a new template. */
function nextSteps(state: StatefulState, steps: Steps): readonly SeenPod[] {
  const { set } = state;
  const sorted = sortPods(state);
  const inOrder = set.spec?.podManagementPolicy !== "Parallel";
  for (const [index, pod] of sorted.replicas.entries()) {
    if (isBlockedBy(state, { ordinal: startOf(set) + index, pod, steps }) && inOrder) return [];
  }
  for (const member of sorted.condemned) {
    if (!hasItsClaims(state, member)) steps.release.push(member);
  }
  if (condemn(state, sorted, steps) && inOrder) return [];
  return set.spec?.updateStrategy?.type === "OnDelete" ? [] : outdatedPods(state, sorted.replicas);
}

/** What one replica needs; answers whether those after it have to wait, if they do. */
function isBlockedBy(
  state: StatefulState,
  { ordinal, pod, steps }: { ordinal: number; pod: SeenPod | undefined; steps: Steps },
): boolean {
  const { set } = state;
  if (!pod) {
    const isStale = (name: string) => {
      const claim = state.claim(name);
      return claim !== undefined && isStaleClaim(claim, { set, ordinal });
    };
    // A claim of a former pod goes first; its deletion brings us back.
    if (!claimNames(set, ordinal).some(isStale)) {
      steps.create.push({ ordinal, pod: newPod(set, ordinal, revisionFor(state, ordinal)) });
    }
    return true;
  }
  if (isPodFinished(pod)) {
    // Made anew when this one is gone: the name is taken until then.
    if (!isDeleting(pod)) steps.delete.push(pod);
    return true;
  }
  const member = { ordinal, pod };
  if (pod.status?.phase === "Pending") steps.pending.push(member);
  const isReliable = !isDeleting(pod) && isRunning(pod) && isAvailable(pod, state);
  if (!isReliable && set.spec?.podManagementPolicy !== "Parallel") return true;
  if (mendedPod(pod, set, ordinal) || !hasItsClaims(state, member)) steps.mend.push(member);
  return !isReliable;
}

const hasItsClaims = ({ set, claim }: StatefulState, { ordinal, pod }: Member): boolean =>
  claimNames(set, ordinal).every((name) => {
    const found = claim(name);
    return !found || claimOwnership(found, { set, ordinal, pod }).owners === undefined;
  });

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

/** Too many pods go, the highest first. Answers whether one goes or has to be waited for. */
function condemn(state: StatefulState, { replicas, condemned }: Sorted, steps: Steps): boolean {
  const inOrder = state.set.spec?.podManagementPolicy !== "Parallel";
  const all = [...replicas, ...condemned.map(({ pod }) => pod).reverse()];
  const firstUnavailable = all.find((pod) => !pod || isUnavailable(pod, state));
  for (const { pod } of condemned) {
    if (isDeleting(pod)) {
      if (inOrder) return true;
      continue;
    }
    const isReliable = isRunning(pod) && isAvailable(pod, state);
    if (!inOrder || isReliable || pod === firstUnavailable) steps.delete.push(pod);
    if (inOrder) return true;
  }
  return false;
}

const isUnavailable = (pod: SeenPod | undefined, state: StatefulState): boolean =>
  !pod || isDeleting(pod) || !isAvailable(pod, state);

/** Pods of an old template that make way now: the highest ordinal, when all above it are well, or as many as may be missing. */
function outdatedPods(state: StatefulState, replicas: Sorted["replicas"]): SeenPod[] {
  const { set, update } = state;
  const { partition = 0, maxUnavailable } = set.spec?.updateStrategy?.rollingUpdate ?? {};
  const isOld = (pod: SeenPod | undefined) => pod && revisionOf(pod) !== update.revision && !isDeleting(pod);
  const targets = replicas.slice(partition).reverse();
  if (maxUnavailable !== undefined) {
    const allowed = Math.max(1, shareOf(maxUnavailable, { total: replicas.length, roundUp: false }));
    const missing = replicas.filter((pod) => isUnavailable(pod, state)).length;
    return targets.filter(isOld).slice(0, Math.max(0, allowed - missing)) as SeenPod[]; // what isn't there isn't old
  }
  const first = targets.find((pod) => isOld(pod) || isUnavailable(pod, state));
  return first && isOld(first) ? [first] : [];
}

/** The status as it was seen, and without those current pods that make way now. */
function statusOf(state: StatefulState, outdated: number): StatefulSetStatus {
  const { set, pods, current, update, collisions } = state;
  const ready = pods.filter(isRunning);
  const ofRevision = (revision: string) =>
    pods.filter((pod) => !isDeleting(pod) && revisionOf(pod) === revision).length;
  const wanted = set.spec?.replicas ?? 1;
  const updated = ofRevision(update.revision);
  const isComplete =
    (set.spec?.updateStrategy?.type ?? "RollingUpdate") === "RollingUpdate" &&
    [updated, ready.length, pods.length].every((count) => count === wanted);
  return {
    observedGeneration: set.metadata.generation ?? 0,
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(pod, state)).length,
    currentReplicas: isComplete ? updated : ofRevision(current.revision) - outdated,
    updatedReplicas: updated,
    currentRevision: isComplete ? update.revision : current.revision,
    updateRevision: update.revision,
    collisionCount: collisions,
  };
}

/** The status when a step could not be taken. */
export const observedStatus = (state: StatefulState): StatefulSetStatus => statusOf(state, 0);

/** As upstream, collisions and conditions alone are no reason to write. */
export function isStatusCurrent({ status: before }: Seen<StatefulSet>, status: StatefulSetStatus): boolean {
  const { observedGeneration = 0, collisionCount: _collisions, ...counted } = status;
  return (
    observedGeneration <= (before?.observedGeneration ?? 0) &&
    Object.entries(counted).every(
      ([key, value]) => value === (before?.[key as keyof typeof counted] || (typeof value === "number" ? 0 : "")),
    ) // its own keys
  );
}

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
