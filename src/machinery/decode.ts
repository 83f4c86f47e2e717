/**
 * The body of a request to an object of the kind that the path asks for, with the refusals that upstream's decoder gives:
 * group, version and kind first (missing ones come from the path), then the fields, then what `fieldValidation` says about
 * unknown and repeated fields. Which kinds there are and their types come from the caller.
 */
import { Decimal, needsSources, parseWithSources, withoutDecimals } from "./decimal.ts";
import type { CborWords } from "./cbor/decode.ts";
import { DecodeError } from "./decode-error.ts";
import { JsonSyntaxError, jsonComplaint, jsonDepthMax } from "./json-complaint.ts";
import { countMembers, jsonText, measureJson, parseJson } from "./json-text.ts";
import { parseMerging } from "./json-merging.ts";
import type { KubernetesObject } from "./object.ts";
import { QuantityError } from "./quantity.ts";
import type { TypeSchema } from "./schema.ts";
import { type StatusError, statusError } from "./status.ts";
import { TimeError } from "./time.ts";
import { checkTyped } from "./typed.ts";
import { jsonKind } from "./typed-messages.ts";
import type { Yaml } from "./yaml.ts";
import { yamlAsideBytesMin } from "./yaml-sizes.ts";

export type FieldValidation = "Ignore" | "Warn" | "Strict";

export interface Expected {
  readonly apiVersion: string;
  readonly kind: string;
}

export interface DecodeOptions {
  readonly mediaType: "application/json" | "application/yaml" | "application/cbor";
  /** What the path stands for: fills in what the body leaves out. */
  readonly expected: Expected;
  /** The type of a kind in a version; undefined when there is none. */
  schemaOf(apiVersion: string, kind: string): TypeSchema | undefined;
  /** Kinds beside the expected one that are accepted as they are (DeleteOptions in another group's version). */
  accepts?(apiVersion: string, kind: string): boolean;
  readonly fieldValidation?: FieldValidation;
  /** Complaints don't say what the body was to be: options of deletions. */
  readonly bare?: boolean;
  /** What is missing isn't filled in: objects of free form. */
  readonly wordsRequired?: boolean;
}

export interface Decoded {
  /** With apiVersion and kind set. */
  readonly object: KubernetesObject & Record<string, unknown>;
  /** Texts for Warning headers. */
  readonly warnings: readonly string[];
}

/** Bytes of a body that its error message shows. */
const summaryBytesMax = 30;

/** Throws StatusError (400). What reads YAML and CBOR is loaded on first use, hence the promise. */
export async function decodeObject(body: Uint8Array, options: DecodeOptions): Promise<Decoded> {
  if (options.mediaType === "application/json") return decodeJsonObject(body, options);
  if (options.mediaType === "application/cbor") return decodeCborBody(body, options);
  const { duplicatesError, YamlError } = await import("./yaml.ts");
  try {
    const { value, duplicates } = await readYaml(body);
    return finish(
      {
        value,
        body,
        decimals: true,
        ...(duplicates.length > 0 ? { duplicates, error: duplicatesError(duplicates) } : {}),
      },
      options,
    );
  } catch (error) {
    if (error instanceof YamlError) throw unrecognized(error.message, body, options);
    throw error;
  }
}

/** YAML as a body would be read, without a kind to hold it to. Throws YamlError. */
export async function parseYamlText(text: string): Promise<Yaml> {
  return (await import("./yaml.ts")).parseYaml(text);
}

async function readYaml(body: Uint8Array): Promise<Yaml> {
  if (body.length >= yamlAsideBytesMin) return (await import("./yaml-thread.ts")).parseYamlAside(body);
  const { parseYaml } = await import("./yaml.ts");
  return parseYaml(body);
}

/** The same for JSON only, at once. */
export function decodeJsonObject(body: Uint8Array, options: DecodeOptions): Decoded {
  const text = jsonText(body);
  const unreadable = (complaint: string) =>
    unrecognized(`couldn't get version/kind; json parse error: ${complaint}`, body, options);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw unreadable(error.message);
    throw error;
  }
  const { members, depth, decimals } = measureJson(text);
  if (depth > jsonDepthMax) throw unreadable(jsonComplaint(text));
  const sources = needsSources(text, decimals);
  if (sources) value = parseWithSources(text);
  return finish({ value, body, decimals: sources, source: { text, members } }, options);
}

async function decodeCborBody(body: Uint8Array, options: DecodeOptions): Promise<Decoded> {
  const { CborError, decodeCborObject, readCborWords } = await import("./cbor/decode.ts");
  let words: CborWords | undefined;
  try {
    words = readCborWords(body);
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw unrecognized(`unable to determine group/version/kind: ${error.message}`, body, options);
  }
  const { apiVersion: given = "", kind: named } = words ?? {};
  // Here what is no version counts as none.
  const version = String(given).split("/").length > 2 ? "" : given;
  const { apiVersion, kind } = versionAndKind({ apiVersion: version, kind: named }, options, body);
  const type = options.schemaOf(apiVersion, kind);
  // Without a type it is refused in the words that JSON gets.
  if (!type) return finish({ value: { apiVersion, kind }, body }, options);
  try {
    const { value, unknown } = decodeCborObject(body, type);
    const found = unknown === undefined ? {} : { strict: unknown };
    return finish({ value: { ...(value as Json), apiVersion, kind }, body, decimals: true, ...found }, options);
  } catch (error) {
    const known = error instanceof CborError || error instanceof TimeError;
    throw known ? refusal(error.message, { apiVersion, kind, options }) : error;
  }
}

/** The same for a value that needs no parsing (callers in this process). Changes and keeps it. */
export function decodeValue(value: unknown, options: DecodeOptions): Decoded {
  return finish({ value, body: noBody }, options);
}

const noBody = new Uint8Array();

interface Parsed {
  readonly value: unknown;
  readonly body: Uint8Array;
  /** Of JSON: to find repeated keys. */
  readonly source?: { readonly text: string; readonly members: number };
  /** Of YAML: repeated keys, found while parsing, and all of them as one error. */
  readonly duplicates?: readonly string[];
  readonly error?: string;
  /** See TypedOptions. */
  readonly decimals?: boolean;
  /** Of CBOR: an unknown field. */
  readonly strict?: string;
}

type Json = Record<string, unknown>;

function finish(parsed: Parsed, options: DecodeOptions): Decoded {
  const { body, source, duplicates = [], error: duplicatesError, decimals = false, strict } = parsed;
  const { expected, fieldValidation = "Ignore", schemaOf } = options;
  let object = asObject(parsed, options);
  const { apiVersion, kind } = versionAndKind(object, options, body);
  const refuse = (why: string) => refusal(why, { apiVersion, kind, options });
  const schema = schemaOf(apiVersion, kind);
  if (!schema) {
    throw refuse(`no kind "${kind}" is registered for version "${apiVersion}" in scheme "${schemeName}"`);
  }
  let strictErrors: readonly string[];
  try {
    // Where everything is taken as it is, nothing is counted, and whoever asks looks for repeated keys.
    const counted = schema.preserveUnknown === true ? undefined : source;
    const checked = checkTyped(object, schema, { decimals, ...(counted && { source: counted }) });
    ({ strictErrors } = checked);
    if (checked.repeated && source) {
      object = parseMerging(source.text) as Json; // it was an object before
      checkTyped(object, schema);
    }
    if (strict !== undefined) strictErrors = [strict];
  } catch (error) {
    const known = error instanceof DecodeError || error instanceof QuantityError || error instanceof TimeError;
    throw known ? refuse(error.message) : error;
  }
  if (fieldValidation === "Strict" && (strictErrors.length > 0 || duplicatesError)) {
    const all = duplicatesError ? [duplicatesError, ...strictErrors] : strictErrors;
    throw refuse(`strict decoding error: ${all.join(", ")}`);
  }
  const same = kind === expected.kind && groupOf(apiVersion) === groupOf(expected.apiVersion);
  if (!same && !options.accepts?.(apiVersion, kind)) {
    const from = `${versionOf(apiVersion)}.${kind}`;
    throw refuse(
      `converting (${from}) to (${internalPackage(expected.apiVersion)}.${expected.kind}): unknown conversion`,
    );
  }
  object.apiVersion = apiVersion;
  object.kind = kind;
  return { object, warnings: fieldValidation === "Warn" ? [...duplicates, ...strictErrors] : [] };
}

function refusal(why: string, { apiVersion, kind, options }: Refused): StatusError {
  const { expected, bare } = options;
  if (bare) return statusError.badRequest(why);
  return statusError.badRequest(
    `${kind} in version "${versionOf(apiVersion)}" cannot be handled as a ${expected.kind}: ${why}`,
  );
}

interface Refused {
  readonly apiVersion: string;
  readonly kind: string;
  readonly options: Pick<DecodeOptions, "expected" | "bare">;
}

export interface ApplyPatch {
  readonly object: Record<string, unknown>;
  /** For when nothing else is wrong with it. */
  readonly warnings: readonly string[];
  /** The same, when it is strict. */
  readonly refusal?: StatusError;
}

/** The body of a server-side apply: YAML, nearly always written as JSON, of no checked type. Throws StatusError (400). */
export async function decodeApplyPatch(body: Uint8Array, fieldValidation: FieldValidation): Promise<ApplyPatch> {
  const text = jsonText(body);
  const object = uniqueJsonObject(text);
  if (object) return { object, warnings: [] };
  const { duplicatesError, YamlError } = await import("./yaml.ts");
  try {
    const { value: parsed, duplicates } = await readYaml(body);
    const value = withoutDecimals(parsed);
    const complaint = `error converting YAML to JSON: ${duplicatesError(duplicates)}`;
    const strict = duplicates.length > 0 && fieldValidation === "Strict";
    const more = {
      warnings: fieldValidation === "Warn" ? duplicates : [],
      ...(strict && { refusal: statusError.badRequest(`error strict decoding YAML: ${complaint}`) }),
    };
    if (value === null || value === undefined) return { object: {}, ...more };
    if (typeof value === "object" && !Array.isArray(value)) return { object: value as Json, ...more };
    const why = `json: cannot unmarshal ${jsonKind(value)} into Go value of type map[string]interface {}`;
    throw statusError.badRequest(`error decoding YAML: error unmarshaling JSON: while decoding JSON: ${why}`);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw statusError.badRequest(`error decoding YAML: error converting YAML to JSON: ${error.message}`);
  }
}

/** The same as CBOR: keys never stand twice in it. Throws StatusError (400). */
export async function decodeCborApply(body: Uint8Array): Promise<ApplyPatch> {
  const { CborError, decodeCbor } = await import("./cbor/decode.ts");
  try {
    const value = withoutDecimals(decodeCbor(body)) ?? {};
    if (typeof value === "object" && !Array.isArray(value)) return { object: value as Json, warnings: [] };
    const type = Array.isArray(value) ? "array" : typeof value === "string" ? "byte string" : "primitives";
    throw new CborError(`cbor: cannot unmarshal ${type} into Go value of type map[string]interface {}`);
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw statusError.badRequest(`error decoding YAML: ${error.message}`);
  }
}

/** An object of free form, with apiVersion and kind. Throws StatusError (400). */
export async function decodeCborUnstructured(body: Uint8Array, expected: Expected): Promise<KubernetesObject & Json> {
  const { CborError, decodeCbor, diagnoseCbor, readCborWords } = await import("./cbor/decode.ts");
  const options = { expected };
  try {
    const { apiVersion = "", kind = "" } = readCborWords(body) ?? {};
    if (kind === "") throw unrecognized(`Object 'Kind' is missing in '${diagnoseCbor(body)}'`, body, options);
    if (apiVersion === "") {
      const why = `Object 'apiVersion' is missing in '${diagnoseCbor(body)}'`;
      throw refusal(why, { apiVersion, kind, options });
    }
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw unrecognized(`unable to determine group/version/kind: ${error.message}`, body, options);
  }
  try {
    return withoutDecimals(decodeCbor(body)) as Json; // it has a kind
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    throw refusal(error.message, { apiVersion: expected.apiVersion, kind: expected.kind, options });
  }
}

/** undefined unless the text is a JSON object without repeated keys and not too deep: then YAML says the same. */
function uniqueJsonObject(text: string): Json | undefined {
  if (!/^[ \t\r\n]*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { members, depth } = measureJson(text);
  return depth <= jsonDepthMax && members === countMembers(value) ? (value as Json) : undefined;
}

function asObject({ value, body }: Parsed, options: DecodeOptions): Json {
  if (value === null || value === undefined) return {};
  if (typeof value === "object" && !Array.isArray(value) && !(value instanceof Decimal)) return value as Json;
  const target =
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
  const complaint = `couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonKind(value)} into Go value of type ${target}`;
  throw unrecognized(complaint, body, options);
}

function versionAndKind(object: Json, options: DecodeOptions, body: Uint8Array): { apiVersion: string; kind: string } {
  const { expected } = options;
  for (const key of ["apiVersion", "kind"]) {
    const value = object[key];
    if (value === null || value === undefined || typeof value === "string") continue;
    const complaint = `json: cannot unmarshal ${jsonKind(value)} into Go struct field .${key} of type string`;
    throw unrecognized(`couldn't get version/kind; json parse error: ${complaint}`, body, options);
  }
  const kind = (object.kind as string | null | undefined) || expected.kind;
  const given = (object.apiVersion as string | null | undefined) ?? "";
  if (given.split("/").length > 2) throw unrecognized(`unexpected GroupVersion string: ${given}`, body, options);
  if (options.wordsRequired) {
    if (object.kind) return { apiVersion: given, kind };
    throw unrecognized(`Object 'Kind' is missing in '${jsonText(body)}'`, body, options);
  }
  if (given === "" || given === "/") return { apiVersion: expected.apiVersion, kind };
  if (!given.endsWith("/")) return { apiVersion: given, kind };
  // A group without a version: the path's, if the group is the path's.
  if (groupOf(given) === groupOf(expected.apiVersion)) return { apiVersion: expected.apiVersion, kind };
  const why = `Object 'apiVersion' is missing in '${jsonText(body)}'`;
  throw statusError.badRequest(`${kind} in version "" cannot be handled as a ${expected.kind}: ${why}`);
}

function unrecognized(
  why: string,
  body: Uint8Array,
  { expected, bare }: Pick<DecodeOptions, "expected" | "bare">,
): Error {
  if (bare) return statusError.badRequest(why);
  return statusError.badRequest(
    `the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summarize(body)})`,
  );
}

/** The start of a body that could not be read: as text when it looks like JSON, else in hex. */
export function summarize(body: Uint8Array): string {
  if (body.length === 0) return "<empty>";
  const start = Buffer.from(body.subarray(0, summaryBytesMax));
  const text = start.toString(body[0] === 0x7b ? "utf8" : "hex");
  return body.length > summaryBytesMax ? `${text} ...` : text;
}

/** Where upstream's registry of kinds is made: part of the message about unknown kinds. */
export const schemeName = "pkg/api/legacyscheme/scheme.go:31";

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "");
const versionOf = (apiVersion: string): string => apiVersion.split("/").at(-1) ?? "";

/** The Go package of upstream's internal types, which messages name. */
/** Go's package of the types that objects are decoded to. */
export function internalPackage(apiVersion: string): string {
  const group = groupOf(apiVersion);
  return group === "" ? "core" : (group.split(".")[0] ?? group);
}
