/**
 * Configuration files that are written as objects (`apiVersion`, `kind`, fields): audit policies, encryption, authentication, authorization.
 * Their shape is declared as a value from which the TypeScript type follows; decoding is strict (unknown and repeated fields are errors,
 * in the words of upstream's strict serializer), and what Go would leave at its zero value is filled in, so that readers have no gaps to think of.
 */
import { durationProblem, parseDuration } from "#base";
import { DecodeError } from "./decode-error.ts";
import { JsonSyntaxError, jsonComplaint, jsonDepthMax } from "./json-complaint.ts";
import { jsonText, measureJson, parseJson } from "./json-text.ts";
import type { FieldSchema, TypeSchema, ValueSchema } from "./schema.ts";
import { checkTyped } from "./typed.ts";

/** `?`: absence is something else than zero. Durations become milliseconds. `bytes` is base64 and stays so. */
export type Shape =
  | "string"
  | "string?"
  | "bool"
  | "bool?"
  | "int"
  | "int?"
  | "int64?"
  | "number?"
  | "duration"
  | "duration?"
  | "bytes"
  | "any"
  | readonly [Shape]
  | ShapeMap
  | ObjectShape
  | OptionalShape;

export interface ShapeMap<S extends Shape = Shape> {
  readonly mapOf: S;
}

/** `name` as in upstream's Go types: it stands in messages. */
export interface ObjectShape<F extends ShapeFields = ShapeFields> {
  readonly name: string;
  readonly fields: F;
}

/** A pointer to a struct, or a list or map, whose absence is something else than its being empty. */
export interface OptionalShape<S extends Shape = Shape> {
  readonly optional: S;
}

// A property of itself may only be named through an interface.
export interface ShapeFields {
  readonly [field: string]: Shape;
}

export type ShapeValue<S> = S extends "string" | "bytes"
  ? string
  : S extends "string?"
    ? string | undefined
    : S extends "bool"
      ? boolean
      : S extends "bool?"
        ? boolean | undefined
        : S extends "int" | "duration"
          ? number
          : S extends "int?" | "int64?" | "number?" | "duration?"
            ? number | undefined
            : S extends readonly [infer I]
              ? readonly ShapeValue<I>[]
              : S extends { readonly mapOf: infer V }
                ? Readonly<Record<string, ShapeValue<V>>>
                : S extends { readonly optional: infer O }
                  ? ShapeValue<O> | undefined
                  : S extends { readonly fields: infer F }
                    ? { readonly [K in keyof F]: ShapeValue<F[K]> }
                    : unknown;

export const shape = <const F extends ShapeFields>(name: string, fields: F): ObjectShape<F> => ({ name, fields });

export interface ConfigurationKind<F extends ShapeFields = ShapeFields> {
  readonly kind: string;
  /** `apiserver.config.k8s.io/v1`: those that this shape is of. */
  readonly apiVersions: readonly string[];
  readonly shape: ObjectShape<F>;
  /** Told about unknown and repeated fields, which are then no errors. */
  readonly lenient?: (complaint: string) => void;
}

/** As declared, with the version that was given. */
export type Configuration<F extends ShapeFields> = { readonly [K in keyof F]: ShapeValue<F[K]> } & {
  readonly apiVersion: string;
};

/** The text can't be used; the message says why. */
export class ConfigurationError extends Error {
  override name = "ConfigurationError";
}

/** Throws ConfigurationError. Text that begins like a JSON object is JSON, everything else YAML, which is loaded then. */
export async function decodeConfiguration<F extends ShapeFields>(
  text: string,
  { kind, apiVersions, shape, lenient }: ConfigurationKind<F>,
): Promise<Configuration<F>> {
  const strict: string[] = [];
  const source = /^\s*\{/.test(text) ? readJson(text) : undefined;
  const value = source ? source.value : await readYaml(text, strict);
  if (!isObject(value)) throw new ConfigurationError(`couldn't get version/kind; json parse error: want an object`);
  const { apiVersion, kind: given } = value;
  for (const [name, field] of [
    ["Kind", given],
    ["apiVersion", apiVersion],
  ] as const)
    if (typeof field !== "string" || field === "")
      throw new ConfigurationError(`Object '${name}' is missing in '${text}'`);
  if (given !== kind || !apiVersions.includes(String(apiVersion)))
    throw new ConfigurationError(
      `no kind ${JSON.stringify(given)} is registered for version ${JSON.stringify(apiVersion)}, want ${kind} of ${apiVersions.join(" or ")}`,
    );
  try {
    const { strictErrors } = checkTyped(value, typeOf(shape), source ? { source } : {});
    strict.push(...strictErrors);
    if (strict.length > 0) {
      const complaint = `strict decoding error: ${strict.join(", ")}`;
      if (!lenient) throw new ConfigurationError(complaint);
      lenient(complaint);
    }
    const filled: unknown = Object.assign(fill(value, shape) as Json, { apiVersion });
    return filled as Configuration<F>; // checked and filled to that shape
  } catch (error) {
    throw error instanceof DecodeError ? new ConfigurationError(error.message) : error;
  }
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function readJson(text: string): { text: string; members: number; value: unknown } {
  const complain = (why: string) => new ConfigurationError(`couldn't get version/kind; json parse error: ${why}`);
  try {
    const value = parseJson(text);
    const { members, depth } = measureJson(text);
    if (depth > jsonDepthMax) throw complain(jsonComplaint(text));
    return { text, members, value };
  } catch (error) {
    throw error instanceof JsonSyntaxError ? complain(error.message) : error;
  }
}

async function readYaml(text: string, strict: string[]): Promise<unknown> {
  const { duplicatesError, parseYaml, YamlError } = await import("./yaml.ts");
  try {
    const { value, duplicates } = parseYaml(jsonText(Buffer.from(text)));
    if (duplicates.length > 0) strict.push(duplicatesError(duplicates));
    return value ?? {};
  } catch (error) {
    throw error instanceof YamlError ? new ConfigurationError(error.message) : error;
  }
}

function typeOf({ name, fields }: ObjectShape): TypeSchema {
  const of = ([field, shape]: readonly [string, Shape]): [string, FieldSchema] => [
    field,
    { name: field, value: schemaOf(shape), required: false, number: 0, patchStrategy: [], atomic: false },
  ];
  const head: [string, Shape][] = [
    ["apiVersion", "string"],
    ["kind", "string"],
  ];
  return {
    name: `v1.${name}`,
    fields: new Map([...head, ...Object.entries(fields)].map(of)),
    atomic: false,
    preserveUnknown: false,
  };
}

function schemaOf(shape: Shape): ValueSchema {
  if (typeof shape === "object") {
    if ("mapOf" in shape) return { kind: "map", values: schemaOf(shape.mapOf) };
    if ("optional" in shape) return schemaOf(shape.optional);
    if ("fields" in shape) return { kind: "object", type: withoutHead(shape) };
    return { kind: "list", items: schemaOf(shape[0]), listType: "atomic", mapKeys: [] };
  }
  switch (shape) {
    case "bool":
    case "bool?":
      return { kind: "boolean" };
    case "int":
    case "int?":
      return { kind: "integer", bits: 32 };
    case "int64?":
      return { kind: "integer", bits: 64 };
    case "number?":
      return { kind: "number" };
    case "bytes":
      return { kind: "bytes" };
    case "any":
      return { kind: "any" };
    default:
      return { kind: "string" };
  }
}

/** Only the outermost object has a version and a kind. */
function withoutHead(shape: ObjectShape): TypeSchema {
  const type = typeOf(shape);
  const fields = new Map(type.fields);
  for (const name of ["apiVersion", "kind"]) if (!(name in shape.fields)) fields.delete(name);
  return { ...type, fields };
}

/** The value with Go's zero values where nothing is given. Throws DecodeError about durations. */
function fill(value: unknown, shape: Shape): unknown {
  if (typeof shape === "object") {
    if ("optional" in shape) return value === undefined || value === null ? undefined : fill(value, shape.optional);
    if ("mapOf" in shape)
      return Object.fromEntries(
        Object.entries((value as Json | undefined) ?? {}).map(([key, each]) => [key, fill(each, shape.mapOf)]), // checked to be a map
      );
    if ("fields" in shape) {
      const object = (value as Json | undefined) ?? {}; // checked to be an object
      return Object.fromEntries(Object.entries(shape.fields).map(([name, each]) => [name, fill(object[name], each)]));
    }
    return ((value as unknown[] | undefined) ?? []).map((each) => fill(each, shape[0])); // checked to be a list
  }
  switch (shape) {
    case "string":
    case "bytes":
      return value ?? "";
    case "bool":
      return value ?? false;
    case "int":
      return value ?? 0;
    case "duration":
    case "duration?": {
      if (value === undefined) return shape === "duration" ? 0 : undefined;
      const problem = durationProblem(String(value));
      if (problem) throw new DecodeError(problem);
      return parseDuration(String(value));
    }
    default:
      return value;
  }
}
