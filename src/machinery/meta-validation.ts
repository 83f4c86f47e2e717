/**
 * What every object's metadata must be, at creation and at an update, and the LabelSelectors inside specs.
 * Follows apimachinery's api/validation and apis/meta/v1/validation (1.36).
 */
import { jsonEqual } from "./deep.ts";
import { type FieldError, FieldPath, fieldError } from "./field.ts";
import { isPrintable } from "./go-text.ts";
import type { LabelSelector } from "./label-selector.ts";
import { isLabelValue, isQualifiedName, longerThan, type NameCheck, nameIsDnsLabel } from "./names.ts";
import type { DeepReadonly, ManagedFieldsEntry, ObjectMeta, OwnerReference } from "./object.ts";

/** All annotations together, keys and values: protects the store from objects used as databases. */
export const annotationsBytesMax = 256 * 1024;
const fieldManagerLengthMax = 128;
const subresourceLengthMax = 256;

export const fieldImmutableMessage = "field is immutable";
export const negativeMessage = "must be greater than or equal to 0";

const finalizerOrphan = "orphan";
const finalizerForeground = "foregroundDeletion";
/** Finalizers without a domain that built-in kinds may have. */
const standardFinalizers = new Set(["kubernetes", finalizerOrphan, finalizerForeground]);

const metadata = FieldPath.root("metadata");

export interface ObjectMetaOptions {
  readonly namespaced: boolean;
  readonly checkName: NameCheck;
  /** `metadata` when missing; templates differ. */
  readonly path?: FieldPath;
  /** Custom resources may have finalizers without a domain. */
  readonly anyFinalizer?: boolean;
}

export function validateObjectMeta(meta: DeepReadonly<ObjectMeta>, options: ObjectMetaOptions): FieldError[] {
  const { namespaced, checkName, path = metadata, anyFinalizer = false } = options;
  const errors: FieldError[] = [];
  if (meta.generateName) {
    for (const message of checkName(meta.generateName, true)) {
      errors.push(fieldError.invalid(path.child("generateName"), meta.generateName, message));
    }
  }
  if (!meta.name) errors.push(fieldError.required(path.child("name"), "name or generateName is required"));
  else {
    for (const message of checkName(meta.name, false)) {
      errors.push(fieldError.invalid(path.child("name"), meta.name, message));
    }
  }
  errors.push(...validateNamespace(meta.namespace, namespaced, path.child("namespace")));
  if ((meta.generation ?? 0) < 0) {
    errors.push(fieldError.invalid(path.child("generation"), meta.generation, negativeMessage));
  }
  errors.push(
    ...validateLabels(meta.labels, path.child("labels")),
    ...validateAnnotations(meta.annotations, path.child("annotations")),
    ...validateOwnerReferences(meta.ownerReferences, path.child("ownerReferences")),
    ...validateFinalizers(meta.finalizers, path.child("finalizers")),
    ...validateManagedFields(meta.managedFields, path.child("managedFields")),
  );
  if (!anyFinalizer) errors.push(...validateStandardFinalizers(meta.finalizers, path.child("finalizers")));
  return errors;
}

function validateNamespace(...[namespace, namespaced, path]: [string | undefined, boolean, FieldPath]): FieldError[] {
  if (!namespaced) return namespace ? [fieldError.forbidden(path, "not allowed on this type")] : [];
  if (!namespace) return [fieldError.required(path)];
  return nameIsDnsLabel(namespace, false).map((message) => fieldError.invalid(path, namespace, message));
}

export interface ObjectMetaUpdateOptions {
  readonly path?: FieldPath;
  readonly anyFinalizer?: boolean;
}

export function validateObjectMetaUpdate(
  meta: DeepReadonly<ObjectMeta>,
  old: DeepReadonly<ObjectMeta>,
  { path = metadata, anyFinalizer = false }: ObjectMetaUpdateOptions = {},
): FieldError[] {
  const errors: FieldError[] = [];
  if (old.deletionTimestamp) {
    errors.push(...validateNoNewFinalizers(meta.finalizers, old.finalizers, path.child("finalizers")));
  }
  if (!meta.resourceVersion) {
    errors.push(fieldError.invalid(path.child("resourceVersion"), "", "must be specified for an update"));
  }
  if ((meta.generation ?? 0) < (old.generation ?? 0)) {
    errors.push(fieldError.invalid(path.child("generation"), meta.generation ?? 0, "must not be decremented"));
  }
  for (const name of ["name", "namespace", "uid"] as const) {
    errors.push(...validateImmutable(meta[name] ?? "", old[name] ?? "", path.child(name)));
  }
  for (const name of ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] as const) {
    errors.push(...validateImmutable(meta[name] ?? null, old[name] ?? null, path.child(name)));
  }
  errors.push(
    ...validateLabels(meta.labels, path.child("labels")),
    ...validateAnnotations(meta.annotations, path.child("annotations")),
    ...validateOwnerReferences(meta.ownerReferences, path.child("ownerReferences")),
    ...validateManagedFields(meta.managedFields, path.child("managedFields")),
  );
  if (!anyFinalizer) errors.push(...validateStandardFinalizers(meta.finalizers, path.child("finalizers")));
  return errors;
}

/** The update of an object that must not be written without a resourceVersion: the registry's own refusal. */
export const missingResourceVersion = (): FieldError =>
  ({
    reason: "FieldValueInvalid",
    field: "metadata.resourceVersion",
    message: "Invalid value: 0: must be specified for an update",
  }) satisfies FieldError;

export function validateImmutable(value: unknown, old: unknown, path: FieldPath): FieldError[] {
  return jsonEqual(value, old) ? [] : [fieldError.invalid(path, value, fieldImmutableMessage)];
}

export function validateLabels(labels: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const key in labels) {
    const value = labels[key] ?? "";
    for (const message of isQualifiedName(key)) errors.push(fieldError.invalid(path, key, message));
    for (const message of isLabelValue(value)) errors.push(fieldError.invalid(path, value, message));
  }
  return errors;
}

export function validateAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const key in annotations) {
    // Like a label's key, but upper case is allowed in the prefix.
    for (const message of isQualifiedName(key.toLowerCase())) errors.push(fieldError.invalid(path, key, message));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? "");
  }
  if (bytes > annotationsBytesMax) errors.push(fieldError.tooLong(path, annotationsBytesMax));
  return errors;
}

export function validateOwnerReferences(
  references: readonly DeepReadonly<OwnerReference>[] | undefined,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  for (const reference of references ?? []) {
    errors.push(...validateOwnerReference(reference, path));
    if (!reference.controller) continue;
    const name = `${reference.kind}/${reference.name}`;
    if (controller === undefined) controller = name;
    else {
      const found = `Found "true" in references for ${controller} and ${name}`;
      const detail = `Only one reference can have Controller set to true. ${found}`;
      errors.push(fieldError.invalid(path, references, detail));
    }
  }
  return errors;
}

function validateOwnerReference(reference: DeepReadonly<OwnerReference>, path: FieldPath): FieldError[] {
  const { apiVersion = "", kind = "", name = "", uid = "" } = reference;
  const errors: FieldError[] = [];
  const parts = apiVersion.split("/");
  const version = parts.length > 2 ? "" : (parts.at(-1) ?? "");
  if (version === "") {
    errors.push(fieldError.invalid(path.child("apiVersion"), apiVersion, "version must not be empty"));
  }
  for (const [field, value] of Object.entries({ kind, name, uid })) {
    if (value === "") errors.push(fieldError.invalid(path.child(field), value, "must not be empty"));
  }
  // Events come and go by the thousand; nothing may depend on one.
  if (apiVersion === "v1" && kind === "Event") {
    errors.push(fieldError.invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"));
  }
  return errors;
}

export function validateFinalizers(finalizers: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const finalizer of finalizers ?? []) {
    for (const message of isQualifiedName(finalizer)) errors.push(fieldError.invalid(path, finalizer, message));
  }
  if (finalizers?.includes(finalizerOrphan) && finalizers.includes(finalizerForeground)) {
    const detail = `finalizer ${finalizerOrphan} and ${finalizerForeground} cannot be both set`;
    errors.push(fieldError.invalid(path, finalizers, detail));
  }
  return errors;
}

function validateStandardFinalizers(finalizers: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  finalizers?.forEach((finalizer, position) => {
    if (finalizer.includes("/") || standardFinalizers.has(finalizer)) return;
    const detail = "name is neither a standard finalizer name nor is it fully qualified";
    errors.push(fieldError.invalid(path.index(position), finalizer, detail));
  });
  return errors;
}

function validateNoNewFinalizers(
  ...[finalizers = [], old = [], path]: [readonly string[] | undefined, readonly string[] | undefined, FieldPath]
): FieldError[] {
  const added = [...new Set(finalizers.filter((finalizer) => !old.includes(finalizer)))].sort();
  if (added.length === 0) return [];
  const list = added.map((finalizer) => JSON.stringify(finalizer)).join(", ");
  const detail = "no new finalizers can be added if the object is being deleted, found new finalizers";
  return [fieldError.forbidden(path, `${detail} []string{${list}}`)];
}

export function validateManagedFields(
  entries: readonly DeepReadonly<ManagedFieldsEntry>[] | undefined,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = [];
  entries?.forEach((entry, position) => {
    const at = path.index(position);
    if (entry.operation !== "Apply" && entry.operation !== "Update") {
      const detail = "must be `Apply` or `Update`";
      errors.push(fieldError.invalid(at.child("operation"), entry.operation ?? "", detail));
    }
    if (entry.fieldsType && entry.fieldsType !== "FieldsV1") {
      errors.push(fieldError.invalid(at.child("fieldsType"), entry.fieldsType, "must be `FieldsV1`"));
    }
    errors.push(...validateFieldManager(entry.manager, at.child("manager")));
    if (longerThan(entry.subresource ?? "", subresourceLengthMax)) {
      errors.push(fieldError.tooLong(at.child("subresource"), subresourceLengthMax));
    }
  });
  return errors;
}

export function validateFieldManager(manager: string | undefined, path: FieldPath): FieldError[] {
  if (!manager) return [];
  const errors: FieldError[] = [];
  if (longerThan(manager, fieldManagerLengthMax)) errors.push(fieldError.tooLong(path, fieldManagerLengthMax));
  let position = 0;
  for (const character of manager) {
    if (!isPrintable(character)) {
      const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
      errors.push(fieldError.invalid(path, manager, `invalid character U+${code} (at position ${position})`));
    }
    position += Buffer.byteLength(character);
  }
  return errors;
}

export interface LabelSelectorOptions {
  /** An older release let values in that no label can have. */
  readonly anyValue?: boolean;
  /** Where only the receiver knows the operators. */
  readonly anyOperator?: boolean;
}

export function validateLabelSelector(
  selector: LabelSelector | null | undefined,
  path: FieldPath,
  options: LabelSelectorOptions = {},
): FieldError[] {
  if (!selector) return [];
  const errors = validateLabels(selector.matchLabels, path.child("matchLabels"));
  selector.matchExpressions?.forEach((requirement, position) => {
    errors.push(
      ...validateLabelSelectorRequirement(requirement, path.child("matchExpressions").index(position), options),
    );
  });
  return errors;
}

type Requirement = NonNullable<LabelSelector["matchExpressions"]>[number];

export function validateLabelSelectorRequirement(
  { key = "", operator = "", values = [] }: Requirement,
  path: FieldPath,
  { anyValue, anyOperator }: LabelSelectorOptions,
): FieldError[] {
  const errors: FieldError[] = [];
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) {
      const detail = "must be specified when `operator` is 'In' or 'NotIn'";
      errors.push(fieldError.required(path.child("values"), detail));
    }
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0) {
      const detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
      errors.push(fieldError.forbidden(path.child("values"), detail));
    }
  } else if (!anyOperator) {
    errors.push(fieldError.invalid(path.child("operator"), operator, "not a valid selector operator"));
  }
  for (const message of isQualifiedName(key)) errors.push(fieldError.invalid(path.child("key"), key, message));
  if (anyValue) return errors;
  values.forEach((value, position) => {
    for (const message of isLabelValue(value)) {
      errors.push(fieldError.invalid(path.child("values").index(position), value, message));
    }
  });
  return errors;
}
