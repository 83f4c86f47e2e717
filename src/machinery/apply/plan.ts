/**
 * A type as the walks over objects want it: fields in the order of field sets with their keys ready, and for each value
 * one of six ways to own it. Made from a TypeSchema when first looked at, field by field, and kept as long as the schema.
 */
import type { FieldSchema, ListSchema, TypeSchema, ValueSchema } from "../schema.ts";

export type Plan = LeafPlan | StructPlan | MapPlan | ListPlan | SetPlan | DeducedPlan;

/** Owned as a whole: scalars and everything atomic. */
export interface LeafPlan {
  readonly kind: "leaf";
  readonly value: ValueSchema;
}

/** Fields are owned one by one. */
export interface StructPlan {
  readonly kind: "struct";
  readonly type: TypeSchema;
  /** Sorted by name. */
  readonly fields: readonly FieldPlan[];
  readonly byName: ReadonlyMap<string, FieldPlan>;
  /** Fields that aren't declared are kept and owned by what they look like. */
  readonly open: boolean;
}

export interface FieldPlan {
  readonly name: string;
  /** In field sets: `f:name`. */
  readonly key: string;
  readonly plan: Plan;
  /** What absence stands for; undefined where absence is absence. */
  readonly zero: unknown;
  readonly default: unknown;
}

export interface MapPlan {
  readonly kind: "map";
  readonly values: Plan;
}

/** Items are owned one by one, found by the values of their keys. */
export interface ListPlan {
  readonly kind: "list";
  readonly items: Plan;
  /** Sorted by name, as in the text of a path element. */
  readonly keys: readonly ListKey[];
}

export interface ListKey {
  readonly name: string;
  readonly prefix: string;
  /** Stands in for a missing key; undefined: the item has no such key. */
  readonly default: unknown;
}

export interface SetPlan {
  readonly kind: "set";
  readonly items: Plan;
}

/** Any JSON: objects field by field, lists as a whole. */
export interface DeducedPlan {
  readonly kind: "deduced";
}

export const deduced: DeducedPlan = { kind: "deduced" };
const deducedLeaf: LeafPlan = { kind: "leaf", value: { kind: "any" } };

/** How to own a value of unknown type. */
export function planOfUnknown(value: unknown): Plan {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? deduced : deducedLeaf;
}

/** An object without fields: what absent parts of Go structs stand for. */
export const emptyObject: Readonly<Record<string, never>> = Object.freeze({});

// One plan for each schema object, gone when the schema is: types refer to themselves, and compiling one takes longer than a write.
const plans = new WeakMap<TypeSchema, StructPlan | LeafPlan | DeducedPlan>();
const ownedRoots = new WeakMap<TypeSchema, StructPlan>();

export function planOfType(type: TypeSchema): StructPlan | LeafPlan | DeducedPlan {
  let plan = plans.get(type);
  if (!plan) {
    plan = type.atomic
      ? { kind: "leaf", value: { kind: "object", type } }
      : type.preserveUnknown && type.fields.size === 0
        ? deduced
        : new LazyStruct(type);
    plans.set(type, plan);
  }
  return plan;
}

/** A whole object; one of unknown type is taken apart by what it looks like. */
export function wholePlan(type: TypeSchema): StructPlan {
  const plan = planOfType(type);
  return plan.kind === "struct" ? plan : { ...noFields, type, open: true };
}

/** Nobody owns these: they say which object it is, or the server alone writes them. */
const unowned = new Set(["apiVersion", "kind"]);
const unownedMetadata = new Set([
  "name",
  "namespace",
  "creationTimestamp",
  "selfLink",
  "uid",
  "clusterName",
  "generation",
  "managedFields",
  "resourceVersion",
]);

/** A whole object without what nobody owns; `metadata` itself is never a member. */
export function ownedPlan(type: TypeSchema): StructPlan {
  let plan = ownedRoots.get(type);
  if (plan) return plan;
  const base = wholePlan(type);
  const fields = base.fields.filter(({ name }) => !unowned.has(name) && name !== "metadata");
  const metadata = base.byName.get("metadata")?.plan;
  const metadataBase: StructPlan =
    metadata?.kind === "struct" ? metadata : { ...noFields, type: openMetadata, open: true };
  const metadataFields = metadataBase.fields.filter(({ name }) => !unownedMetadata.has(name));
  fields.push({
    name: "metadata",
    key: "f:metadata",
    plan: hide({ ...structOf(metadataBase), fields: metadataFields, byName: indexed(metadataFields) }, unownedMetadata),
    zero: emptyObject,
    default: undefined,
  });
  fields.sort(byName);
  plan = hide({ ...structOf(base), fields, byName: indexed(fields) }, unowned);
  ownedRoots.set(type, plan);
  return plan;
}

const openMetadata: TypeSchema = { name: "ObjectMeta", fields: new Map(), atomic: false, preserveUnknown: true };
const noFields = { kind: "struct", fields: [], byName: new Map<string, FieldPlan>() } as const;

/** A lazy plan's parts as plain properties. */
const structOf = ({ type, fields, byName, open }: StructPlan): StructPlan => ({
  kind: "struct",
  type,
  fields,
  byName,
  open,
});

const indexed = (fields: readonly FieldPlan[]): ReadonlyMap<string, FieldPlan> =>
  new Map(fields.map((field) => [field.name, field]));

const byName = (a: FieldPlan, b: FieldPlan): number => (a.name < b.name ? -1 : 1);

/** Where undeclared fields are looked at, the hidden ones must not be taken for undeclared. */
function hide(plan: StructPlan, names: ReadonlySet<string>): StructPlan {
  if (!plan.open) return plan;
  const known = new Map(plan.byName);
  for (const name of names) if (!known.has(name)) known.set(name, hiddenField);
  return { ...plan, byName: known };
}

const hiddenField: FieldPlan = { name: "", key: "", plan: deducedLeaf, zero: undefined, default: undefined };

/** Types refer to themselves and an object uses few of them: fields are worked out when first asked for. */
class LazyStruct implements StructPlan {
  readonly kind = "struct";
  readonly type: TypeSchema;
  readonly open: boolean;
  #fields: readonly FieldPlan[] | undefined;
  #byName: ReadonlyMap<string, FieldPlan> | undefined;

  constructor(type: TypeSchema) {
    this.type = type;
    this.open = type.preserveUnknown;
  }

  get fields(): readonly FieldPlan[] {
    this.#fields ??= [...this.type.fields.values()].map(fieldPlan).sort(byName);
    return this.#fields;
  }

  get byName(): ReadonlyMap<string, FieldPlan> {
    this.#byName ??= indexed(this.fields);
    return this.#byName;
  }
}

function fieldPlan(field: FieldSchema): FieldPlan {
  return {
    name: field.name,
    key: `f:${field.name}`,
    plan: field.atomic ? { kind: "leaf", value: field.value } : planOfField(field),
    zero: field.zero === "printed" ? zeroOf(field.value) : field.zero === "null" ? null : undefined,
    default: field.default,
  };
}

function planOfField({ value, granular = false }: FieldSchema): Plan {
  return granular && value.kind === "object" ? new LazyStruct(value.type) : planOfValue(value);
}

export function planOfValue(value: ValueSchema): Plan {
  switch (value.kind) {
    case "object":
      return planOfType(value.type);
    case "map":
      return { kind: "map", values: planOfValue(value.values) };
    case "list":
      return planOfList(value);
    case "any":
      // A raw extension is owned as a whole, what a custom type leaves open is not.
      return value.form === undefined ? deduced : { kind: "leaf", value };
    default:
      return { kind: "leaf", value };
  }
}

function planOfList(list: ListSchema): Plan {
  if (list.listType === "atomic") return { kind: "leaf", value: list };
  const items = planOfValue(list.items);
  if (list.listType === "set" || list.mapKeys.length === 0) return { kind: "set", items };
  const type = list.items.kind === "object" ? list.items.type : undefined;
  const keys = [...list.mapKeys].sort().map((name) => ({
    name,
    prefix: `${JSON.stringify(name)}:`,
    default: keyDefault(type?.fields.get(name)),
  }));
  return { kind: "list", items, keys };
}

/** Upstream's OpenAPI gives every scalar that isn't a pointer its zero as a default. */
function keyDefault(field: FieldSchema | undefined): unknown {
  if (field === undefined) return undefined;
  if (field.default !== undefined) return field.default;
  return field.zero === undefined || field.zero === "unset" || field.zero === "null"
    ? undefined
    : (zeroOf(field.value) ?? undefined);
}

function zeroOf(value: ValueSchema): unknown {
  switch (value.kind) {
    case "string":
      return "";
    case "integer":
    case "number":
    case "int-or-string":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    case "object":
      return emptyObject;
    default:
      return null;
  }
}
