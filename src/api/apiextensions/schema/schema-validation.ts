/**
 * What a schema of a definition may say. Follows apiextensions/validation (ValidateCustomResourceDefinitionOpenAPISchema). What an old
 * definition already did wrong is still allowed (`Leniency`): nothing that is stored becomes impossible to update.
 */
import { type FieldError, FieldPath, fieldError } from "#machinery";
import { validateDefaults } from "./default-validation.ts";
import { additionalOf, defaultOf, isEmbedded, itemsOf, type JsonSchema, metaFields, schemaHas } from "./json-schema.ts";
import { hasRules } from "./rule-evaluation.ts";
import { checkRuleForm, RuleChecker, type RuleContext, type RuleOptions, timesBelow } from "./rule-validation.ts";
import { validateStructural } from "./structural.ts";

export interface Leniency {
  readonly types: boolean;
  readonly structure: boolean;
  readonly unprunedDefaults: boolean;
  readonly sets: boolean;
  readonly mapKeys: boolean;
}

export const strict: Leniency = {
  types: false,
  structure: false,
  unprunedDefaults: false,
  sets: false,
  mapKeys: false,
};

const openApiTypes = ["array", "boolean", "integer", "number", "object", "string"];

/** What the schemas of a stored definition do that a new one may not. */
export function leniencyOf(schemas: readonly JsonSchema[]): Leniency {
  const any = (ask: (schema: JsonSchema) => boolean) => schemas.some((schema) => schemaHas(schema, ask));
  const nowhere = FieldPath.root("old");
  const structure = schemas.some((schema) => validateStructural(schema, nowhere).length > 0);
  return {
    types: any(({ type = "" }) => type !== "" && !openApiTypes.includes(type)),
    structure,
    unprunedDefaults:
      !structure &&
      schemas.some((schema) =>
        validateDefaults(schema, nowhere, true).some(({ message }) => message.endsWith("must not have unknown fields")),
      ),
    sets: any((schema) => setItemErrors(schema, nowhere).length > 0),
    mapKeys: any((schema) => mapKeyErrors(schema, nowhere).length > 0),
  };
}

interface Context {
  /** Why no default may stand here. */
  readonly noDefaults: string | undefined;
  readonly insideMeta: boolean;
  readonly leniency: Leniency;
  /** Undefined where no rule may stand, or there are worse things to say. */
  readonly rules: RuleContext | undefined;
  /** Within which part old and new values can't be told to belong together. */
  readonly uncorrelated: FieldPath | undefined;
}

/** Parts below a root about which there is nothing to say, and which have no rules. */
const fine = new WeakSet<JsonSchema>();

/** Remembers that nothing is wrong with a part of a schema, and with all below it, if it is so. */
export function checkSchemaAhead(part: JsonSchema): void {
  if (hasRules(part)) return;
  const found: Found = { schema: [], rules: [] };
  checkSchema(part, { at: FieldPath.none }, anywhere, found);
  if (found.schema.length === 0) fine.add(part);
}

const anywhere: Context = {
  noDefaults: undefined,
  insideMeta: false,
  leniency: strict,
  rules: undefined,
  uncorrelated: undefined,
};

interface Found {
  readonly schema: FieldError[];
  readonly rules: FieldError[];
}

export interface SchemaOptions {
  readonly leniency: Leniency;
  readonly rules: RuleOptions & { readonly version: string };
}

/** After `loadEngines`. */
export function validateSchema(schema: JsonSchema, at: FieldPath, { leniency, rules }: SchemaOptions): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.nullable) errors.push(fieldError.forbidden(at.child("nullable"), "nullable cannot be true at the root"));
  const foreign = schemaHas(schema, isForeign);
  if (!leniency.structure && !foreign) {
    const structural = validateStructural(schema, at);
    errors.push(...(structural.length > 0 ? structural : validateDefaults(schema, at, !leniency.unprunedDefaults)));
  }
  const checked = !leniency.structure && !foreign && errors.length === (schema.nullable ? 1 : 0);
  const checker = new RuleChecker(rules, rules.version);
  const found: Found = { schema: [], rules: [] };
  const context: Context = {
    noDefaults: undefined,
    insideMeta: false,
    leniency,
    rules: checked ? { checker, times: 1, root: true } : undefined,
    uncorrelated: undefined,
  };
  checkSchema(schema, { at, root: true }, context, found);
  return [...errors, ...found.schema, ...found.rules, ...checker.total(at)];
}

function checkSchema(
  schema: JsonSchema,
  { at, root = false }: { at: FieldPath; root?: boolean },
  context: Context,
  found: Found,
): void {
  if (!root && !context.insideMeta && context.noDefaults === undefined && fine.has(schema)) return;
  const errors = found.schema;
  const before = errors.length;
  checkStandard(schema, at, context, errors);
  const uniqueWhy = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
  if (schema.uniqueItems) errors.push(fieldError.forbidden(at.child("uniqueItems"), uniqueWhy));
  const { additionalProperties: additional, properties = {}, items, not } = schema;
  const { rules } = context;
  const inside: Context = {
    ...context,
    rules: rules && { ...rules, times: timesBelow(schema, rules.times), root: false },
  };
  const nested: Context = { ...context, rules: undefined };
  const below = (part: JsonSchema, path: FieldPath, its: Context) => checkSchema(part, { at: path }, its, found);
  if (additional !== undefined) {
    const path = at.child("additionalProperties");
    if (Object.keys(properties).length > 0 && additional !== true)
      errors.push(fieldError.forbidden(path, "additionalProperties and properties are mutual exclusive"));
    const part = additionalOf(schema);
    const why = "inside additionalProperties applying to object metadata";
    if (part) below(part, path, context.insideMeta ? { ...inside, noDefaults: why } : inside);
  }
  const mapType = schema["x-kubernetes-map-type"];
  const members =
    mapType === undefined || mapType === "granular" || mapType === "atomic" ? inside : uncorrelatedFrom(inside, at);
  for (const [name, property] of Object.entries(properties)) {
    const meta = (root || isEmbedded(schema)) && metaFields.has(name);
    const noDefaults = meta && root ? `in top-level ${name}` : context.noDefaults;
    below(property, at.child("properties").key(name), meta ? { ...members, insideMeta: true, noDefaults } : members);
  }
  if (not) below(not, at.child("not"), nested);
  for (const name of ["allOf", "oneOf", "anyOf"] as const)
    schema[name]?.forEach((part, i) => {
      below(part, at.child(name).index(i), nested);
    });
  for (const [name, part] of Object.entries(schema.definitions ?? {}))
    below(part, at.child("definitions").key(name), nested);
  const each = schema["x-kubernetes-list-type"] === "map" ? inside : uncorrelatedFrom(inside, at);
  const single = itemsOf(schema);
  if (single) below(single, at.child("items"), each);
  else if (Array.isArray(items))
    (items as readonly JsonSchema[]).forEach((part, i) => {
      below(part, at.child("items").index(i), each);
    });
  for (const [name, part] of Object.entries(schema.dependencies ?? {}))
    if (!Array.isArray(part)) below(part as JsonSchema, at.child("dependencies").key(name), nested); // a schema or names
  checkExtensions(schema, at, context, errors);
  // What is wrong with the schema would be told a second time, and worse, by the compiler.
  if (rules && (schema["x-kubernetes-validations"]?.length ?? 0) > 0 && errors.length === before)
    found.rules.push(...rules.checker.check(schema, rules, { at, uncorrelated: context.uncorrelated }));
}

const uncorrelatedFrom = (context: Context, at: FieldPath): Context =>
  context.uncorrelated ? context : { ...context, uncorrelated: at };

/** Says something that a structural schema has no place for; there is an error about it already. */
const isForeign = (schema: JsonSchema): boolean =>
  Boolean(schema.id) ||
  Array.isArray(schema.items) ||
  schema.additionalItems !== undefined ||
  schema.$ref !== undefined ||
  schema.dependencies !== undefined ||
  Object.keys(schema.patternProperties ?? {}).length > 0 ||
  Object.keys(schema.definitions ?? {}).length > 0;

/** What OpenAPI allows and this subset doesn't. */
function checkStandard(schema: JsonSchema, at: FieldPath, context: Context, errors: FieldError[]): void {
  const { type = "", items } = schema;
  const forbid = (name: string, wrong: boolean, why = `${name} is not supported`) => {
    if (wrong) errors.push(fieldError.forbidden(at.child(name), why));
  };
  if (!context.leniency.types && type !== "" && !openApiTypes.includes(type))
    errors.push(fieldError.notSupported(at.child("type"), type, openApiTypes));
  const { noDefaults } = context;
  forbid("default", noDefaults !== undefined && defaultOf(schema) !== undefined, `must not be set ${noDefaults ?? ""}`);
  forbid("id", Boolean(schema.id));
  forbid("additionalItems", schema.additionalItems !== undefined);
  forbid("patternProperties", Object.keys(schema.patternProperties ?? {}).length > 0);
  forbid("definitions", Object.keys(schema.definitions ?? {}).length > 0);
  forbid("dependencies", schema.dependencies !== undefined);
  forbid("$ref", schema.$ref !== undefined);
  forbid("type", type === "null", "type cannot be set to null, use nullable as an alternative");
  forbid("items", Array.isArray(items) && items.length > 0, "items must be a schema object and not an array");
  forbid(
    "x-kubernetes-embedded-resource",
    context.insideMeta && isEmbedded(schema),
    "must not be used inside of resource meta",
  );
}

function checkExtensions(schema: JsonSchema, at: FieldPath, { leniency }: Context, errors: FieldError[]): void {
  const preserve = "x-kubernetes-preserve-unknown-fields";
  if (schema[preserve] === false)
    errors.push(fieldError.invalid(at.child(preserve), false, "must be true or undefined"));
  const mapType = schema["x-kubernetes-map-type"];
  if (mapType !== undefined) {
    errors.push(...typeMustBe(schema, at, "object", "x-kubernetes-map-type"));
    if (mapType !== "atomic" && mapType !== "granular")
      errors.push(fieldError.notSupported(at.child("x-kubernetes-map-type"), mapType, ["atomic", "granular"]));
  }
  const listType = schema["x-kubernetes-list-type"];
  if (listType !== undefined) {
    const wrong = typeMustBe(schema, at, "array", "x-kubernetes-list-type");
    errors.push(...wrong);
    if (wrong.length === 0 && !leniency.sets) errors.push(...setItemErrors(schema, at));
    if (!["atomic", "set", "map"].includes(listType))
      errors.push(fieldError.notSupported(at.child("x-kubernetes-list-type"), listType, ["atomic", "set", "map"]));
  }
  checkListMap(schema, at, errors);
  if (!leniency.mapKeys) errors.push(...mapKeyErrors(schema, at));
  checkRuleForm(schema, at, errors);
}

function typeMustBe({ type = "" }: JsonSchema, at: FieldPath, wanted: string, extension: string): FieldError[] {
  if (type === wanted) return [];
  const why = `must be ${wanted} if ${extension} is specified`;
  const path = at.child("type");
  return [type === "" ? fieldError.required(path, why) : fieldError.invalid(path, type, why)];
}

/** Items of sets are compared as a whole. */
function setItemErrors(schema: JsonSchema, at: FieldPath): FieldError[] {
  const items = itemsOf(schema);
  if (schema["x-kubernetes-list-type"] !== "set" || !items) return [];
  const listType = items["x-kubernetes-list-type"];
  const why = "must be atomic as item of a list with x-kubernetes-list-type=set";
  const path = at.child("items");
  if (items.type === "array" && listType !== undefined && listType !== "atomic")
    return [fieldError.invalid(path.child("x-kubernetes-list-type"), listType, why)];
  // Upstream shows the list type of the item here, whatever is wrong.
  if (items.type === "object" && items["x-kubernetes-map-type"] !== "atomic")
    return [fieldError.invalid(path.child("x-kubernetes-map-type"), listType ?? null, why)];
  return [];
}

function checkListMap(schema: JsonSchema, at: FieldPath, errors: FieldError[]): void {
  const listType = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const keysAt = at.child("x-kubernetes-list-map-keys");
  if (keys.length > 0 && listType !== "map") {
    const why = "must be map if x-kubernetes-list-map-keys is non-empty";
    const path = at.child("x-kubernetes-list-type");
    errors.push(listType === undefined ? fieldError.required(path, why) : fieldError.invalid(path, listType, why));
  }
  if (listType !== "map") return;
  if (keys.length === 0) errors.push(fieldError.required(keysAt, "must not be empty if x-kubernetes-list-type is map"));
  const items = itemsOf(schema);
  const itemsAt = at.child("items");
  if (schema.items === undefined)
    errors.push(fieldError.required(itemsAt, "must have a schema if x-kubernetes-list-type is map"));
  else if (!items)
    errors.push(
      fieldError.invalid(itemsAt, schema.items, "must only have a single schema if x-kubernetes-list-type is map"),
    );
  if (!items) return;
  const { type = "", properties = {} } = items;
  if (type !== "object") {
    const why = "must be object if parent array's x-kubernetes-list-type is map";
    errors.push(fieldError.invalid(itemsAt.child("type"), type, why));
    return;
  }
  const seen = new Set<string>();
  for (const key of keys) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (!property) errors.push(fieldError.invalid(keysAt, keys, "entries must all be names of item properties"));
    else if (property.type === "array" || property.type === "object") {
      const why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
      errors.push(fieldError.invalid(itemsAt.child("properties").key(key).child("type"), type, why));
    }
    if (seen.has(key)) errors.push(fieldError.invalid(keysAt, keys, "must not contain duplicate entries"));
    seen.add(key);
  }
}

/** Keys of items are always there and never null, items never null. */
function mapKeyErrors(schema: JsonSchema, at: FieldPath): FieldError[] {
  const listType = schema["x-kubernetes-list-type"];
  const items = itemsOf(schema);
  if (!items || (listType !== "set" && listType !== "map")) return [];
  const errors: FieldError[] = [];
  const itemsAt = at.child("items");
  if (items.nullable) {
    const why = `cannot be nullable when x-kubernetes-list-type is ${listType}`;
    errors.push(fieldError.forbidden(itemsAt.child("nullable"), why));
  }
  if (listType === "set") return errors;
  for (const key of schema["x-kubernetes-list-map-keys"] ?? []) {
    const property = items.properties && Object.hasOwn(items.properties, key) ? items.properties[key] : undefined;
    if (!property) continue;
    const path = itemsAt.child("properties").key(key);
    const which = "this property is in x-kubernetes-list-map-keys, so it";
    if (!items.required?.includes(key) && defaultOf(property) === undefined)
      errors.push(fieldError.required(path.child("default"), `${which} must have a default or be a required property`));
    if (property.nullable) errors.push(fieldError.forbidden(path.child("nullable"), `${which} cannot be nullable`));
  }
  return errors;
}
