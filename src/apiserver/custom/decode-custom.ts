/**
 * Bodies and patched objects of custom kinds. No Go type stands behind them: their own schema says what is unknown, and only metadata is
 * decoded as it is everywhere. Refusals are those of upstream's coercing decoder.
 */
import {
  cloneJson,
  decodeCborUnstructured,
  DecodeError,
  decodeJsonObject,
  decodeObject,
  type FieldValidation,
  FieldPath,
  fieldError,
  goQuote,
  jsonText,
  type KubernetesObject,
  repeatedFields,
  statusError,
  summarize,
  type TypeSchema,
} from "#machinery";
import type { Call } from "../registry/call.ts";
import { isCbor, unsupportedBody } from "../registry/body-types.ts";
import { breathe } from "../registry/breathe.ts";
import type { CustomVersion, Resource } from "../resource.ts";

const openType: TypeSchema = { name: "Unstructured", fields: new Map(), atomic: false, preserveUnknown: true };

const yaml = "application/yaml";

/** In the version of the URL, decoded, pruned and defaulted. */
export async function decodeCustom(call: Call, custom: CustomVersion, fieldValidation: FieldValidation) {
  const { resource, warnings } = call;
  const { object, repeated } = await readBody(call, fieldValidation);
  // Upstream's decoder has no words for what the schema doesn't know.
  const strict = isCbor(call.body) ? "Ignore" : fieldValidation;
  await breathe(call);
  checkWords(object, resource);
  const loading = custom.schema.load();
  if (loading) await loading;
  const refuse = (why: string) =>
    statusError.badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: ${why}`,
    );
  const unknown = object.kind === resource.kind ? coerce(custom, object, refuse) : [];
  await breathe(call);
  if (strict === "Warn") warnings.push(...repeated, ...unknown);
  if (strict === "Strict" && repeated.length + unknown.length > 0) {
    const lines = repeated.map((each) => `\n  ${each}`).join("");
    const twice = lines !== "" && call.body.contentType === yaml ? [`yaml: unmarshal errors:${lines}`] : repeated;
    throw refuse(`strict decoding error: ${[...twice, ...unknown].join(", ")}`);
  }
  checkKind(object, resource);
  custom.schema.applyDefaults(object);
  call.audit?.requestObject(object);
  return object;
}

/** What a patch made, before anything else is done to it; answers what the schema doesn't know. Throws DecodeError. */
export const decodePatched = ({ kind, group }: Resource, custom: CustomVersion, object: KubernetesObject): string[] =>
  object.kind === kind && groupOf(object) === group ? unknownFields(custom, object) : [];

/** The rest of it. */
export function finishPatched(resource: Resource, { schema }: CustomVersion, object: KubernetesObject): void {
  if (!versionOf(object)) throw statusError.internal(noVersion);
  checkKind(object, resource);
  schema.applyDefaults(object);
}

/** What an apply made. */
export async function decodeAppliedCustom(
  resource: Resource,
  custom: CustomVersion,
  object: KubernetesObject,
): Promise<void> {
  await custom.schema.load();
  checkKind(object, resource);
  const refuse = (why: string) =>
    statusError.invalid({ group: "", kind: "" }, "", [
      fieldError.invalid(FieldPath.root("patch"), JSON.stringify(object), why),
    ]);
  coerce(custom, object, refuse);
  custom.schema.applyDefaults(object);
}

const unknownFields = ({ schema }: CustomVersion, object: KubernetesObject): string[] =>
  schema.coerce(object).map((field) => `unknown field ${goQuote(field)}`);

function coerce(custom: CustomVersion, object: KubernetesObject, refuse: (why: string) => Error): string[] {
  try {
    return unknownFields(custom, object);
  } catch (error) {
    throw error instanceof DecodeError ? refuse(error.message) : error;
  }
}

async function readBody(
  call: Call,
  fieldValidation: FieldValidation,
): Promise<{ object: KubernetesObject; repeated: string[] }> {
  const { body, resource } = call;
  if (body.value !== undefined) return { object: cloneJson(body.value) as KubernetesObject, repeated: [] };
  const bytes = await body.bytes();
  const open = { schemaOf: () => openType, accepts: () => true, wordsRequired: true } as const;
  const expected = { apiVersion: resource.groupVersion, kind: resource.kind };
  switch (body.contentType) {
    case "":
    case "application/json": {
      // Says what is wrong with text that is no object.
      decodeJsonObject(bytes, { ...open, mediaType: "application/json", expected });
      const text = jsonText(bytes);
      const object: KubernetesObject = JSON.parse(text);
      return { object, repeated: fieldValidation === "Ignore" ? [] : repeatedFields(text, object) };
    }
    case yaml: {
      const { object, warnings } = await decodeObject(bytes, {
        ...open,
        mediaType: yaml,
        expected,
        fieldValidation: fieldValidation === "Ignore" ? "Ignore" : "Warn",
      });
      return { object, repeated: [...warnings] };
    }
  }
  if (isCbor(body)) return { object: await decodeCborUnstructured(bytes, expected), repeated: [] };
  throw unsupportedBody(body);
}

function checkWords(object: KubernetesObject, { groupVersion, kind }: Resource): void {
  if (!object.kind) {
    const text = JSON.stringify(object);
    const why = `Object 'Kind' is missing in '${text}' (${summarize(Buffer.from(text))})`;
    throw statusError.badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
  }
  const version = versionOf(object);
  if (version === groupVersion) return;
  const why = `does not match the expected API version (${groupVersion})`;
  throw statusError.badRequest(`the API version in the data (${version}) ${why}`);
}

function checkKind(object: KubernetesObject, { kind, groupVersion }: Resource): void {
  const { kind: sent = "", apiVersion = "", metadata } = object;
  const errors = [];
  if (sent !== kind) errors.push(fieldError.invalid(FieldPath.root("kind"), sent, `must be ${kind}`));
  if (apiVersion !== groupVersion) {
    errors.push(fieldError.invalid(FieldPath.root("apiVersion"), apiVersion, `must be ${groupVersion}`));
  }
  if (errors.length > 0)
    throw statusError.invalid({ group: groupOf(object), kind: sent }, metadata?.name ?? "", errors);
}

const noVersion = "Object 'apiVersion' is missing in 'object has no apiVersion field'";

function groupOf({ apiVersion = "" }: KubernetesObject): string {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

const versionOf = ({ apiVersion = "" }: KubernetesObject): string => (apiVersion === "/" ? "" : apiVersion);
