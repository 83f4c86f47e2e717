/**
 * Structural schemas: every field that anything is said about has a type outside of allOf, anyOf, oneOf and not, so that pruning,
 * defaulting and apply know what they look at. Follows apiserver/schema/validation.go and complete.go.
 */
import { type FieldError, FieldPath, fieldError, jsonEqual } from "#machinery";
import {
  additionalOf,
  defaultOf,
  isEmbedded,
  isIntOrString,
  itemsOf,
  type JsonSchema,
  preservesUnknown,
  propertyOf,
} from "./json-schema.ts";
import { compilePattern } from "./pattern.ts";

type Level = "root" | "item" | "field";

const emptyType: Readonly<Record<Level, string>> = {
  root: "must not be empty at the root",
  item: "must not be empty for specified array items",
  field: "must not be empty for specified object fields",
};

/** Sorted by their text, as upstream does. */
export function validateStructural(schema: JsonSchema, at: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  checkPart(schema, { level: "root", at }, errors);
  checkCompleteness(schema, at, errors);
  const text = ({ field, message }: FieldError) => `${field}: ${message}`;
  return errors.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

interface Where {
  readonly level: Level;
  readonly at: FieldPath;
}

/** Parts below a root about which there is nothing to say. */
const fine = new WeakSet<JsonSchema>();

/** Whether a part of a schema, and all below it, is fine; remembered, so that `validateStructural` needn't look at it again. */
export function isStructural(part: JsonSchema): boolean {
  const errors: FieldError[] = [];
  checkPart(part, { level: "field", at: FieldPath.none }, errors);
  if (errors.length === 0) fine.add(part);
  return errors.length === 0;
}

function checkPart(schema: JsonSchema, { level, at }: Where, errors: FieldError[]): void {
  if (level !== "root" && fine.has(schema)) return;
  const { type = "" } = schema;
  const items = itemsOf(schema);
  if (type === "array" && !items) errors.push(fieldError.required(at.child("items"), "must be specified"));
  if (items) checkPart(items, { level: "item", at: at.child("items") }, errors);
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    checkPart(property, { level: "field", at: at.child("properties").key(name) }, errors);
  if (schema.additionalProperties !== undefined && level === "root")
    errors.push(fieldError.forbidden(at.child("additionalProperties"), "must not be used at the root"));
  const additional = additionalOf(schema);
  if (additional) checkPart(additional, { level: "field", at: at.child("additionalProperties") }, errors);
  checkExtensions(schema, at, errors);
  checkValueRules(
    schema,
    { at, skipAnyOf: isIntOrStringAnyOf(schema.anyOf), skipFirstAllOf: firstAllOf(schema) },
    errors,
  );
  checkPartType(schema, { level, at }, errors);
  checkMeta(schema, { level, at }, errors);
}

function checkExtensions(schema: JsonSchema, at: FieldPath, errors: FieldError[]): void {
  if (!isIntOrString(schema)) return;
  const why = "must be false if x-kubernetes-int-or-string is true";
  for (const name of ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] as const)
    if (schema[name] === true) errors.push(fieldError.invalid(at.child(name), true, why));
}

function checkPartType(schema: JsonSchema, { level, at }: Where, errors: FieldError[]): void {
  const { type = "" } = schema;
  if (isEmbedded(schema) && type !== "object") {
    const why = "must be object if x-kubernetes-embedded-resource is true";
    const path = at.child("type");
    errors.push(type === "" ? fieldError.required(path, why) : fieldError.invalid(path, type, why));
  } else if (type === "" && !isIntOrString(schema) && !preservesUnknown(schema)) {
    errors.push(fieldError.required(at.child("type"), emptyType[level]));
  }
  if (isEmbedded(schema) && schema.additionalProperties !== undefined) {
    const why = "must not be used if x-kubernetes-embedded-resource is set";
    errors.push(fieldError.forbidden(at.child("additionalProperties"), why));
  }
  if (level === "root" && type !== "" && type !== "object")
    errors.push(fieldError.invalid(at.child("type"), type, "must be object at the root"));
}

function checkMeta(schema: JsonSchema, { level, at }: Where, errors: FieldError[]): void {
  const checked = level === "root" || isEmbedded(schema);
  const properties = at.child("properties");
  for (const name of ["kind", "apiVersion"]) {
    const property = propertyOf(schema, name);
    if (!property || !checked || property.type === "string") continue;
    errors.push(fieldError.invalid(properties.key(name).child("type"), property.type ?? "", "must be string"));
  }
  const metadata = propertyOf(schema, "metadata");
  const metadataAt = properties.key("metadata");
  if (metadata && checked && metadata.type !== "object")
    errors.push(fieldError.invalid(metadataAt.child("type"), metadata.type ?? "", "must be object"));
  if (metadata && level === "root" && !onlyNames(metadata)) {
    const why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
    errors.push(fieldError.forbidden(metadataAt, why));
  }
  if (isEmbedded(schema) && !preservesUnknown(schema) && Object.keys(schema.properties ?? {}).length === 0) {
    const why =
      "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
    errors.push(fieldError.required(at.child("properties"), why));
  }
}

/** Metadata at the root may restrict the name, nothing else. */
function onlyNames({ type: _type, default: _default, properties = {}, ...rest }: JsonSchema): boolean {
  const known = Object.keys(properties).every((name) => name === "name" || name === "generateName");
  return known && Object.values(rest).every((value) => value === undefined || value === false);
}

const intOrStringAnyOf = [{ type: "integer" }, { type: "string" }];
const isIntOrStringAnyOf = (anyOf: JsonSchema["anyOf"]): boolean => jsonEqual(anyOf, intOrStringAnyOf);
const firstAllOf = ({ allOf = [] }: JsonSchema): boolean => isIntOrStringAnyOf(allOf[0]?.anyOf);

interface Rules {
  readonly at: FieldPath;
  readonly skipAnyOf: boolean;
  readonly skipFirstAllOf: boolean;
}

function checkValueRules(schema: JsonSchema, { at, skipAnyOf, skipFirstAllOf }: Rules, errors: FieldError[]): void {
  const { anyOf = [], allOf = [], oneOf = [], not, pattern } = schema;
  const nested = (part: JsonSchema, path: FieldPath, skip: boolean) => checkNested(part, { at: path, skip }, errors);
  if (!skipAnyOf)
    anyOf.forEach((part, i) => {
      nested(part, at.child("anyOf").index(i), false);
    });
  allOf.forEach((part, i) => {
    nested(part, at.child("allOf").index(i), skipFirstAllOf && i === 0);
  });
  oneOf.forEach((part, i) => {
    nested(part, at.child("oneOf").index(i), false);
  });
  if (not) nested(not, at.child("not"), false);
  if (!pattern) return;
  try {
    compilePattern(pattern);
  } catch (error) {
    const why = `must be a valid regular expression, but isn't: ${(error as Error).message}`; // the engine throws errors
    errors.push(fieldError.invalid(at.child("pattern"), pattern, why));
  }
}

/** What says what a value is, and so must stand outside. */
function checkNested(schema: JsonSchema, { at, skip }: { at: FieldPath; skip: boolean }, errors: FieldError[]): void {
  checkValueRules(schema, { at, skipAnyOf: skip, skipFirstAllOf: false }, errors);
  const items = itemsOf(schema);
  if (items) checkNested(items, { at: at.child("items"), skip: false }, errors);
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    checkNested(property, { at: at.child("properties").key(name), skip: false }, errors);
  const forbid = (name: string, wrong: boolean, must: string) => {
    if (wrong) errors.push(fieldError.forbidden(at.child(name), `must be ${must} to be structural`));
  };
  forbid("type", Boolean(schema.type), "empty");
  forbid("additionalProperties", schema.additionalProperties !== undefined, "undefined");
  forbid("default", defaultOf(schema) !== undefined, "undefined");
  forbid("title", Boolean(schema.title), "empty");
  forbid("description", Boolean(schema.description), "empty");
  forbid("nullable", schema.nullable === true, "false");
  for (const name of [
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
  ] as const)
    forbid(name, schema[name] === true, "false");
  forbid("x-kubernetes-list-map-keys", (schema["x-kubernetes-list-map-keys"]?.length ?? 0) > 0, "empty");
  forbid("x-kubernetes-list-type", schema["x-kubernetes-list-type"] !== undefined, "undefined");
  forbid("x-kubernetes-map-type", schema["x-kubernetes-map-type"] !== undefined, "undefined");
  forbid("x-kubernetes-validations", (schema["x-kubernetes-validations"]?.length ?? 0) > 0, "empty");
  if (propertyOf(schema, "metadata")) {
    const why = "must not be specified in a nested context";
    errors.push(fieldError.forbidden(at.child("properties").key("metadata"), why));
  }
}

/** What rules at the root mention must be there outside of rules too. Upstream asks this of the root alone. */
function checkCompleteness(schema: JsonSchema, at: FieldPath, errors: FieldError[]): void {
  requireRules(schema, schema, { at, ruleAt: at }, errors);
}

interface Paths {
  readonly at: FieldPath;
  readonly ruleAt: FieldPath;
}

function requireRules(rule: JsonSchema, schema: JsonSchema, { at, ruleAt }: Paths, errors: FieldError[]): void {
  if (rule.not) requireParts(rule.not, schema, { at, ruleAt: ruleAt.child("not") }, errors);
  for (const name of ["allOf", "anyOf", "oneOf"] as const)
    rule[name]?.forEach((part, i) => {
      requireParts(part, schema, { at, ruleAt: ruleAt.child(name).index(i) }, errors);
    });
}

function requireParts(rule: JsonSchema, schema: JsonSchema | undefined, paths: Paths, errors: FieldError[]): void {
  const { at, ruleAt } = paths;
  if (!schema) {
    errors.push(fieldError.required(at, `because it is defined in ${ruleAt}`));
    return;
  }
  requireRules(rule, schema, paths, errors);
  const items = itemsOf(rule);
  if (items) requireParts(items, itemsOf(schema), { at: at.child("items"), ruleAt: ruleAt.child("items") }, errors);
  for (const [name, property] of Object.entries(rule.properties ?? {})) {
    const next = { at: at.child("properties").key(name), ruleAt: ruleAt.child("properties").key(name) };
    requireParts(property, propertyOf(schema, name), next, errors);
  }
}
