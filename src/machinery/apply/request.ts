/** What the API server hands over when something is written, and what it gets back. */
import type { KubernetesObject, ManagedFieldsEntry } from "../object.ts";
import type { TypeSchema } from "../schema.ts";
import type { FieldPattern, FieldSet } from "./set.ts";

/** How an object looks in another version of its kind: entries of `managedFields` keep the version they were written with. */
export interface OtherVersion {
  readonly schema: TypeSchema;
  convert(object: KubernetesObject): KubernetesObject;
}

interface WriteRequest {
  /** Of the version the request speaks (`apiVersion`). */
  readonly schema: TypeSchema;
  readonly apiVersion: string;
  /** Field manager, or what the server takes from the User-Agent; "" is recorded as `unknown`. */
  readonly manager: string;
  /** "" or undefined for the resource itself. */
  readonly subresource?: string;
  /** Now, RFC 3339 with whole seconds. */
  readonly time: string;
  /** What this endpoint's strategy puts back to its old value: never owned by the writer. */
  readonly resetFields?: FieldSet;
  /** If set, nothing outside it is ever owned by the writer (`pods/resize`). */
  readonly ownableFields?: FieldPattern;
  /**
   * Finds another version of the kind; undefined when it isn't served any more: its entries are dropped.
   * Left out, versions are taken to have the same fields.
   */
  readonly otherVersion?: (apiVersion: string) => OtherVersion | undefined;
}

/** A create, update or patch. */
export interface UpdateRequest extends WriteRequest {
  /** As stored, in `apiVersion`; undefined for a create. Not changed. */
  readonly live: KubernetesObject | undefined;
  /**
   * What will be written, decoded and defaulted, before mutating admission and before the strategy fills in anything.
   * Its `metadata.managedFields` are what the client sent. Not changed.
   */
  readonly result: KubernetesObject;
}

/** A server-side apply. */
export interface ApplyRequest extends WriteRequest {
  readonly kind: string;
  /** As stored, in `apiVersion`; undefined when the apply creates. Not changed. */
  readonly live: KubernetesObject | undefined;
  /** The body as decoded from YAML, not defaulted, nothing pruned. Not changed. */
  readonly applied: KubernetesObject;
  readonly force: boolean;
}

export interface ApplyResult {
  /**
   * The merged object with its new `metadata.managedFields`, not yet decoded and defaulted. It shares nothing with
   * `live` and `applied` but entries of managed fields, which are never changed in place.
   */
  readonly object: KubernetesObject;
  /** True when neither the object nor who owns what has changed: there is nothing to write. */
  readonly unchanged: boolean;
}

/** undefined: the object has no managed fields. */
export type ManagedFields = ManagedFieldsEntry[] | undefined;
