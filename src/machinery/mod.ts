export { FieldPath, type FieldError, type FieldErrorReason, fieldError, printValue } from "./field.ts";
export type {
  DeepReadonly,
  KubernetesList,
  KubernetesObject,
  ManagedFieldsEntry,
  ObjectMeta,
  OwnerReference,
} from "./object.ts";
export type { FieldSchema, ListSchema, TypeSchema, ValueSchema } from "./schema.ts";
export {
  type GroupResource,
  isStatusError,
  printGroupResource,
  type Status,
  type StatusCause,
  StatusError,
  statusError,
} from "./status.ts";
export type { ApiRequest, Transport, WatchEvent } from "./transport.ts";
