/**
 * The body of a PATCH: read once, applied as often as the object changes under it. Answers and refusals are those of
 * upstream's patch handler, `fieldValidation` included. Server-side apply is elsewhere (`decodeApplyPatch`, apply/).
 */
import { DecodeError } from "../decode-error.ts";
import type { FieldValidation } from "../decode.ts";
import { cloneJson } from "../deep.ts";
import { FieldPath, fieldError } from "../field.ts";
import { goValue } from "../go-text.ts";
import { JsonSyntaxError, jsonDepthMax } from "../json-complaint.ts";
import { countMembers, jsonMembers, jsonText, measureJson, parseJson } from "../json-text.ts";
import type { KubernetesObject } from "../object.ts";
import { QuantityError } from "../quantity.ts";
import type { TypeSchema } from "../schema.ts";
import { type StatusError, statusError } from "../status.ts";
import { TimeError } from "../time.ts";
import { checkTyped, pathsMax, quotePath, strictErrorsMax } from "../typed.ts";
import { jsonKind } from "../typed-messages.ts";
import { applyJsonPatch, type JsonPatchOperation } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { PatchError } from "./patch-error.ts";
import { printPatched, touchedByOperations } from "./print-patched.ts";
import { strategicPatch } from "./strategic-patch.ts";

export type PatchMediaType =
  | "application/json-patch+json"
  | "application/merge-patch+json"
  | "application/strategic-merge-patch+json";

type Json = Record<string, unknown>;

export interface Patched {
  /** The caller's to change; nothing of it is shared with the original. */
  readonly object: Json;
  /** Texts for Warning headers. */
  readonly warnings: readonly string[];
}

export interface Patch {
  /**
   * The original (in the version of the path; not changed) with the patch applied and checked against its type. Without a
   * type (custom resources) a strategic patch is refused. Throws StatusError.
   */
  apply(original: Json, type: TypeSchema | undefined, reading?: PatchReading): Patched;
}

/** How what came out is read, beside its type. Not asked about strategic patches, which upstream doesn't decode. */
export interface PatchReading {
  /** Why it can't be one of its kind. */
  kindProblem?(patched: Json): string | undefined;
  /** In place of a type: may change the object, answers strict complaints. Throws DecodeError. */
  decode?(object: KubernetesObject): readonly string[];
}

export interface PatchOptions {
  readonly mediaType: PatchMediaType;
  readonly fieldValidation: FieldValidation;
}

interface Reading {
  readonly text: string;
  readonly strict: boolean;
  readonly fieldValidation: FieldValidation;
}

/** Throws StatusError (400, 413). */
export function readPatch(body: Uint8Array, { mediaType, fieldValidation }: PatchOptions): Patch {
  const reading: Reading = { text: jsonText(body), strict: fieldValidation !== "Ignore", fieldValidation };
  switch (mediaType) {
    case "application/json-patch+json":
      return readJsonPatch(reading);
    case "application/merge-patch+json":
      return readMergePatch(reading);
    case "application/strategic-merge-patch+json":
      return readStrategicPatch(reading);
  }
}

function readJsonPatch(reading: Reading): Patch {
  const { text, strict } = reading;
  const malformed = (why: string) => statusError.badRequest(strict ? `error decoding patch: ${why}` : why);
  const value = parse(text, malformed) ?? [];
  const listType = strict ? "[]handlers.jsonPatchOp" : "jsonpatch.Patch";
  if (!Array.isArray(value)) throw malformed(cannotUnmarshal(value, listType));
  const strictErrors = [...(strict ? repeatedFields(text, value) : [])];
  value.forEach((operation: unknown, index) => {
    if (operation === null) return;
    if (!isObject(operation))
      throw malformed(cannotUnmarshal(operation, strict ? "handlers.jsonPatchOp" : "jsonpatch.Operation"));
    if (strict) checkOperation(operation, index, { malformed, strictErrors });
  });
  const operations = value.map((each: JsonPatchOperation | null) => each ?? {});
  const finish = finisher(
    reading,
    strictErrors.map((each) => `json patch ${each}`),
  );
  return {
    apply(original, type, how) {
      const patched = attempt(() => applyJsonPatch(original, operations));
      const printed = () => printPatched(patched, type ? touchedByOperations(operations) : patched);
      return finish(patched, { type, ...how, printed });
    },
  };
}

function checkOperation(
  operation: Json,
  index: number,
  { malformed, strictErrors }: { malformed: (why: string) => Error; strictErrors: string[] },
): void {
  for (const key in operation) {
    const value = operation[key];
    if (key === "op" || key === "path" || key === "from") {
      if (value === null || typeof value === "string") continue;
      throw malformed(
        `json: cannot unmarshal ${jsonKind(value)} into Go struct field jsonPatchOp.${key} of type string`,
      );
    }
    if (key !== "value" && strictErrors.length < strictErrorsMax) {
      strictErrors.push(`unknown field ${quotePath([index, key])}`);
    }
  }
}

function readMergePatch(reading: Reading): Patch {
  const { text, strict } = reading;
  const value = parse(text, (why) =>
    statusError.badRequest(strict ? `error decoding patch: ${why}` : "Invalid JSON Patch"),
  );
  if (value === null) throw statusError.badRequest("Invalid JSON Patch");
  if (strict && !isObject(value)) {
    throw statusError.badRequest(`error decoding patch: ${cannotUnmarshal(value, "map[string]interface {}")}`);
  }
  if (!isObject(value) && !Array.isArray(value)) throw statusError.badRequest("Invalid JSON Patch");
  const finish = finisher(reading, strict ? repeatedFields(text, value) : []);
  return {
    apply(original, type, how) {
      const patched = mergePatch(original, value);
      return finish(patched, { type, ...how, printed: () => printPatched(patched, type ? value : patched) });
    },
  };
}

function readStrategicPatch(reading: Reading): Patch {
  const { text, strict } = reading;
  const value = parse(text, statusError.badRequest) ?? {};
  if (!isObject(value)) throw statusError.badRequest(cannotUnmarshal(value, "map[string]interface {}"));
  const finish = finisher(reading, strict ? repeatedFields(text, value) : []);
  return {
    apply(original, type) {
      if (!type) throw statusError.badRequest("strategic merge patch format is not supported");
      const patched = attempt(() => strategicPatch(original, value, type));
      return finish(patched, { type, printed: () => goValue(value), fromMap: true });
    },
  };
}

interface Outcome extends PatchReading {
  readonly type: TypeSchema | undefined;
  /** What the message about a bad result shows. */
  readonly printed: () => string;
  readonly fromMap?: boolean;
}

function finisher({ strict, fieldValidation }: Reading, patchErrors: readonly string[]) {
  return (patched: unknown, { type, printed, kindProblem, decode, fromMap = false }: Outcome): Patched => {
    const refuse = (why: string) =>
      statusError.invalid({ group: "", kind: "" }, "", [fieldError.invalid(FieldPath.root("patch"), printed(), why)]);
    if (!isObject(patched)) throw refuse(cannotUnmarshal(patched, "map[string]interface {}"));
    const wrongKind = fromMap ? undefined : (wrongWords(patched, type ? undefined : printed) ?? kindProblem?.(patched));
    if (wrongKind !== undefined) throw refuse(wrongKind);
    const object = cloneJson(patched);
    const found = check(() => (type ? checkTyped(object, type, { fromMap }).strictErrors : decode?.(object)), refuse);
    const strictErrors = strict ? [...patchErrors, ...found] : [];
    if (strictErrors.length > 0 && fieldValidation === "Strict") {
      throw refuse(`strict decoding error: ${strictErrors.join(", ")}`);
    }
    return { object, warnings: strictErrors };
  };
}

/** Of version and kind, which are read before the rest. `printed`: what has no kind gets none. */
function wrongWords({ apiVersion, kind }: Json, printed?: () => string): string | undefined {
  for (const [key, value] of Object.entries({ apiVersion, kind })) {
    if (value === null || value === undefined || typeof value === "string") continue;
    const why = `json: cannot unmarshal ${jsonKind(value)} into Go struct field .${key} of type string`;
    return `couldn't get version/kind; json parse error: ${why}`;
  }
  const version = typeof apiVersion === "string" ? apiVersion : "";
  if (version.split("/").length > 2) return `unexpected GroupVersion string: ${version}`;
  return printed && !kind ? `Object 'Kind' is missing in '${printed()}'` : undefined;
}

function check(read: () => readonly string[] | undefined, refuse: (why: string) => StatusError): readonly string[] {
  try {
    return read() ?? [];
  } catch (error) {
    const known = error instanceof DecodeError || error instanceof QuantityError || error instanceof TimeError;
    throw known ? refuse(error.message) : error;
  }
}

function attempt<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw error instanceof PatchError ? patchStatus(error) : error;
  }
}

/** The status that the API answers for a patch that cannot be applied. */
export function patchStatus({ code, message }: PatchError): StatusError {
  switch (code) {
    case "malformed":
      return statusError.badRequest(message);
    case "unprocessable":
      return statusError.generic(422, message);
    case "too-large":
      return statusError.tooLarge(message);
    case "internal":
      return statusError.unknown(message);
  }
}

function parse(text: string, malformed: (why: string) => StatusError): unknown {
  try {
    const value = parseJson(text);
    // parseJson itself doesn't mind the depth; our recursion would.
    if (measureJson(text).depth > jsonDepthMax) throw new JsonSyntaxError("exceeded max depth");
    return value;
  } catch (error) {
    throw error instanceof JsonSyntaxError ? malformed(error.message) : error;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function cannotUnmarshal(value: unknown, goType: string): string {
  return `json: cannot unmarshal ${jsonKind(value)} into Go value of type ${goType}`;
}

/** `duplicate field "a.b"` for each key that stands twice in an object of free form. */
export function repeatedFields(text: string, value: unknown): string[] {
  if (measureJson(text).members === countMembers(value)) return [];
  const found = new Set<string>();
  let looked = 0;
  for (const { path, again } of jsonMembers(text)) {
    if (!again) continue;
    found.add(`duplicate field ${quotePath(path())}`);
    if (found.size >= strictErrorsMax || ++looked >= pathsMax) break;
  }
  return [...found];
}
