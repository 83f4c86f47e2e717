/** A library that few answers need. */
export const loadYaml = () => import("./yaml-print.ts");
export { printAsideBytesMin } from "./yaml-sizes.ts";
export const printAside = async (json: Uint8Array, form: "yaml" | "indented"): Promise<Uint8Array> =>
  (await import("./yaml-thread.ts")).printAside(json, form);
/** Read and written only by servers that offer it and clients that ask: loaded then. */
export const loadCbor = () => import("./cbor/mod.ts");
export { type Condition, validateConditions } from "./condition-validation.ts";
export {
  type Configuration,
  ConfigurationError,
  type ConfigurationKind,
  decodeConfiguration,
  type ObjectShape,
  type Shape,
  type ShapeValue,
  shape,
} from "./configuration.ts";
export {
  type ApplyPatch,
  type Decoded,
  type DecodeOptions,
  decodeApplyPatch,
  decodeCborApply,
  decodeCborUnstructured,
  decodeJsonObject,
  decodeObject,
  decodeValue,
  type FieldValidation,
  internalPackage,
  parseYamlText,
  schemeName,
  summarize,
} from "./decode.ts";
export { DecodeError } from "./decode-error.ts";
export { cloneJson, jsonEqual, semanticEqual } from "./deep.ts";
export {
  type ApplyRequest,
  type ApplyResult,
  applyObject,
  type FieldPattern,
  type FieldSet,
  type FromScale,
  fieldSet,
  lastAppliedAnnotation,
  type ManagedFields,
  managedFieldsFromScale,
  managedFieldsProblem,
  managedFieldsToScale,
  type OtherVersion,
  type ReplicasPaths,
  revertManagedFieldsTimes,
  type UpdateRequest,
  updateManagedFields,
} from "./apply/mod.ts";
export {
  type FieldError,
  type FieldErrorReason,
  FieldPath,
  fieldError,
  printFieldErrors,
  printValue,
} from "./field.ts";
export {
  escapeFieldValue,
  everyFieldSelector,
  type FieldMatcher,
  type FieldRequirement,
  type FieldTransform,
  fieldSelectorOf,
  parseFieldSelector,
} from "./field-selector.ts";
export { goJson, goNumber, goQuote, goValue, isPrintable } from "./go-text.ts";
export { JsonSyntaxError, jsonComplaint, jsonDepthMax } from "./json-complaint.ts";
export { jsonText, measureJson, parseJson } from "./json-text.ts";
export {
  compileLabelSelector,
  everythingSelector,
  goLabelSelector,
  type LabelMatcher,
  type LabelOperator,
  type LabelRequirement,
  type LabelSelector,
  type LabelSelectorRequirement,
  type Labels,
  labelRequirement,
  nothingSelector,
  printLabelSelector,
  SelectorError,
  selectorFromLabels,
} from "./label-selector.ts";
export {
  compileNodeSelector,
  compileRequiredNodes,
  compileTerm,
  namedNodes,
  type NodeMatcher,
  type SelectableNode,
} from "./node-selector.ts";
export { areTolerated, isTolerated, tolerates } from "./taints.ts";
export { parseLabelSelector } from "./label-selector-text.ts";
export {
  annotationsBytesMax,
  fieldImmutableMessage,
  type LabelSelectorOptions,
  missingResourceVersion,
  negativeMessage,
  type ObjectMetaOptions,
  type ObjectMetaUpdateOptions,
  validateAnnotations,
  validateFieldManager,
  validateFinalizers,
  validateImmutable,
  validateLabelSelector,
  validateLabelSelectorRequirement,
  validateLabels,
  validateManagedFields,
  validateObjectMeta,
  validateObjectMetaUpdate,
  validateOwnerReferences,
} from "./meta-validation.ts";
export * from "./names.ts";
export { compareResourceVersions, whyNoResourceVersion } from "./resource-version.ts";
export type {
  DeepReadonly,
  KubernetesList,
  KubernetesObject,
  ManagedFieldsEntry,
  ObjectMeta,
  OwnerReference,
} from "./object.ts";
export {
  type DeleteOptionsLike,
  type PatchWriteOptions,
  validateDeleteOptions,
  validateDryRun,
  validatePatchOptions,
  validateWriteOptions,
  type WriteOptions,
} from "./options-validation.ts";
export { applyJsonPatch, type JsonPatchOperation } from "./patch/json-patch.ts";
export { createMergePatch, createThreeWayMergePatch, mergePatch } from "./patch/merge-patch.ts";
export {
  type Patch,
  type Patched,
  type PatchMediaType,
  type PatchOptions,
  patchStatus,
  readPatch,
  repeatedFields,
} from "./patch/patch.ts";
export { PatchError } from "./patch/patch-error.ts";
export { strategicPatch } from "./patch/strategic-patch.ts";
export {
  createProtobufCodec,
  decodeEnvelope,
  encodeEnvelope,
  envelopeAround,
  isProtobufEnvelope,
  type ProtobufCodec,
  type ProtobufEnvelope,
  ProtobufError,
  type ProtobufStyle,
} from "./protobuf.ts";
export {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  milliQuantityOf,
  negateQuantity,
  parseQuantity,
  printQuantity,
  type Quantity,
  QuantityError,
  type QuantityFormat,
  type QuantityLike,
  quantityFloat,
  quantityMilliValue,
  quantityOf,
  quantitySign,
  quantityValue,
  subtractQuantities,
} from "./quantity.ts";
export type { AnySchema, FieldSchema, ListSchema, TypeSchema, ValueSchema } from "./schema.ts";
export { type CompactEnums, type CompactTypes, type TypeFacts, typeFacts } from "./type-facts.ts";
export {
  type GroupResource,
  isStatusError,
  printGroupResource,
  type Status,
  type StatusCause,
  StatusError,
  statusError,
} from "./status.ts";
export {
  canonicalMicroTimeText,
  canonicalTimeText,
  formatMicroTime,
  formatTime,
  humanDuration,
  shortHumanDuration,
  TimeError,
  timeMs,
  writtenTimeMs,
} from "./time.ts";
export type { ApiRequest, Transport, WatchEvent } from "./transport.ts";
export { forgetEmpty, omitEmpty } from "./stored-form.ts";
export { checkTyped, type TypedOptions, type TypedResult } from "./typed.ts";
