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
 * Of an apply: applyObject, decode (the merged object still has the nulls and zero values of the body), default, mutating
 * admission, strategy, validation, store. After mutating admission changed entries, `managedFieldsProblem` tells whether
 * they can stay. `live` and `result` are as decoding leaves them: null only where upstream prints it.
 * `resetFields` come from `fieldSet(["status"])`: paths of field names. A Scale's `metadata.managedFields` are what
 * managedFieldsToScale says, the parent's after the write what managedFieldsFromScale says.
 *
 * The type of a custom kind has `apiVersion`, `kind` and `metadata` as fields; fields with preserved unknown fields and no
 * type or properties are object types without fields and with preserveUnknown, or `any` without a form: any JSON, owned
 * field by field. `any` with a form is owned as a whole.
 */
export type { ApplyRequest, ApplyResult, ManagedFields, OtherVersion, UpdateRequest } from "./request.ts";
export { applyObject } from "./applier.ts";
export { managedFieldsProblem } from "./entries.ts";
export { lastAppliedAnnotation } from "./last-applied.ts";
export { updateManagedFields } from "./manager.ts";
export { type FromScale, managedFieldsFromScale, managedFieldsToScale, type ReplicasPaths } from "./scale.ts";
export { type FieldPattern, type FieldSet, fieldSet } from "./set.ts";
export { revertManagedFieldsTimes } from "./times.ts";
