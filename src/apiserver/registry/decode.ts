/** The body of a write as an object of the resource, in the version of the URL. */
import {
  createProtobufCodec,
  type Decoded,
  decodeEnvelope,
  decodeJsonObject,
  decodeObject,
  decodeValue,
  type FieldValidation,
  type KubernetesObject,
  ProtobufError,
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
    if (mediaType === protobufType)
      decoded = decodeValue(readProtobuf(bytes, request), { ...options, mediaType: "application/json" });
    else
      decoded =
        mediaType === "application/json"
          ? decodeJsonObject(bytes, { ...options, mediaType })
          : await decodeObject(bytes, { ...options, mediaType });
  }
  warnings.push(...decoded.warnings);
  return decoded.object;
}

const protobufType = "application/vnd.kubernetes.protobuf";
const codec = createProtobufCodec("kubernetes");

/** client-go's typed clients write this by default for built-in kinds. */
function readProtobuf(bytes: Buffer, { expected, schemaOf }: DecodeRequest): object {
  try {
    const { apiVersion, kind, raw } = decodeEnvelope(bytes);
    const type = schemaOf(apiVersion || expected.apiVersion, kind || expected.kind);
    if (!type)
      throw statusError.badRequest(
        `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`,
      );
    return { ...codec.decode(type, raw), apiVersion: apiVersion || expected.apiVersion, kind: kind || expected.kind };
  } catch (error) {
    if (error instanceof ProtobufError) throw statusError.badRequest(error.message);
    throw error;
  }
}

function mediaTypeOf(contentType: string): "application/json" | "application/yaml" | typeof protobufType {
  if (contentType === "" || contentType === "application/json") return "application/json";
  if (contentType === "application/yaml" || contentType === protobufType) return contentType;
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
