/**
 * What a deletion means for an object as it is: gone at once, marked and left to its finalizers or its grace period, or nothing new.
 * Pure; follows rest.BeforeDelete and Store.updateForGracefulDeletionAndFinalizers.
 */
import type { DeepReadonly, KubernetesObject, ObjectMeta } from "#machinery";
import { statusError } from "#machinery";
import type { StoredKind } from "../resource.ts";
import { rfc3339 } from "./rfc3339.ts";

export interface DeleteOptions {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly gracePeriodSeconds?: number;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly orphanDependents?: boolean;
  readonly propagationPolicy?: string;
  readonly dryRun?: readonly string[];
  readonly ignoreStoreReadErrorWithClusterBreakingPotential?: boolean;
}

/** Of the garbage collector. */
export const finalizers = { orphan: "orphan", foreground: "foregroundDeletion" } as const;

export type DeletionPlan =
  /** Remove it; `object` is its last state, as answered. */
  | { readonly type: "remove"; readonly object: DeepReadonly<KubernetesObject> }
  /** Store this: it is being deleted. */
  | { readonly type: "mark"; readonly object: KubernetesObject }
  /** Its deletion is under way and this request doesn't change that. */
  | { readonly type: "pending" };

export interface DeletionRequest {
  readonly kind: StoredKind;
  readonly object: DeepReadonly<KubernetesObject>;
  readonly options: DeleteOptions;
  readonly now: number;
}

export function planDeletion({ kind, object, options, now }: DeletionRequest): DeletionPlan {
  checkPreconditions({ kind, object, options, now });
  const metadata = object.metadata ?? {};
  const grace = gracePlan({ kind, object, options, now });
  if (grace.type === "pending") return grace;
  const wanted = finalizersAfter(kind, metadata, options);
  const held = wanted.length > 0;
  if (grace.type === "none") {
    if (!held) return { type: "remove", object };
    const marked = mark(metadata, now);
    return { type: "mark", object: { ...object, metadata: { ...marked, finalizers: wanted } } as KubernetesObject };
  }
  const next = { ...object, metadata: withFinalizers(grace.metadata, wanted) } as KubernetesObject; // the old one is not changed
  return held || grace.seconds > 0 ? { type: "mark", object: next } : { type: "remove", object: next };
}

type Meta = DeepReadonly<ObjectMeta>;

export function checkPreconditions({ kind, object, options }: DeletionRequest): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { name = "", uid: foundUid = "", resourceVersion: foundVersion = "" } = object.metadata ?? {};
  const refuse = (what: string, asked: string, found: string, why: string) =>
    statusError.conflict(
      { group: kind.group, resource: kind.kind },
      name,
      `the ${what} in the precondition (${asked}) does not match the ${what} in record (${found}). The object might have been ${why}`,
    );
  if (uid !== undefined && uid !== foundUid) throw refuse("UID", uid, foundUid, "deleted and then recreated");
  if (resourceVersion !== undefined && resourceVersion !== foundVersion) {
    throw refuse("ResourceVersion", resourceVersion, foundVersion, "modified");
  }
}

type GracePlan =
  | { readonly type: "pending" }
  /** The kind knows no grace period, or it is over. */
  | { readonly type: "none" }
  | { readonly type: "set"; readonly seconds: number; readonly metadata: Meta };

function gracePlan({ kind, object, options, now }: DeletionRequest): GracePlan {
  const metadata = object.metadata ?? {};
  const asked =
    options.gracePeriodSeconds === undefined
      ? undefined
      : options.gracePeriodSeconds < 0
        ? 1
        : options.gracePeriodSeconds;
  const { gracefulDeletion } = kind.behaviour;
  if (!gracefulDeletion) return { type: "none" };
  if (metadata.deletionTimestamp !== undefined) {
    const running = metadata.deletionGracePeriodSeconds;
    if (running === undefined) return { type: "none" };
    if (asked === undefined || asked >= running) return { type: "pending" };
    const started = Date.parse(metadata.deletionTimestamp) - running * 1000;
    return { type: "set", seconds: asked, metadata: withGrace(metadata, started, asked) };
  }
  const { gracePeriodSeconds: seconds } = gracefulDeletion(object as KubernetesObject, asked); // kinds promise not to change it
  const marked = withGrace(metadata, now, seconds);
  const generation = (metadata.generation ?? 0) > 0 ? { generation: (metadata.generation ?? 0) + 1 } : {};
  return { type: "set", seconds, metadata: { ...marked, ...generation } };
}

const withGrace = (metadata: Meta, start: number, seconds: number): Meta => ({
  ...metadata,
  deletionTimestamp: rfc3339(start + seconds * 1000),
  deletionGracePeriodSeconds: seconds,
});

/** For kinds without a grace period that something holds. */
function mark(metadata: Meta, now: number): Meta {
  if (metadata.deletionTimestamp !== undefined) return { ...metadata, deletionGracePeriodSeconds: 0 };
  const generation = (metadata.generation ?? 0) > 0 ? { generation: (metadata.generation ?? 0) + 1 } : {};
  return { ...metadata, ...generation, deletionTimestamp: rfc3339(now), deletionGracePeriodSeconds: 0 };
}

function withFinalizers(metadata: Meta, wanted: readonly string[]): Meta {
  const { finalizers: _, ...rest } = metadata;
  return wanted.length > 0 ? { ...rest, finalizers: wanted } : rest;
}

/** The garbage collector's finalizers as the options say, in place of those that were there. */
export function finalizersAfter({ behaviour }: StoredKind, metadata: Meta, options: DeleteOptions): readonly string[] {
  const present = metadata.finalizers ?? [];
  const policy = propagation(present, options, behaviour.defaultPropagation ?? "Background");
  const others = present.filter((each) => each !== finalizers.orphan && each !== finalizers.foreground);
  if (policy === "Orphan") return [...others, finalizers.orphan];
  return policy === "Foreground" ? [...others, finalizers.foreground] : others;
}

function propagation(
  present: readonly string[],
  options: DeleteOptions,
  usual: "Orphan" | "Background" | "Unsupported",
): string {
  if (usual === "Unsupported") return "Background";
  if (options.orphanDependents !== undefined) return options.orphanDependents ? "Orphan" : "Background";
  if (options.propagationPolicy !== undefined) return options.propagationPolicy;
  if (present.includes(finalizers.orphan)) return "Orphan";
  return present.includes(finalizers.foreground) ? "Foreground" : usual;
}
