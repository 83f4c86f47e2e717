/**
 * The picture a Deployment's decisions are made on: the set that has today's template, the older sets, and how large each is
 * to become. Sizes and annotations are changed on shallow copies here and written by the shell afterwards.
 */
import type { Deployment, DeploymentCondition, ReplicaSet } from "#api";
import { semanticEqual } from "#machinery";
import { shareOf } from "../lib/int-or-percent.ts";
import { byCreation, type Seen, uidOf } from "../lib/objects.ts";

export const revisionAnnotation = "deployment.kubernetes.io/revision";
export const revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history";
/** Size of the Deployment when the set was last scaled: tells scaling from rolling out. */
export const desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas";
/** The same with surge: what the set's size was a share of. */
export const maxReplicasAnnotation = "deployment.kubernetes.io/max-replicas";
export const hashLabel = "pod-template-hash";

/** A set as it will be. */
export interface PlannedSet {
  /** Missing: it is to be created. */
  readonly before?: Seen<ReplicaSet>;
  readonly name: string;
  /** Of one that is to be created. */
  readonly hash?: string;
  replicas: number;
  annotations: Record<string, string>;
  minReadySeconds: number;
}

export interface Rollout {
  readonly deployment: Seen<Deployment>;
  readonly now: number;
  /** Pods wanted. */
  readonly desired: number;
  /** How many more than wanted there may be, and how many fewer, while rolling. */
  readonly maxSurge: number;
  readonly maxUnavailable: number;
  newSet: PlannedSet | undefined;
  /** Oldest first. */
  readonly oldSets: PlannedSet[];
  /** Of the Deployment, as they will be. */
  conditions: DeploymentCondition[];
  annotations: Record<string, string>;
}

export function openRollout(deployment: Seen<Deployment>, sets: readonly Seen<ReplicaSet>[], now: number): Rollout {
  const desired = deployment.spec?.replicas ?? 1;
  const sorted = [...sets].sort(byCreation);
  const current = sorted.find((set) => hasTemplateOf(set, deployment));
  return {
    deployment,
    now,
    desired,
    ...fenceposts(deployment, desired),
    newSet: current && plannedSet(current),
    oldSets: sorted.filter((set) => set !== current).map(plannedSet),
    conditions: (deployment.status?.conditions ?? []).map((condition) => ({ ...condition })),
    annotations: { ...deployment.metadata.annotations },
  };
}

const plannedSet = (set: Seen<ReplicaSet>): PlannedSet => ({
  before: set,
  name: set.metadata.name ?? "",
  replicas: set.spec?.replicas ?? 1,
  annotations: { ...set.metadata.annotations },
  minReadySeconds: set.spec?.minReadySeconds ?? 0,
});

/** The hash label is the only difference allowed: it is in the set's template and not in the Deployment's. */
export function hasTemplateOf(set: Seen<ReplicaSet>, deployment: Seen<Deployment>): boolean {
  const { [hashLabel]: _ours, ...setLabels } = set.spec?.template?.metadata?.labels ?? {};
  const { [hashLabel]: _theirs, ...labels } = deployment.spec?.template.metadata?.labels ?? {};
  const setTemplate = set.spec?.template;
  const template = deployment.spec?.template;
  return (
    semanticEqual(setTemplate?.spec, template?.spec) &&
    semanticEqual({ ...setTemplate?.metadata, labels: setLabels }, { ...template?.metadata, labels })
  );
}

/** When both round to nothing, one pod at a time may be missing: otherwise the roll-out could never begin. */
function fenceposts(deployment: Seen<Deployment>, desired: number): { maxSurge: number; maxUnavailable: number } {
  if (!isRolling(deployment)) return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge, maxUnavailable } = deployment.spec?.strategy?.rollingUpdate ?? {};
  const surge = shareOf(maxSurge, { total: desired, roundUp: true });
  const unavailable = shareOf(maxUnavailable, { total: desired, roundUp: false });
  const allowed = surge === 0 && unavailable === 0 ? 1 : unavailable;
  return { maxSurge: surge, maxUnavailable: desired === 0 ? 0 : Math.min(allowed, desired) };
}

export const isRolling = (deployment: Seen<Deployment>): boolean => deployment.spec?.strategy?.type === "RollingUpdate";

export const allSets = ({ newSet, oldSets }: Rollout): PlannedSet[] => (newSet ? [...oldSets, newSet] : oldSets);

export const sum = (sets: readonly PlannedSet[], of: (set: PlannedSet) => number): number =>
  sets.reduce((total, set) => total + of(set), 0);

export const sizeOf = (set: PlannedSet): number => set.replicas;
export const availableOf = (set: PlannedSet): number => set.before?.status?.availableReplicas ?? 0;
export const actualOf = (set: PlannedSet): number => set.before?.status?.replicas ?? 0;

export const isActive = (set: PlannedSet): boolean => set.replicas > 0;

/** A revision that is no number counts as none. They are 64 bits wide, and whoever writes a set by hand may use them all. */
export const revisionOf = (annotations: Readonly<Record<string, string>>): bigint =>
  readRevision(annotations[revisionAnnotation]) ?? 0n;

export const readRevision = (text = "0"): bigint | undefined =>
  /^[+-]?[0-9]+$/.test(text) ? BigInt.asIntN(64, BigInt(text.replace("+", ""))) : undefined;

export const byNumber = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** 2^31 - 1 means no deadline, as it does upstream. */
export const progressDeadlineMs = (deployment: Seen<Deployment>): number | undefined => {
  const seconds = deployment.spec?.progressDeadlineSeconds;
  return seconds === undefined || seconds === 2 ** 31 - 1 ? undefined : seconds * 1000;
};

export const isSameSet = (a: PlannedSet, b: Seen<ReplicaSet>): boolean =>
  a.before !== undefined && uidOf(a.before) === uidOf(b);
