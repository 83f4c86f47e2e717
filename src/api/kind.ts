/**
 * What is particular to one kind, declared in one place. Shape (fields, types, verbs, names) comes from the facts;
 * a kind adds behaviour: defaults, validation, what a write may change, table columns, selectable fields.
 * The registry in the API server is generic and knows kinds only through this.
 *
 * Objects passed in belong to the callee's request and may be changed by `defaults` and `prepare…`; `old` never.
 * Order of a create: decode, defaults, prepareForCreate, admission, name, validate, warnings. Of an update: decode or patch, defaults,
 * prepareForUpdate, admission, validateUpdate (which includes validate), warnings.
 */
import type { FieldError, GroupResource, KubernetesObject } from "#machinery";

export interface RequestUser {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** What a strategy may know beside the object. */
export interface WriteContext {
  readonly user: RequestUser;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly resource: GroupResource & { readonly version: string };
  /** "" for the object itself, else "status", "scale", … */
  readonly subresource: string;
}

/** Which part of an object a write through some path may change. */
export interface Strategy<T> {
  /** Puts back what this path may not change, sets what the server owns (generation, initial status, …). */
  prepareForUpdate?(object: T, old: T, context: WriteContext): void;
  /**
   * Comes right before `validate` and `validateUpdate` of the same objects, for what they need and must be waited for, or would hold up
   * others if it were done at once. A promise only if there is something to wait for.
   */
  beforeValidate?(object: T, old: T | undefined): Promise<void> | undefined;
  /** The whole check of an update: the object itself and against the old one. */
  validateUpdate?(object: T, old: T, context: WriteContext): FieldError[];
  warningsOnUpdate?(object: T, old: T, context: WriteContext): string[];
  /** Fields a manager never owns through this path, as dotted paths ("status", "metadata.labels"). */
  readonly resetFields?: readonly string[];
}

/** What the documentation of a field says. The words aren't in this tree: the build brings them along. */
export interface FieldText {
  /** Type as client generators name it, and field: `V1ObjectMeta.creationTimestamp`. */
  readonly field: string;
  /** Where more than a blank stands: after so many words, what. */
  readonly gaps?: Readonly<Record<number, string>>;
}

export interface Column<T> {
  readonly name: string;
  /** OpenAPI type of the cell: string, integer, number, boolean, date. */
  readonly type: string;
  readonly format?: string;
  readonly description?: string | FieldText;
  /** 0: always shown; 1: only with `-o wide`. */
  readonly priority?: number;
  /** The cell. `now` for ages. */
  readonly of: (object: T, now: number) => string | number | boolean | null;
}

export interface GracefulDeletion {
  /** Seconds until the object may go; 0: at once. */
  readonly gracePeriodSeconds: number;
}

export interface Kind<T extends KubernetesObject = KubernetesObject> extends Strategy<T> {
  /** API group, "" for core. */
  readonly group: string;
  readonly kind: string;
  /** What invalid objects are said to be of, where upstream's scheme knows the kind by an older group first. */
  readonly groupInErrors?: string;
  /** Plural, as in the URL; the key into the facts with group and version. */
  readonly resource: string;
  /** The version that is stored and that all hooks see. */
  readonly storageVersion: string;
  /** Between served versions whose shapes differ; without it only apiVersion changes. May change and return its argument. */
  readonly convert?: {
    toStorage(object: KubernetesObject, fromVersion: string): T;
    fromStorage(object: T, toVersion: string): KubernetesObject;
  };
  /** Fills in what upstream's versioned defaults fill in; idempotent. */
  defaults?(object: T): void;
  /** Upstream stores another version, which clients see in discovery's hash. */
  readonly hashedVersion?: string;
  /** About what `prepareForCreate` is going to put right. */
  warningsBeforeCreate?(object: T): string[];
  prepareForCreate?(object: T, context: WriteContext): void;
  validate?(object: T, context: WriteContext): FieldError[];
  warningsOnCreate?(object: T, context: WriteContext): string[];
  /** Messages for a bad metadata.name; DNS subdomain when missing. `prefix`: it is a generateName. */
  validateName?(name: string, prefix: boolean): string[];
  /** Finalizers needn't be of a domain: kinds outside of the core's own validation. */
  readonly anyFinalizer?: boolean;
  /** PUT of an object that doesn't exist creates it. */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without resourceVersion is allowed; true when missing. */
  readonly allowUnconditionalUpdate?: boolean;
  /** Dependents of a deleted object when the client says nothing; background when missing; "Unsupported": never anything else (events). */
  readonly defaultPropagation?: "Orphan" | "Background" | "Unsupported";
  /** How long deletion takes for this object; missing: at once. */
  gracefulDeletion?(object: T, requestedSeconds: number | undefined): GracefulDeletion;
  /** What to tell who deletes an object, or a collection. */
  warningsOnDelete?(options: { readonly propagationPolicy?: string; readonly orphanDependents?: boolean }): string[];
  /** Refuses or changes a deletion (e.g. a bound claim). */
  validateDelete?(object: T, context: WriteContext): FieldError[];
  /** status and others that are a view of the same object. */
  readonly subresources?: Readonly<Record<string, Strategy<T>>>;
  /** Scale: where replicas and the selector are. */
  readonly scale?: {
    replicasOf(object: T): number;
    setReplicas(object: T, replicas: number): void;
    statusReplicasOf(object: T): number;
    selectorOf(object: T): string;
    /** `spec.replicas` when missing. */
    readonly replicasPath?: readonly string[];
    /** Why there is no scale to show. */
    missing?(object: T): string | undefined;
  };
  /** Beside metadata.name and metadata.namespace. */
  selectableFields?(object: T): Record<string, string>;
  /** What `selectableFields` may answer; other fields in a field selector are refused. */
  readonly selectableFieldNames?: readonly string[];
  /**
   * What a field of a selector in this version is called among `selectableFields`; undefined: it can't be selected there. Without it
   * fields are called what they are, and every kind has metadata.namespace.
   */
  selectableField?(field: string, apiVersion: string): string | undefined;
  /** How upstream refuses another field; without it: `"x" is not a known field selector: only "metadata.name", "metadata.namespace"`. */
  unknownField?(field: string): string;
  /** Has no form in protobuf. */
  readonly jsonOnly?: boolean;
  /** Cells after NAME (unless one of them is called "Name"); without it upstream's default: NAME and AGE. */
  readonly columns?: readonly Column<T>[];
  /** Marks on a table's row: finished pods are greyed out. */
  rowConditions?(object: T): { type: string; status: string; reason: string; message: string }[];
}

/** Checks the shape at compile time; answers its argument. */
export function defineKind<T extends KubernetesObject>(kind: Kind<T>): Kind<T> {
  return kind;
}
