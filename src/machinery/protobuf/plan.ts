/**
 * What the codec needs of a type, worked out once: fields by number with their wire type and what an unset one means.
 *
 * Go's generated code tells us when to write: a field that is no pointer is always written, zero or not; a pointer
 * only when set; lists and maps entry by entry. .proto calls all of them `optional`, so the facts carry it (`zero`).
 */
import type { FieldSchema, TypeSchema, ValueSchema } from "../schema.ts";
import { bytesType, fixed64Type, varintType } from "./wire.ts";

export interface FieldPlan {
  readonly name: string;
  readonly number: number;
  readonly value: ValueSchema;
  /** Of one element. */
  readonly wireType: number;
  /** Absence and zero are the same: Go holds a value. */
  readonly plain: boolean;
  /** Zero is printed in JSON. */
  readonly printed: boolean;
  /** An embedded struct: its fields are those of the object itself. */
  readonly embedded: boolean;
}

export interface TypePlan {
  /** Ascending by number. */
  readonly fields: readonly FieldPlan[];
  readonly byNumber: ReadonlyMap<number, FieldPlan>;
  /** Those whose zero is printed in JSON. */
  readonly printed: readonly FieldPlan[];
}

export function planOf(type: TypeSchema): TypePlan {
  const fields: FieldPlan[] = [];
  for (const field of type.fields.values())
    if (field.number > 0 && field.embedded === undefined) fields.push(planField(field));
  for (const { number, type: embedded } of type.embedded ?? [])
    fields.push({
      name: "",
      number,
      value: { kind: "object", type: embedded },
      wireType: bytesType,
      plain: true,
      printed: false,
      embedded: true,
    });
  fields.sort((a, b) => a.number - b.number);
  return {
    fields,
    byNumber: new Map(fields.map((field) => [field.number, field])),
    printed: fields.filter((field) => field.printed && field.value.kind !== "bytes"),
  };
}

function planField({ name, number, value, zero }: FieldSchema): FieldPlan {
  return {
    name,
    number,
    value,
    wireType: wireTypeOf(value.kind === "list" && !value.wrapped ? value.items : value),
    plain: zero === "omitted" || zero === "printed",
    printed: zero === "printed",
    embedded: false,
  };
}

export function wireTypeOf(value: ValueSchema): number {
  switch (value.kind) {
    case "integer":
    case "boolean":
    case "enum":
      return varintType;
    case "number":
      return fixed64Type;
    default:
      return bytesType;
  }
}

/** Plans are kept as long as their type. */
export class Plans {
  readonly #plans = new WeakMap<TypeSchema, TypePlan>();

  of(type: TypeSchema): TypePlan {
    let plan = this.#plans.get(type);
    if (!plan) {
      plan = planOf(type);
      this.#plans.set(type, plan);
    }
    return plan;
  }
}
