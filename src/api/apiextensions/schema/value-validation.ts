/**
 * Checks a value against its schema, in the words of kube-openapi's validator and of apiserver/validation around it. A walk over
 * the schema as it is: nothing is compiled, so a thousand definitions cost nothing but their text.
 *
 * Ratcheting (1.33): what an update doesn't change is not complained about. A part and its old self are found by name, and in lists
 * that are maps by their keys; under allOf, anyOf, oneOf and not nothing is compared.
 */
import { atOnce } from "#base";
import { type FieldError, FieldPath, fieldError, goJson, goQuote, jsonEqual } from "#machinery";
import type { Correlated } from "./correlation.ts";
import { formatCheck, formatOf } from "./formats.ts";
import { asGo, isIntOrString, isJsonObject, itemsOf, type Json, type JsonSchema, additionalOf } from "./json-schema.ts";
import { compilePattern } from "./pattern.ts";

export interface ValueOptions {
  /** Where the value stands; nowhere when it is the whole object. */
  readonly at?: FieldPath;
  /** It beside what it was before. */
  readonly old?: Correlated | undefined;
}

export const validateValue = (value: unknown, schema: JsonSchema, options?: ValueOptions): readonly FieldError[] =>
  atOnce(validateInSteps(value, schema, options));

/** What is large is looked at in steps, after everything else. */
export function* validateInSteps(
  value: unknown,
  schema: JsonSchema,
  { at = FieldPath.none, old }: ValueOptions = {},
): Generator<void, readonly FieldError[]> {
  const result = new Result([]);
  check(value, schema, new Place(undefined, "", { at, old }), result);
  for (let next = result.takeLater(); next; next = result.takeLater()) {
    yield;
    next();
  }
  return result.errors;
}

interface Around {
  readonly at: FieldPath;
  readonly old: Correlated | undefined;
}

/** A part of the value; printed only when there is something to say about it. */
class Place {
  readonly parent: Place | undefined;
  readonly at: FieldPath;
  readonly old: Correlated | undefined;
  readonly #step: string;

  constructor(parent: Place | undefined, step: string, { at, old }: Around) {
    this.parent = parent;
    this.#step = step;
    this.at = at;
    this.old = old;
  }

  /** As messages print it: `spec.ports[0].name`. */
  get name(): string {
    return `${this.parent?.name ?? ""}${this.#step}`;
  }

  get isRoot(): boolean {
    return this.parent === undefined;
  }

  index(index: number): Place {
    return new Place(this, `[${index}]`, { at: this.at, old: this.old?.index(index) });
  }

  /** `dotted`: upstream forgets that there is nothing before it. */
  member(name: string, dotted: boolean): Place {
    // Both are in the same version, whatever was sent: what these say can't be told from what they said.
    const old = this.isRoot && (name === "kind" || name === "apiVersion") ? undefined : this.old?.key(name);
    return new Place(this, dotted || !this.isRoot ? `.${name}` : name, { at: this.at, old });
  }

  /** Where nothing is compared with what was. */
  alone(): Place {
    return new Place(this.parent, this.#step, { at: this.at, old: undefined });
  }
}

/** Entries of one list or object that are looked at in one step; with fewer there is one step. */
const stepEntriesMax = 256;

/** Errors, none twice, and how many checks were passed: of several alternatives the one that got furthest explains the failure. */
class Result {
  readonly errors: FieldError[] = [];
  passed = 0;
  #texts: Set<string> | undefined;
  readonly #later: (() => void)[] | undefined;

  /** `later`: what may wait is put there. */
  constructor(later?: (() => void)[]) {
    this.#later = later;
  }

  add(error: FieldError): void {
    this.#texts ??= new Set();
    const { size } = this.#texts;
    if (this.#texts.add(textOf(error)).size > size) this.errors.push(error);
  }

  merge({ errors, passed }: Result): void {
    for (const error of errors) this.add(error);
    this.passed += passed;
  }

  /** Forgets all but the first errors. */
  cut(length: number): void {
    for (const error of this.errors.splice(length)) this.#texts?.delete(textOf(error));
  }

  takeLater(): (() => void) | undefined {
    return this.#later?.shift();
  }

  /** Looks at all entries, or puts them off. */
  each(count: number, place: Place, look: (index: number) => void): void {
    const lookAt = (from: number, to: number): void => {
      for (let index = from; index < to; index++) look(index);
    };
    if (count <= stepEntriesMax || !this.#later) {
      lookAt(0, count);
      return;
    }
    for (let from = 0; from < count; from += stepEntriesMax)
      this.#later.push(() => {
        const before = this.errors.length;
        lookAt(from, Math.min(from + stepEntriesMax, count));
        if (this.errors.length > before && isUnchanged(place)) this.cut(before);
      });
  }
}

const textOf = ({ field, message }: FieldError): string => `${field} ${message}`;

/** It, or something around it. */
function isUnchanged(place: Place): boolean {
  for (let around: Place | undefined = place; around; around = around.parent) if (around.old?.unchanged) return true;
  return false;
}

const fieldOf = ({ name, at }: Place): FieldPath => (name === "" ? at : at.child(name.replace(/^\./, "")));

function check(value: unknown, schema: JsonSchema, place: Place, result: Result): void {
  const { passed } = result;
  const before = result.errors.length;
  if (value === null || value === undefined) {
    checkNull(schema, place, result);
    checkEnum(value, schema, place, result);
  } else checkPresent(value, schema, place, result);
  if (result.errors.length === before || !place.old?.unchanged) return;
  result.cut(before);
  result.passed = passed;
}

function typesOf(schema: JsonSchema): readonly string[] {
  if (isIntOrString(schema)) return ["integer", "string"];
  return schema.type ? [schema.type] : [];
}

function checkNull(schema: JsonSchema, place: Place, result: Result): void {
  const types = typesOf(schema);
  if (types.length > 0 && !types.includes("null") && schema.nullable !== true) {
    result.add(wrongType(place, types.join(","), "null"));
  } else result.passed++;
}

function checkPresent(value: unknown, schema: JsonSchema, place: Place, result: Result): void {
  checkType(value, schema, place, result);
  checkJunctors(value, schema, place, result);
  if (typeof value === "string") {
    checkString(value, schema, place, result);
    checkFormat(value, schema, place, result);
  } else if (typeof value === "number") checkNumber(value, schema, place, result);
  else if (Array.isArray(value)) checkItems(value, schema, place, result);
  checkEnum(value, schema, place, result);
  if (isJsonObject(value)) checkMembers(value, schema, place, result);
  result.passed++;
}

const inBody = ({ name }: Place, why: string): string => `${name} in body ${why}`;

function wrongType(place: Place, wanted: string, found: string): FieldError {
  return fieldError.typeInvalid(fieldOf(place), found, inBody(place, `must be of type ${wanted}: ${goQuote(found)}`));
}

const invalid = (place: Place, value: unknown, why: string): FieldError =>
  fieldError.invalid(fieldOf(place), value, inBody(place, why));

function typeName(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** The format that a Go value has by itself. */
const ownFormats: Readonly<Record<string, string>> = { integer: "int64", number: "float64" };

function checkType(value: unknown, schema: JsonSchema, place: Place, result: Result): void {
  const types = typesOf(schema);
  const format = formatOf(schema);
  if (types.length === 0 && format === "") return;
  result.passed++;
  const type = typeName(value);
  const fits = types.includes(type) || (type === "integer" && types.includes("number"));
  const textual = typeof value === "string" || Array.isArray(value);
  const numeric = types.includes("number") || types.includes("integer");
  if (!textual && format !== "" && !fits && format !== ownFormats[type]) {
    result.add(wrongType(place, format, ownFormats[type] ?? ""));
  } else if ((textual && format !== "" && !numeric) || fits) result.passed++;
  else result.add(wrongType(place, types.join(","), type));
}

function checkString(value: string, schema: JsonSchema, place: Place, result: Result): void {
  const { maxLength, minLength, pattern } = schema;
  result.passed++;
  const length = maxLength === undefined && minLength === undefined ? 0 : [...value].length;
  if (maxLength !== undefined && length > maxLength) result.add(fieldError.tooLong(fieldOf(place), maxLength));
  else if (minLength !== undefined && length < minLength) {
    result.add(invalid(place, value, `should be at least ${minLength} chars long`));
  } else if (pattern && !compilePattern(pattern).test(value)) {
    result.add(invalid(place, value, `should match '${pattern}'`));
  }
}

function checkFormat(value: string, schema: JsonSchema, place: Place, result: Result): void {
  const format = formatOf(schema);
  const valid = format ? formatCheck(format) : undefined;
  if (!valid) return;
  result.passed += 2;
  if (!valid(value)) {
    result.add(
      fieldError.typeInvalid(fieldOf(place), value, inBody(place, `must be of type ${format}: ${goQuote(value)}`)),
    );
  }
}

function checkNumber(value: number, schema: JsonSchema, place: Place, result: Result): void {
  const { multipleOf, minimum, maximum, exclusiveMinimum = false, exclusiveMaximum = false } = schema;
  checkRange(value, schema, place, result);
  // Go compares integers as integers: a bound loses its fraction.
  const bound = (limit: number): number => (Number.isInteger(value) ? Math.trunc(limit) : limit);
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) {
    result.add(invalid(place, value, `should be a multiple of ${goJson(bound(multipleOf))}`));
  }
  if (minimum !== undefined) {
    const limit = bound(minimum);
    if (value < limit || (exclusiveMinimum && value === limit)) {
      const why = exclusiveMinimum ? "greater than" : "greater than or equal to";
      result.add(invalid(place, value, `should be ${why} ${goJson(limit)}`));
    }
  }
  if (maximum !== undefined) {
    const limit = bound(maximum);
    if (value > limit || (exclusiveMaximum && value === limit)) {
      const why = exclusiveMaximum ? "less than" : "less than or equal to";
      result.add(invalid(place, value, `should be ${why} ${goJson(limit)}`));
    }
  }
  result.passed += 2;
}

/** What the type can hold. Such an error says where it is, but not as a path. */
function checkRange(value: number, schema: JsonSchema, place: Place, result: Result): void {
  const { type } = schema;
  const format = formatOf(schema);
  const fail = () => {
    const what = format === "" ? `${type} (default format)` : `${type} with format ${format}`;
    result.add(fieldError.invalid(place.at, "", `Checked value must be of type ${what} in ${place.name}`));
  };
  if (isIntOrString(schema)) return;
  const fits = format === "int32" ? Math.abs(value + 0.5) < 2 ** 31 : Math.abs(value) < 2 ** 63;
  if (
    type === "integer" ? !Number.isInteger(value) || !fits : format === "float" && !Number.isFinite(Math.fround(value))
  )
    fail();
}

function isMultiple(value: number, factor: number): boolean {
  if (factor <= 0) return true; // such a schema asks for nothing that could be checked
  if (Number.isInteger(value) && Number.isInteger(factor)) return value % factor === 0;
  const ratio = factor < 1 ? (1 / factor) * value : value / factor;
  return Math.abs(ratio - Math.round(ratio)) < 1e-9 * Math.max(1, Math.abs(ratio));
}

function checkItems(value: readonly unknown[], schema: JsonSchema, place: Place, result: Result): void {
  const items = itemsOf(schema);
  if (items) {
    result.each(value.length, place, (index) => {
      check(value[index], items, place.index(index), result);
    });
  }
  const { minItems, maxItems, uniqueItems } = schema;
  const count = value.length;
  if (minItems !== undefined && count < minItems) {
    result.add(invalid(place, count, `should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && count > maxItems) {
    result.add(fieldError.tooMany(fieldOf(place), count, maxItems));
  }
  if (uniqueItems && value.some((item, i) => value.slice(0, i).some((other) => jsonEqual(item, other)))) {
    result.add(invalid(place, "", "shouldn't contain duplicates"));
  }
  result.passed += 2;
}

function checkEnum(value: unknown, { enum: allowed }: JsonSchema, place: Place, result: Result): void {
  if (value !== null && value !== undefined) result.passed++;
  if (!allowed || allowed.length === 0) return;
  // Go converts a number to the type of the one it is compared with.
  const same = (each: unknown): boolean =>
    typeof value === "number" && Number.isInteger(each) ? Math.trunc(value) === each : jsonEqual(each, value);
  if (value !== null && value !== undefined && allowed.some(same)) return;
  const texts = allowed.map((each) => (typeof each === "string" ? each : goJson(each)));
  result.add(fieldError.notSupported(fieldOf(place), asGo(value ?? null), texts));
}

function checkMembers(value: Json, schema: JsonSchema, place: Place, result: Result): void {
  const { minProperties, maxProperties, additionalProperties, properties = {}, required = [] } = schema;
  const names = Object.keys(value);
  if (minProperties !== undefined && names.length < minProperties)
    result.add(invalid(place, names.length, `should have at least ${minProperties} properties`));
  if (maxProperties !== undefined && names.length > maxProperties)
    result.add(fieldError.tooMany(fieldOf(place), names.length, maxProperties));
  const additional = additionalOf(schema);
  const others = names.filter((name) => !Object.hasOwn(properties, name));
  if (additionalProperties === false)
    for (const name of others)
      result.add(fieldError.invalid(fieldOf(place), name, `${place.name}.${name} in body is a forbidden property`));
  else if (additional)
    result.each(others.length, place, (index) => {
      const name = others[index]!; // among them
      check(value[name], additional, place.member(name, true), result);
    });
  const known = Object.keys(properties).filter((name) => Object.hasOwn(value, name));
  result.each(known.length, place, (index) => {
    const name = known[index]!; // among them
    check(value[name], properties[name]!, place.member(name, false), result); // it has it
  });
  for (const name of required) {
    if (!Object.hasOwn(value, name)) result.add(fieldError.required(fieldOf(place.member(name, true))));
  }
  result.passed++;
}

/** Without old values: upstream doesn't ratchet in here. */
function attempt(value: unknown, schema: JsonSchema, place: Place): Result {
  const result = new Result();
  check(value, schema, place.alone(), result);
  return result;
}

function checkJunctors(value: unknown, schema: JsonSchema, place: Place, result: Result): void {
  const { anyOf = [], oneOf = [], allOf = [], not } = schema;
  const fail = (why: string) => {
    result.add(fieldError.invalid(place.at, "", `${goQuote(place.name)} ${why}`));
  };
  if (anyOf.length > 0) {
    const tried: Result[] = [];
    for (const each of anyOf) {
      const outcome = attempt(value, each, place);
      tried.push(outcome);
      if (outcome.errors.length === 0) break;
    }
    const success = tried.find(({ errors }) => errors.length === 0);
    if (!success) fail("must validate at least one schema (anyOf)");
    result.merge(success ?? furthest(tried));
  }
  if (oneOf.length > 0) {
    const tried = oneOf.map((each) => attempt(value, each, place));
    const valid = tried.filter(({ errors }) => errors.length === 0);
    if (valid.length !== 1) {
      const found = valid.length === 0 ? "Found none valid" : `Found ${valid.length} valid alternatives`;
      fail(`must validate one and only one schema (oneOf). ${found}`);
    }
    if (valid.length === 0) result.merge(furthest(tried));
    else if (valid.length === 1) result.merge(valid[0]!); // counted
  }
  if (allOf.length > 0) {
    const tried = allOf.map((each) => attempt(value, each, place));
    const valid = tried.filter(({ errors }) => errors.length === 0).length;
    for (const each of tried) result.merge(each);
    if (valid !== tried.length) fail(`must validate all the schemas (allOf)${valid === 0 ? ". None validated" : ""}`);
  }
  if (not && attempt(value, not, place).errors.length === 0) fail("must not validate the schema (not)");
  result.passed += 2;
}

function furthest(tried: readonly Result[]): Result {
  return tried.reduce((best, each) => (each.passed > best.passed ? each : best));
}
