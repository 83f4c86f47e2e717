/**
 * Checks a freshly parsed object against its type, as Go's decoder does while it fills a struct, and makes it what upstream
 * would print after decoding: unknown fields gone, null and zero values as the field's `zero` says (except lists and maps that were
 * sent empty: defaults tell them from absent ones, and `omitEmpty` takes them out then), times in UTC, quantities canonical. One pass that changes the object in place; a type is compiled into closures once.
 * Complaints are Go's, with the struct and the path it would name. Not for custom resources, which upstream never decodes into structs.
 */
import { canonicalBase64 } from "./base64.ts";
import { Decimal, withoutDecimals } from "./decimal.ts";
import { DecodeError } from "./decode-error.ts";
import { goQuote } from "./go-text.ts";
import { type JsonPath, jsonMembers } from "./json-text.ts";
import { canonicalQuantity } from "./quantity.ts";
import type { FieldSchema, TypeSchema, ValueSchema } from "./schema.ts";
import { canonicalMicroTimeText, canonicalTimeText } from "./time.ts";
import { cannotRestore, goType, jsonKind, whereIn } from "./typed-messages.ts";

/** Messages about unknown and repeated fields in one answer; upstream's bound. */
export const strictErrorsMax = 100;
/** Paths that are looked at for them; deep ones are dear, and the same one may come a million times. */
export const pathsMax = 1000;

type Json = Record<string, unknown>;

interface State {
  readonly root: TypeSchema;
  /** Keys and indices down to the value that is being checked. */
  readonly path: (string | number)[];
  readonly unknown: JsonPath[];
  /** Go notes the first mismatch and goes on; what a type's own unmarshaller refuses ends the decoding at once. */
  mismatch: DecodeError | undefined;
  /** Members seen, dropped ones included. */
  members: number;
  /** See TypedOptions. */
  readonly fromMap: boolean;
  readonly decimals: boolean;
}

/** Gets a value that is not null, answers what to store; undefined: nothing. */
type Check = (value: unknown, state: State) => unknown;

interface FieldPlan {
  readonly check: Check;
  /** Zero goes at once. Lists and maps stay: Go tells nil from empty until it encodes (`omitEmpty`). */
  readonly omitsZero: boolean;
  /** What absence is printed as; undefined: nothing. */
  readonly printed: (() => unknown) | undefined;
}

interface ObjectPlan {
  readonly fields: ReadonlyMap<string, FieldPlan>;
  readonly printed: readonly [name: string, zero: () => unknown][];
  readonly preserveUnknown: boolean;
}

const plans = new WeakMap<TypeSchema, ObjectPlan>();

function planOf(type: TypeSchema): ObjectPlan {
  const known = plans.get(type);
  if (known) return known;
  const fields = new Map<string, FieldPlan>();
  const plan: ObjectPlan = {
    fields,
    printed: [...type.fields.values()].flatMap((field) => {
      const printed = printedZero(field);
      return printed ? [[field.name, printed] as const] : [];
    }),
    preserveUnknown: type.preserveUnknown,
  };
  // Before the fields: types contain themselves.
  plans.set(type, plan);
  for (const field of type.fields.values()) fields.set(field.name, planField(field));
  return plan;
}

function planField({ value, zero }: Pick<FieldSchema, "value" | "zero">): FieldPlan {
  return {
    check: compile(value),
    omitsZero: zero === "omitted" && value.kind !== "list" && value.kind !== "map",
    printed: printedZero({ value, zero }),
  };
}

function printedZero({ value, zero }: Pick<FieldSchema, "value" | "zero">): (() => unknown) | undefined {
  if (zero === "null") return () => null;
  return zero === "printed" ? () => zeroOf(value) : undefined;
}

function compile(schema: ValueSchema): Check {
  switch (schema.kind) {
    case "string":
      return (value, state) => (typeof value === "string" ? value : mismatch(value, schema, state));
    case "boolean":
      return (value, state) => (typeof value === "boolean" ? value : mismatch(value, schema, state));
    case "number":
      return (value, state) => {
        if (typeof value === "number") return value;
        return value instanceof Decimal ? value.value : mismatch(value, schema, state);
      };
    case "integer":
      return compileInteger(schema);
    case "bytes":
      return (value, state) => {
        if (typeof value === "string") return checkBase64(value, state);
        return Array.isArray(value) && !state.fromMap ? bytesOf(value, state) : mismatch(value, schema, state);
      };
    case "time": {
      const canonical = schema.micro ? canonicalMicroTimeText : canonicalTimeText;
      return (value, state) => canonical(textOf(value, state)) ?? undefined;
    }
    case "quantity":
      return checkQuantity;
    case "int-or-string":
      return checkIntOrString;
    case "enum":
      return (value, state) => (typeof value === "string" ? value : mismatch(value, schema, state));
    case "any":
      return "type" in schema ? compileSchemaOr(schema.type, schema.form === "schema-or-bool") : countAny;
    case "list":
      return compileList(schema.items, schema);
    case "map":
      return compileMap(schema.values, schema);
    case "object": {
      let plan: ObjectPlan | undefined;
      return (value, state) => {
        if (!isObject(value)) return mismatch(value, schema, state);
        plan ??= planOf(schema.type);
        return checkObject(value, plan, state);
      };
    }
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Decimal);

function checkObject(object: Json, plan: ObjectPlan, state: State): Json {
  const { path } = state;
  for (const key in object) {
    const field = plan.fields.get(key);
    state.members++;
    if (field === undefined) {
      if (!plan.preserveUnknown) dropUnknown(object, key, state);
      continue;
    }
    const value = object[key];
    path.push(key);
    let result = value === null ? undefined : field.check(value, state);
    path.pop();
    if (field.omitsZero && isZero(result)) result = undefined;
    if (result === undefined) {
      if (field.printed) object[key] = field.printed();
      else delete object[key];
    } else if (result !== value) object[key] = result;
  }
  for (const [name, zero] of plan.printed) {
    if (object[name] === undefined) object[name] = zero();
  }
  return object;
}

function dropUnknown(object: Json, key: string, state: State): void {
  if (state.unknown.length < pathsMax) state.unknown.push([...state.path, key]);
  countAny(object[key], state);
  delete object[key];
}

function compileList(items: ValueSchema, schema: ValueSchema): Check {
  const check = compile(items);
  return (value, state) => {
    if (!Array.isArray(value)) return mismatch(value, schema, state);
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index];
      state.path.push(index);
      const result = (item === null ? undefined : check(item, state)) ?? zeroOf(items);
      state.path.pop();
      if (result !== item) value[index] = result;
    }
    return value;
  };
}

function compileMap(values: ValueSchema, schema: ValueSchema): Check {
  const check = compile(values);
  return (value, state) => {
    if (!isObject(value)) return mismatch(value, schema, state);
    for (const key in value) {
      const item = value[key];
      state.members++;
      state.path.push(key);
      const result = (item === null ? undefined : check(item, state)) ?? zeroOf(values);
      state.path.pop();
      if (result !== item) value[key] = result;
    }
    return value;
  };
}

/** JSONSchemaProps where upstream also takes a list, a boolean or strings: its unmarshaller drops unknown fields silently. */
function compileSchemaOr(type: TypeSchema, onlyBoolean: boolean): Check {
  let plan: ObjectPlan | undefined;
  return (value, state) => {
    if (onlyBoolean && !isObject(value) && typeof value !== "boolean") {
      throw new DecodeError("boolean or JSON schema expected");
    }
    if (Array.isArray(value) ? !value.every(isObject) : !isObject(value)) return countAny(value, state);
    plan ??= planOf(type);
    const reported = state.unknown.length;
    for (const item of Array.isArray(value) ? value : [value]) checkObject(item, plan, state);
    state.unknown.length = reported;
    return value;
  };
}

const int32Max = 2 ** 31;
const int64Max = 2 ** 63;
/** The largest double below 2^63: what JSON.parse makes of a maximum int64 would no longer be one when printed. */
const int64Clamped = 2 ** 63 - 1024;

function compileInteger(schema: ValueSchema & { readonly kind: "integer" }): Check {
  const { bits, unsigned } = schema;
  if (unsigned) {
    const end = 2 ** bits;
    return (value, state) => {
      const fits = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < end;
      return fits ? value : mismatch(value, schema, state);
    };
  }
  return (value, state) => {
    if (typeof value !== "number" || !Number.isInteger(value)) return mismatch(value, schema, state);
    if (bits === 32) return value >= -int32Max && value < int32Max ? value : mismatch(value, schema, state);
    if (value === int64Max) return int64Clamped;
    return value >= -int64Max && value < int64Max ? value : mismatch(value, schema, state);
  };
}

/** What a type with its own unmarshaller says; it ends the decoding. */
function refuse(what: string, goType: string, state: State): DecodeError {
  return new DecodeError(
    `json: cannot unmarshal ${what} into ${state.fromMap ? "Go value" : placeOf(state)} of type ${goType}`,
  );
}

function placeOf({ root, path }: State): string {
  const { struct, fields } = whereIn(root, path);
  return `Go struct field ${struct}.${fields.join(".")}`;
}

function textOf(value: unknown, state: State): string {
  if (typeof value !== "string") throw refuse(jsonKind(value), "string", state);
  return value;
}

/** Go's decoder also takes the bytes one by one. */
function bytesOf(items: readonly unknown[], state: State): string | undefined {
  for (const item of items) {
    if (typeof item === "number" && Number.isInteger(item) && item >= 0 && item < 256) continue;
    if (item !== null) return mismatch(item, { kind: "integer", bits: 32, unsigned: true }, state, "uint8");
  }
  return Buffer.from(items as number[]).toString("base64"); // null is 0
}

function checkQuantity(value: unknown): string {
  // A bare number is read as its text, anything else as a text that is no quantity.
  if (typeof value === "string") return canonicalQuantity(value.trim());
  if (value instanceof Decimal) return canonicalQuantity(value.text);
  return canonicalQuantity(JSON.stringify(value));
}

function checkIntOrString(value: unknown, state: State): unknown {
  if (typeof value === "string") return value;
  if (typeof value === "number" && Number.isInteger(value) && value >= -int32Max && value < int32Max) return value;
  throw refuse(`${jsonKind(value)}${numberText(value)}`, "int32", state);
}

/** Nothing is checked; members count, so that a repeated key elsewhere is not mistaken for one of these. */
function countAny(value: unknown, state: State): unknown {
  if (state.decimals) value = withoutDecimals(value);
  if (Array.isArray(value)) for (const item of value) countAny(item, state);
  else if (isObject(value)) {
    for (const key in value) {
      state.members++;
      countAny(value[key], state);
    }
  }
  return value;
}

function checkBase64(text: string, state: State): string | undefined {
  const canonical = canonicalBase64(text);
  if (typeof canonical === "string") return canonical;
  const why = `illegal base64 data at input byte ${canonical.wrongAt}`;
  if (state.fromMap) throw new DecodeError(`error decoding from json: ${why}`);
  state.mismatch ??= new DecodeError(why);
  return undefined;
}

function isZero(value: unknown): boolean {
  if (value === "" || value === 0 || value === false || value === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value) return false;
  return true;
}

/** Go's zero value as JSON shows it. */
function zeroOf(schema: ValueSchema): unknown {
  switch (schema.kind) {
    case "string":
    case "enum":
      return "";
    case "integer":
    case "number":
    case "int-or-string":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    case "object": {
      const zero: Json = {};
      for (const [name, printed] of planOf(schema.type).printed) zero[name] = printed();
      return zero;
    }
    default:
      return null;
  }
}

function mismatch(value: unknown, schema: ValueSchema, state: State, type = goType(schema)): undefined {
  if (state.fromMap) throw new DecodeError(cannotRestore(value, schema));
  if (state.mismatch) return undefined;
  const exact = schema.kind === "integer" ? numberText(value) : "";
  state.mismatch = new DecodeError(
    `json: cannot unmarshal ${jsonKind(value)}${exact} into ${placeOf(state)} of type ${type}`,
  );
  return undefined;
}

function numberText(value: unknown): string {
  if (value instanceof Decimal) return ` ${value.text}`;
  return typeof value === "number" ? ` ${value}` : "";
}

export interface TypedResult {
  /** `unknown field "spec.x"`, `duplicate field "spec.y"`; at most `strictErrorsMax`. */
  readonly strictErrors: readonly string[];
  /** A key stands twice in an object: of the text, if there was one. */
  readonly repeated: boolean;
}

export interface TypedOptions {
  /**
   * The JSON text the object was parsed from, with the number of its members (`measureJson`). With it repeated keys are
   * found; without it (YAML, protobuf, patches) they are not looked for.
   */
  readonly source?: { readonly text: string; readonly members: number };
  /** Complain as upstream does when it fills a struct from a map (after a strategic merge patch), not from JSON. */
  readonly fromMap?: boolean;
  /** There may be some in it (`Decimal`): they become numbers or are refused. */
  readonly decimals?: boolean;
}

/** Checks and changes `object` in place. Throws DecodeError, QuantityError or TimeError. */
export function checkTyped(
  object: Json,
  type: TypeSchema,
  { source, fromMap = false, decimals = false }: TypedOptions = {},
): TypedResult {
  const state: State = { root: type, path: [], unknown: [], mismatch: undefined, members: 0, fromMap, decimals };
  checkObject(object, planOf(type), state);
  if (state.mismatch) throw state.mismatch;
  if (source && source.members !== state.members) {
    return { strictErrors: readAgain(source.text, type, state.unknown), repeated: true };
  }
  return {
    repeated: false,
    strictErrors: state.unknown.map((path) => `unknown field ${quotePath(path)}`).slice(0, strictErrorsMax),
  };
}

/** Goes through the text for keys that stand twice, and puts all complaints into the order of the text. */
function readAgain(text: string, type: TypeSchema, unknown: readonly JsonPath[]): string[] {
  const unknownPaths = new Set(unknown.slice(0, strictErrorsMax).map(quotePath));
  const unknownKeys = new Set<unknown>(unknown.map((steps) => steps.at(-1)));
  const messages = new Set<string>();
  let looked = 0;
  for (const { key, again, path: pathOf } of jsonMembers(text)) {
    if (messages.size >= strictErrorsMax) break;
    if (!again && !unknownKeys.has(key)) continue;
    if (++looked > pathsMax) break;
    const path = pathOf();
    const quoted = quotePath(path);
    if (unknownPaths.has(quoted)) messages.add(`unknown field ${quoted}`);
    // Below an unknown field and inside free-form JSON upstream doesn't look.
    else if (again && isObjectOrMap(whereIn(type, path.slice(0, -1)).schema)) messages.add(`duplicate field ${quoted}`);
  }
  return [...messages];
}

const isObjectOrMap = (schema: ValueSchema | undefined): boolean => schema?.kind === "object" || schema?.kind === "map";

/** `"spec.containers[0].x"` */
export function quotePath(path: JsonPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += text === "" ? step : `.${step}`;
  }
  return goQuote(text);
}
