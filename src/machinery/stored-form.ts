/**
 * Lists and maps that are empty. Go's decoder tells an empty one from none, and defaults and `managedFields: []` hang on the
 * difference; its encoder leaves out empty ones of `omitempty` fields (`omitEmpty`: who owns what is decided by that form); and
 * protobuf, which upstream stores, forgets them all, so that a required list that was sent empty comes back as `null` (`forgetEmpty`).
 * Everything else that protobuf forgets the decoder has left out already.
 */
import type { TypeSchema, ValueSchema } from "./schema.ts";

type Json = Record<string, unknown>;

interface FieldPlan {
  /** A list or map that isn't printed when it is empty. */
  readonly omitted: boolean;
  /** A list or map that is printed when it is empty. */
  readonly printed: boolean;
  readonly below: ((value: unknown, stored: boolean) => void) | undefined;
}

type Plan = ReadonlyMap<string, FieldPlan>;

const plans = new WeakMap<TypeSchema, Plan>();

function planOf(type: TypeSchema): Plan {
  const known = plans.get(type);
  if (known) return known;
  const plan = new Map<string, FieldPlan>();
  for (const { name, value, zero } of type.fields.values()) {
    const collection = value.kind === "list" || value.kind === "map";
    const field = {
      omitted: collection && zero === "omitted",
      printed: collection && zero === "printed",
      below: descend(value),
    };
    if (field.omitted || field.printed || field.below) plan.set(name, field);
  }
  plans.set(type, plan);
  return plan;
}

/** Undefined: there is nothing below that could be left out. */
function descend(schema: ValueSchema): FieldPlan["below"] {
  if (schema.kind === "object") {
    const { type } = schema;
    // Custom objects may be wrong where their last version was wrong already.
    return (value, stored) => {
      if (isObject(value)) clean(value, type, stored);
    };
  }
  if (schema.kind === "any" && "type" in schema) {
    const { type } = schema;
    return (value, stored) => {
      for (const each of Array.isArray(value) ? value : [value]) if (isObject(each)) clean(each, type, stored);
    };
  }
  if (schema.kind === "list") {
    const below = descend(schema.items);
    return (
      below &&
      ((value, stored) => {
        if (!Array.isArray(value)) return;
        for (const item of value as unknown[]) if (item !== null) below(item, stored);
      })
    );
  }
  if (schema.kind !== "map") return undefined;
  const below = descend(schema.values);
  return (
    below &&
    ((value, stored) => {
      if (!isObject(value)) return;
      for (const key in value) {
        const item = value[key];
        if (item !== null) below(item, stored);
      }
    })
  );
}

function clean(object: Json, type: TypeSchema, stored: boolean): void {
  const plan = planOf(type);
  for (const key in object) {
    const field = plan.get(key);
    if (!field) continue;
    const value = object[key];
    if (value === undefined || value === null) continue;
    if (field.omitted && isEmpty(value)) delete object[key];
    else if (field.printed && stored && isEmpty(value)) object[key] = null;
    else field.below?.(value, stored);
  }
}

/** As upstream prints it: empty lists and maps of fields that are left out when empty go. Changes `object` in place. */
export function omitEmpty(object: object, type: TypeSchema): void {
  clean(object as Json, type, false); // of the type
}

/** As upstream reads it back from its store: those that are printed anyway become null as well. Changes `object` in place. */
export function forgetEmpty(object: object, type: TypeSchema): void {
  clean(object as Json, type, true); // of the type
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== "object") return false;
  for (const _ in value) return false;
  return true;
}
