/**
 * Server-side apply and managed fields: who owns which field of an object.
 *
 * The registry calls (all pure, nothing passed in is changed):
 *
 *   result.metadata.managedFields = updateManagedFields({ schema, apiVersion, live, result, manager, subresource, time,
 *     resetFields?, ownableFields?, otherVersion? })        // create, update, patch; undefined: delete the field
 *   const { object, unchanged } = applyObject({ schema, apiVersion, kind, live, applied, manager, subresource, force, time,
 *     resetFields?, ownableFields?, otherVersion? })        // throws StatusError: 409 with causes, 400, 500 as upstream
 *   revertManagedFieldsTimes({ live, result })              // after mutating admission, before the write: when nothing but
 *     times of managed fields changed, puts the old ones back (changes `result`), so that an empty write stays empty
 *   managedFieldsProblem(entries)                           // why entries are refused, undefined if they are fine
 *   managedFieldsToScale(...), managedFieldsFromScale(...)  // the scale subresource
 *
 * Order of a write, as upstream: decode, default, updateManagedFields, mutating admission, strategy, validation, store.
 * Of an apply: applyObject, default, mutating admission, strategy, validation, store.
 * `resetFields` come from `fieldSet(["status"])`: paths of field names.
 * A type for "any JSON, merged field by field" (preserve unknown fields) is an object type without fields and with preserveUnknown.
 */
export type { ApplyRequest, ApplyResult, ManagedFields, OtherVersion, UpdateRequest } from "./request.ts";
export { applyObject } from "./applier.ts";
export { managedFieldsProblem } from "./entries.ts";
export { lastAppliedAnnotation } from "./last-applied.ts";
export { updateManagedFields } from "./manager.ts";
export { type FromScale, managedFieldsFromScale, managedFieldsToScale, type ReplicasPaths } from "./scale.ts";
export { type FieldPattern, type FieldSet, fieldSet } from "./set.ts";
export { revertManagedFieldsTimes } from "./times.ts";
