/**
 * What an applied configuration owns: its leaves, the items of its lists and the entries of its maps, but not the structs
 * around them. And whether the configuration fits its type at all.
 */
import { goQuote, goValue } from "../go-text.ts";
import type { ListSchema, TypeSchema, ValueSchema } from "../schema.ts";
import { compareElements, printElement } from "./element.ts";
import { duplicateMessage, elementOf, isObject, type JsonObject, ShapeError } from "./item.ts";
import { type ListPlan, type Plan, planOfUnknown, planOfValue, type SetPlan, type StructPlan } from "./plan.ts";
import { type FieldSet, isMember, leaf, type MutableFieldSet } from "./set.ts";

/** Every leaf and item of an object. Throws ShapeError. */
export function fieldsOfObject(plan: StructPlan, object: JsonObject): FieldSet {
  const set: MutableFieldSet = childrenOfStruct(plan, object);
  const metadata = set["f:metadata"];
  // Nobody owns the metadata as a whole; an empty one would look like that.
  if (metadata && isMember(metadata)) delete set["f:metadata"];
  return set;
}

/** `always`: entries of maps and items of lists are members even with something below them. */
function nodeOf(plan: Plan, value: unknown, always: boolean): FieldSet | undefined {
  if (value === null || plan.kind === "leaf") return leaf;
  if (plan.kind === "list" || plan.kind === "set") {
    if (!Array.isArray(value)) return leaf;
    return close(childrenOfList(plan, value), always);
  }
  if (!isObject(value)) return leaf;
  if (Object.keys(value).length === 0) return leaf;
  return close(plan.kind === "struct" ? childrenOfStruct(plan, value) : childrenOfMap(plan, value), always);
}

function close(children: MutableFieldSet, always: boolean): FieldSet | undefined {
  for (const _ in children) return always ? { ".": leaf, ...children } : children;
  return always ? leaf : undefined;
}

function childrenOfStruct(plan: StructPlan, object: JsonObject): MutableFieldSet {
  const out: MutableFieldSet = {};
  for (const field of plan.fields) {
    const value = object[field.name];
    if (value === undefined) continue;
    const node = nodeOf(field.plan, value, false);
    if (node) out[field.key] = node;
  }
  if (!plan.open) return out;
  for (const name in object) {
    const node = plan.byName.has(name) ? undefined : nodeOf(planOfUnknown(object[name]), object[name], true);
    if (node) out[`f:${name}`] = node;
  }
  return sorted(out);
}

function childrenOfMap(plan: Plan, object: JsonObject): MutableFieldSet {
  const out: MutableFieldSet = {};
  for (const name of Object.keys(object).sort()) {
    const value = object[name];
    if (value === undefined) continue;
    out[`f:${name}`] = nodeOf(plan.kind === "map" ? plan.values : planOfUnknown(value), value, true) ?? leaf;
  }
  return out;
}

function childrenOfList(plan: ListPlan | SetPlan, list: readonly unknown[]): MutableFieldSet {
  const out: MutableFieldSet = {};
  for (const item of list) {
    const element = elementOf(plan, item);
    // Several items of one key can't be told apart: they are owned together.
    out[element] = element in out ? leaf : (nodeOf(plan.items, item, true) ?? leaf);
  }
  return sorted(out);
}

function sorted(set: MutableFieldSet): MutableFieldSet {
  return Object.fromEntries(Object.entries(set).sort(([a], [b]) => compareElements(a, b)));
}

interface Misfit {
  readonly path: string;
  readonly message: string;
}

/** Why the object is not of its type, in upstream's words; undefined if it is. */
export function misfits(type: TypeSchema, object: unknown): string | undefined {
  const found: Misfit[] = [];
  check({ kind: "object", type }, object, "", found);
  const lines = found.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  return lines.length > 1 ? ["errors:", ...lines.map((line) => `  ${line}`)].join("\n") : lines[0];
}

function check(schema: ValueSchema, value: unknown, path: string, found: Misfit[]): void {
  if (value === null || value === undefined) return;
  const refuse = (message: string) => found.push({ path, message });
  switch (schema.kind) {
    case "object":
      if (schema.type.preserveUnknown && schema.type.fields.size === 0) return;
      if (!isObject(value)) refuse(`expected map, got ${goStruct(value)}`);
      else checkFields(schema.type, value, path, found);
      return;
    case "map":
      if (!isObject(value)) refuse(`expected map, got ${goStruct(value)}`);
      else for (const name of Object.keys(value).sort()) check(schema.values, value[name], `${path}.${name}`, found);
      return;
    case "list":
      if (!Array.isArray(value)) refuse(`expected list, got ${goStruct(value)}`);
      else checkItems(schema, value, path, found);
      return;
    case "any":
      return;
    case "string":
    case "bytes":
      if (schema.kind === "string" && (schema.format ?? "") !== "") checkScalar(value, refuse);
      else if (typeof value !== "string")
        refuse(`expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`);
      return;
    case "integer":
    case "number":
      if (typeof value !== "number") refuse(`expected numeric (int or float), got ${goType(value)}`);
      return;
    case "boolean":
      if (typeof value !== "boolean") refuse(`expected boolean, got ${goStruct(value)}`);
      return;
    default:
      checkScalar(value, refuse);
  }
}

function checkScalar(value: unknown, refuse: (message: string) => void): void {
  if (typeof value === "object") refuse(`expected any scalar, got ${goStruct(value)}`);
}

function checkFields(type: TypeSchema, object: JsonObject, path: string, found: Misfit[]): void {
  for (const name of Object.keys(object).sort()) {
    const field = type.fields.get(name);
    if (field) check(field.value, object[name], `${path}.${name}`, found);
    else if (!type.preserveUnknown) {
      found.push({ path: `${path}.${name}`, message: "field not declared in schema" });
      return;
    }
  }
}

function checkItems(schema: ListSchema, list: readonly unknown[], path: string, found: Misfit[]): void {
  const plan = planOfValue(schema);
  const keyed = plan.kind === "list" || plan.kind === "set" ? plan : undefined;
  const seen = new Set<string>();
  for (const [i, item] of list.entries()) {
    let element = `i:${i}`;
    if (keyed) {
      try {
        element = elementOf(keyed, item);
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error;
        found.push({ path, message: `element ${i}: ${error.message}` });
        return;
      }
      if (seen.has(element)) found.push({ path, message: duplicateMessage(element) });
      seen.add(element);
    }
    check(schema.items, item, path + printElement(element), found);
  }
}

// Go prints the values it found; these are the same texts for scalars, and close for the rest.
function goType(value: unknown): string {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}

function goSyntax(value: unknown): string {
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(", ")}}`;
  if (isObject(value))
    return `map[string]interface {}{${Object.entries(value)
      .map(([name, inner]) => `${goQuote(name)}:${goSyntax(inner)}`)
      .join(", ")}}`;
  if (value === null) return "interface {}(nil)";
  return typeof value === "string" ? goQuote(value) : String(value);
}

const goStruct = (value: unknown): string => `&{${goValue(value)}}`;
