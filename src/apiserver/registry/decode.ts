/** The body of a write as an object of the resource, in the version of the URL. */
import {
  type Decoded,
  decodeJsonObject,
  decodeObject,
  decodeValue,
  type FieldValidation,
  type KubernetesObject,
  statusError,
  type TypeSchema,
} from "#machinery";
import { acceptedMediaTypes } from "../http/media-type.ts";
import type { Resource } from "../resource.ts";
import type { Call } from "./call.ts";

export interface Expected {
  readonly apiVersion: string;
  readonly kind: string;
}

export interface DecodeRequest {
  readonly expected: Expected;
  readonly fieldValidation: FieldValidation;
  schemaOf(apiVersion: string, kind: string): TypeSchema | undefined;
  accepts?(apiVersion: string, kind: string): boolean;
}

export async function decodeBody(call: Call, request: DecodeRequest): Promise<KubernetesObject> {
  const { body, warnings } = call;
  const { expected, fieldValidation, schemaOf, accepts } = request;
  const options = { expected, fieldValidation, schemaOf, ...(accepts && { accepts }) };
  let decoded: Decoded;
  if (body.value !== undefined) decoded = decodeValue(body.value, { ...options, mediaType: "application/json" });
  else {
    const mediaType = mediaTypeOf(body.contentType);
    const bytes = await body.bytes();
    decoded =
      mediaType === "application/json"
        ? decodeJsonObject(bytes, { ...options, mediaType })
        : await decodeObject(bytes, { ...options, mediaType });
  }
  warnings.push(...decoded.warnings);
  return decoded.object;
}

function mediaTypeOf(contentType: string): "application/json" | "application/yaml" {
  if (contentType === "" || contentType === "application/json") return "application/json";
  if (contentType === "application/yaml") return contentType;
  throw statusError.unsupportedMediaType(acceptedMediaTypes);
}

export const expectedOf = ({ groupVersion, kind }: Resource): Expected => ({ apiVersion: groupVersion, kind });

/** Upstream decodes any version of the kind and then refuses all but the URL's. */
export function checkVersion(object: KubernetesObject, { groupVersion }: Resource): void {
  if (object.apiVersion === groupVersion) return;
  throw statusError.badRequest(
    `the API version in the data (${object.apiVersion}) does not match the expected API version (${groupVersion})`,
  );
}
