/** The body of a write as an object of the resource, in the version of the URL. */
import {
  type DecodeOptions,
  type Decoded,
  decodeJsonObject,
  decodeObject,
  decodeValue,
  type FieldValidation,
  type KubernetesObject,
  omitEmpty,
  statusError,
  type TypeSchema,
} from "#machinery";
import { decodeCustom } from "../custom/decode-custom.ts";
import { cborType } from "../http/media-type.ts";
import type { Resource } from "../resource.ts";
import { takesCbor, unsupportedBody } from "./body-types.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { decodeProtobuf } from "./decode-protobuf.ts";

export interface Expected {
  readonly apiVersion: string;
  readonly kind: string;
}

export interface DecodeRequest {
  readonly expected: Expected;
  readonly fieldValidation: FieldValidation;
  schemaOf(apiVersion: string, kind: string): TypeSchema | undefined;
  /** Lists and maps that were sent empty stay: defaults come next, then `omitEmpty`. */
  readonly keepEmpty?: boolean;
  accepts?(apiVersion: string, kind: string): boolean;
  /** See DecodeOptions. */
  readonly bare?: boolean;
}

export async function decodeBody(call: Call, request: DecodeRequest): Promise<KubernetesObject> {
  const { body, warnings } = call;
  const options: DecodeOptions = { ...request, mediaType: "application/json" };
  const { object, warnings: found } =
    body.value === undefined ? await decodeBytes(call, await body.bytes(), options) : decodeValue(body.value, options);
  warnings.push(...found);
  const { kind = "", apiVersion = "" } = object;
  const schema = request.keepEmpty ? undefined : request.schemaOf(apiVersion, kind);
  if (schema) omitEmpty(object, schema);
  call.audit?.requestObject(object);
  return object;
}

async function decodeBytes({ body, resource }: Call, bytes: Buffer, options: DecodeOptions): Promise<Decoded> {
  switch (body.contentType) {
    case "":
    case "application/json":
      return decodeJsonObject(bytes, options);
    case "application/yaml":
      return decodeObject(bytes, { ...options, mediaType: "application/yaml" });
    case "application/vnd.kubernetes.protobuf":
      // Custom resources have no protobuf form.
      if (!resource.itemsHaveKind) return decodeProtobuf(bytes, options);
      break;
    case cborType:
      if (takesCbor(body)) return decodeObject(bytes, { ...options, mediaType: cborType });
  }
  throw unsupportedBody(body);
}

/** The object that a write sends. In the version of the URL, and of a custom kind also defaulted. */
export async function decodeWritten(
  core: Pick<RegistryCore, "typeOf">,
  call: Call,
  fieldValidation: FieldValidation,
): Promise<KubernetesObject> {
  const { resource } = call;
  if (resource.custom) return decodeCustom(call, resource.custom, fieldValidation);
  const { typeOf: schemaOf } = core;
  const object = await decodeBody(call, { expected: expectedOf(resource), fieldValidation, schemaOf, keepEmpty: true });
  checkVersion(object, resource);
  return object;
}

export const expectedOf = ({ groupVersion, kind }: Resource): Expected => ({ apiVersion: groupVersion, kind });

/** Upstream decodes any version of the kind and then refuses all but the URL's. */
export function checkVersion(object: KubernetesObject, { groupVersion }: Resource): void {
  if (object.apiVersion === groupVersion) return;
  throw statusError.badRequest(
    `the API version in the data (${object.apiVersion}) does not match the expected API version (${groupVersion})`,
  );
}
