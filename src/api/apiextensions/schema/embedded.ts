/**
 * What every object has, in custom resources and in objects embedded in them: `kind`, `apiVersion` and `metadata`. No schema describes
 * them; they are decoded and checked as metadata is everywhere. Follows apiserver/schema/objectmeta.
 */
import {
  checkTyped,
  cloneJson,
  omitEmpty,
  DecodeError,
  type FieldError,
  FieldPath,
  fieldError,
  isDns1035Label,
  nameIsPathSegment,
  type ObjectMeta,
  QuantityError,
  TimeError,
  validateObjectMeta,
} from "#machinery";
import { facts } from "../../facts.ts";
import {
  additionalOf,
  isEmbedded,
  isJsonObject,
  itemsOf,
  type Json,
  type JsonSchema,
  propertyOf,
  schemaHas,
} from "./json-schema.ts";

/** Decodes metadata in place as Go does. Answers unknown fields, under `prefix`. Throws DecodeError and its like. */
export function coerceMetadata(object: Json, prefix: string): string[] {
  const { metadata } = object;
  if (metadata === undefined) return [];
  if (metadata === null) {
    object.metadata = {};
    return [];
  }
  const type = facts.type("apimachinery.pkg.apis.meta.v1.ObjectMeta");
  if (!type) throw new Error("the facts have no ObjectMeta");
  if (!isJsonObject(metadata)) throw new DecodeError(cannotBeMetadata(metadata));
  const { strictErrors } = checkTyped(metadata, type);
  omitEmpty(metadata, type);
  if (metadata.creationTimestamp === null) delete metadata.creationTimestamp;
  return strictErrors.map((error) => `${prefix}metadata.${/"(.*)"/.exec(error)?.[1] ?? ""}`);
}

function cannotBeMetadata(value: unknown): string {
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  return `json: cannot unmarshal ${kind} into Go value of type v1.ObjectMeta`;
}

const hasEmbedded = new WeakMap<JsonSchema, boolean>();

function embeds(schema: JsonSchema): boolean {
  let answer = hasEmbedded.get(schema);
  if (answer === undefined) {
    answer = schemaHas(schema, isEmbedded);
    hasEmbedded.set(schema, answer);
  }
  return answer;
}

interface Coercion {
  readonly unknown: string[];
  error: FieldError | undefined;
}

/** Decodes what embedded objects have for metadata. The first thing that can't be read is the answer. */
export function coerceEmbedded(object: Json, schema: JsonSchema, at = FieldPath.none): Coercion {
  const coercion: Coercion = { unknown: [], error: undefined };
  if (embeds(schema)) coerce(object, schema, at, coercion);
  return coercion;
}

function coerce(value: unknown, schema: JsonSchema, path: FieldPath, coercion: Coercion): void {
  eachPart(value, schema, path, (part, partSchema, partPath) => {
    if (!coercion.error) coerce(part, partSchema, partPath, coercion);
  });
  if (coercion.error || !isJsonObject(value) || !isEmbedded(schema)) return;
  for (const name of ["apiVersion", "kind"]) {
    if (name in value && typeof value[name] !== "string") {
      coercion.error = fieldError.invalid(path.child(name), value[name], "must be a string");
      return;
    }
  }
  const { metadata } = value;
  try {
    // What can't be read is shown as it was.
    if (metadata !== undefined) value.metadata = cloneJson(metadata);
    const prefix = path === FieldPath.none ? "" : `${path}.`;
    coercion.unknown.push(...coerceMetadata(value, prefix));
  } catch (error) {
    if (!isDecodeFailure(error)) throw error;
    coercion.error = fieldError.invalid(path.child("metadata"), metadata, error.message);
  }
}

export const isDecodeFailure = (error: unknown): error is Error =>
  error instanceof DecodeError || error instanceof QuantityError || error instanceof TimeError;

export function validateEmbedded(object: Json, schema: JsonSchema, at = FieldPath.none): FieldError[] {
  const errors: FieldError[] = [];
  if (embeds(schema)) validate(object, schema, at, errors);
  return errors;
}

function validate(value: unknown, schema: JsonSchema, path: FieldPath, errors: FieldError[]): void {
  if (isJsonObject(value) && isEmbedded(schema)) checkEmbedded(value, path, errors);
  eachPart(value, schema, path, (part, partSchema, partPath) => {
    validate(part, partSchema, partPath, errors);
  });
}

function checkEmbedded(value: Json, path: FieldPath, errors: FieldError[]): void {
  const { apiVersion, kind, metadata } = value;
  for (const name of ["apiVersion", "kind"]) {
    if (!(name in value)) errors.push(fieldError.required(path.child(name)));
  }
  if (apiVersion !== undefined) {
    const at = path.child("apiVersion");
    if (typeof apiVersion !== "string") errors.push(fieldError.invalid(at, apiVersion, "must be a string"));
    else if (apiVersion === "") errors.push(fieldError.invalid(at, apiVersion, "must not be empty"));
    else if (apiVersion.split("/").length > 2) {
      errors.push(fieldError.invalid(at, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
    }
  }
  if (kind !== undefined) {
    const at = path.child("kind");
    if (typeof kind !== "string") errors.push(fieldError.invalid(at, kind, "must be a string"));
    else if (kind === "") errors.push(fieldError.invalid(at, kind, "must not be empty"));
    else {
      const wrong = isDns1035Label(kind.toLowerCase());
      const why = `may have mixed case, but should otherwise match: ${wrong.join(",")}`;
      if (wrong.length > 0) errors.push(fieldError.invalid(at, kind, why));
    }
  }
  if (!isJsonObject(metadata)) return;
  const meta = metadata as ObjectMeta; // decoded before
  const named = { ...meta, name: meta.name || "fakename" };
  const namespaced = Boolean(meta.namespace);
  errors.push(...validateObjectMeta(named, { namespaced, checkName: nameIsPathSegment, path: path.child("metadata") }));
}

type Visit = (part: unknown, schema: JsonSchema, path: FieldPath) => void;

function eachPart(value: unknown, schema: JsonSchema, path: FieldPath, visit: Visit): void {
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    if (items)
      value.forEach((item, index) => {
        visit(item, items, path.index(index));
      });
  } else if (isJsonObject(value)) {
    const additional = additionalOf(schema);
    for (const key of Object.keys(value)) {
      const property = propertyOf(schema, key);
      if (property) visit(value[key], property, path.child(key));
      else if (additional) visit(value[key], additional, path.key(key));
    }
  }
}
