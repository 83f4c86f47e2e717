/**
 * How many pods each set of a Deployment is to have: while rolling out, when scaled in the midst of it, and for Recreate.
 * Upstream: deployment/{rolling,recreate,sync}.go.
 */
import { byCreation } from "../lib/objects.ts";
import { newSetSize, noteSizes } from "./revisions.ts";
import {
  actualOf,
  allSets,
  availableOf,
  desiredReplicasAnnotation,
  isActive,
  isRolling,
  maxReplicasAnnotation,
  type PlannedSet,
  type Rollout,
  sizeOf,
  sum,
} from "./rollout.ts";

/** The size and, with it, what the size is a share of. Answers whether the size changed. */
function resize(rollout: Rollout, set: PlannedSet, replicas: number): boolean {
  if (set.replicas === replicas) return false;
  set.replicas = replicas;
  noteSizes(rollout, set);
  return true;
}

/** Whether the Deployment's size changed since its sets were last scaled. */
export function isScaling(rollout: Rollout): boolean {
  return allSets(rollout)
    .filter(isActive)
    .some((set) => {
      const noted = numberOf(set, desiredReplicasAnnotation);
      return noted !== undefined && noted !== rollout.desired;
    });
}

function numberOf(set: PlannedSet, annotation: string): number | undefined {
  const text = set.annotations[annotation];
  return text !== undefined && /^[0-9]+$/.test(text) && Number(text) < 2 ** 31 ? Number(text) : undefined;
}

/** One step of a rolling update: either the new set grows or the old ones shrink, never both on the same observation. */
export function roll(rollout: Rollout): void {
  if (growNewSet(rollout)) return;
  shrinkOldSets(rollout);
}

function growNewSet(rollout: Rollout): boolean {
  const { newSet, desired } = rollout;
  if (!newSet || newSet.replicas === desired) return false;
  return resize(rollout, newSet, newSet.replicas > desired ? desired : newSetSize(rollout, newSet));
}

function shrinkOldSets(rollout: Rollout): boolean {
  const { newSet, desired, maxUnavailable } = rollout;
  const old = rollout.oldSets.filter(isActive);
  if (old.length === 0) return false;
  const availableMin = desired - maxUnavailable;
  const newUnavailable = newSet ? newSet.replicas - availableOf(newSet) : 0;
  // Pods of the new set that don't work yet are not counted on, so a broken new version never eats up the old one.
  const room = sum(allSets(rollout), sizeOf) - availableMin - newUnavailable;
  if (room <= 0) return false;
  const dropped = shrink(rollout, old, { room, by: (set) => set.replicas - availableOf(set) });
  // Then working pods, as far as enough of them stay.
  const spare = sum([...old, ...(newSet ? [newSet] : [])], availableOf) - availableMin;
  return shrink(rollout, old, { room: spare, by: sizeOf }) + dropped > 0;
}

function shrink(
  rollout: Rollout,
  sets: PlannedSet[],
  limit: { room: number; by: (set: PlannedSet) => number },
): number {
  let left = limit.room;
  let dropped = 0;
  for (const set of sets) {
    const count = Math.min(left, limit.by(set), set.replicas);
    if (count <= 0) continue;
    resize(rollout, set, set.replicas - count);
    left -= count;
    dropped += count;
  }
  return dropped;
}

/** Recreate: nothing new before everything old is gone. Answers whether the new set may have its pods now. */
export function stopOldSets(rollout: Rollout, hasOldPods: boolean): boolean {
  let stopped = false;
  for (const set of rollout.oldSets) stopped = resize(rollout, set, 0) || stopped;
  return !stopped && !hasOldPods && sum(rollout.oldSets, actualOf) === 0;
}

export function startNewSet(rollout: Rollout): void {
  if (rollout.newSet) resize(rollout, rollout.newSet, rollout.desired);
}

/**
 * After the Deployment was resized: the only active set takes it all; in the midst of a roll-out each set takes its share, so that a
 * broken new version isn't given more pods than it had a share of.
 */
export function scale(rollout: Rollout): void {
  const { newSet, oldSets, desired, maxSurge, deployment } = rollout;
  const sets = allSets(rollout);
  const active = sets.filter(isActive);
  if (active.length <= 1) {
    const only = active[0] ?? newSet ?? oldSets.at(-1);
    if (only) resize(rollout, only, desired);
    return;
  }
  if (isSaturated(rollout)) {
    for (const set of oldSets.filter(isActive)) resize(rollout, set, 0);
    return;
  }
  if (!isRolling(deployment)) return;
  const total = desired > 0 ? desired + maxSurge : 0;
  const toAdd = total - sum(active, sizeOf);
  // The largest set takes what rounding leaves; of equals the newer one when growing, the older one when shrinking.
  const byAge = (a: PlannedSet, b: PlannedSet) => byCreation(a.before ?? {}, b.before ?? {});
  if (toAdd !== 0) active.sort((a, b) => b.replicas - a.replicas || (toAdd > 0 ? byAge(b, a) : byAge(a, b)));
  let added = 0;
  const sizes = active.map((set) => {
    const share = shareOf(rollout, set, { toAdd, left: toAdd - added });
    added += share;
    return set.replicas + share;
  });
  active.forEach((set, index) => {
    const size = (sizes[index] ?? 0) + (index === 0 ? toAdd - added : 0);
    set.replicas = Math.max(0, size);
    noteSizes(rollout, set);
  });
}

function shareOf(rollout: Rollout, set: PlannedSet, { toAdd, left }: { toAdd: number; left: number }): number {
  if (toAdd === 0 || left === 0 || set.replicas === 0) return 0;
  const { desired, maxSurge, deployment } = rollout;
  const totalBefore = numberOf(set, maxReplicasAnnotation) || deployment.status?.replicas || 0;
  const share =
    desired === 0
      ? -set.replicas
      : totalBefore === 0
        ? 0
        : Math.round((set.replicas * (desired + maxSurge)) / totalBefore) - set.replicas;
  return toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
}

/** The newest set has, and knows it should have, all the pods, and they work. */
function isSaturated({ newSet, desired }: Rollout): boolean {
  return (
    newSet !== undefined &&
    newSet.replicas === desired &&
    numberOf(newSet, desiredReplicasAnnotation) === desired &&
    availableOf(newSet) === desired
  );
}

export const describeScaling = (set: PlannedSet, from: number): string =>
  `Scaled ${set.replicas > from ? "up" : "down"} replica set ${set.name} from ${from} to ${set.replicas}`;
