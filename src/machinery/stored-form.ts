/**
 * What storing does to an object of a built-in type: upstream stores protobuf, which has no empty lists and maps, so a
 * required list that was sent empty comes back as `null`. Who owns which field is decided before, by what was sent.
 * Everything else that protobuf forgets the decoder has left out already.
 */
import type { TypeSchema, ValueSchema } from "./schema.ts";

type Json = Record<string, unknown>;

interface Plan {
  /** Lists and maps that are printed when they are empty. */
  readonly printed: readonly string[];
  readonly below: readonly (readonly [name: string, value: ValueSchema])[];
}

const plans = new WeakMap<TypeSchema, Plan>();

function planOf(type: TypeSchema): Plan {
  const known = plans.get(type);
  if (known) return known;
  const fields = [...type.fields.values()];
  const plan: Plan = {
    printed: fields
      .filter(({ zero, value }) => zero === "printed" && (value.kind === "list" || value.kind === "map"))
      .map(({ name }) => name),
    below: fields.filter(({ value }) => typeBelow(value) !== undefined).map(({ name, value }) => [name, value]),
  };
  plans.set(type, plan);
  return plan;
}

function typeBelow(value: ValueSchema): TypeSchema | undefined {
  if (value.kind === "object") return value.type;
  if (value.kind === "list") return typeBelow(value.items);
  return value.kind === "map" ? typeBelow(value.values) : undefined;
}

/** Changes `object` in place. */
export function forgetEmpty(object: object, type: TypeSchema): void {
  const { printed, below } = planOf(type);
  const fields = object as Json; // of the type
  for (const name of printed) if (isEmpty(fields[name])) fields[name] = null;
  for (const [name, value] of below) descend(fields[name], value);
}

function descend(value: unknown, schema: ValueSchema): void {
  if (value === undefined || value === null) return;
  if (schema.kind === "object") forgetEmpty(value as object, schema.type);
  else if (schema.kind === "list") for (const item of value as unknown[]) descend(item, schema.items);
  else if (schema.kind === "map") for (const item of Object.values(value as object)) descend(item, schema.values);
}

function isEmpty(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  for (const _ in value) return false;
  return true;
}
