/**
 * Protobuf for any type with a schema, without generated code: Kubernetes objects (`application/vnd.kubernetes.protobuf`)
 * byte for byte as upstream writes them, and plain proto3 messages for CRI.
 *
 * A Kubernetes object on the wire is `k8s\0` and a `runtime.Unknown`: apiVersion and kind, and the object's own bytes,
 * which repeat neither. Unknown fields are skipped. 64-bit integers are numbers: exact up to 2^53, like in JSON.
 */
import { envelopeMagic, ProtobufDecoder } from "./protobuf/decode.ts";
import { ProtobufEncoder, type ProtobufStyle } from "./protobuf/encode.ts";
import { Plans } from "./protobuf/plan.ts";
import { bytesType, ProtobufError, WireReader, WireWriter } from "./protobuf/wire.ts";
import type { TypeSchema } from "./schema.ts";

export { ProtobufError, type ProtobufStyle };

export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  /** The object's bytes; a view of what was decoded. */
  readonly raw: Uint8Array;
  readonly contentEncoding: string;
  readonly contentType: string;
}

export interface ProtobufCodec {
  encode(type: TypeSchema, value: object): Buffer;
  /** Throws ProtobufError for bytes that are no such message. */
  decode(type: TypeSchema, bytes: Uint8Array): Record<string, unknown>;
  /** With its envelope; apiVersion and kind are the object's. */
  encodeObject(type: TypeSchema, object: { readonly apiVersion?: string; readonly kind?: string }): Buffer;
}

// cast: an interface has no index signature, though its objects are plain
const plain = (object: object): Readonly<Record<string, unknown>> => object as Readonly<Record<string, unknown>>;

/** Keeps what it learns about types and a scratch buffer: make one and share it. */
export function createProtobufCodec(style: ProtobufStyle): ProtobufCodec {
  const plans = new Plans();
  const writer = new WireWriter();
  const encoder = new ProtobufEncoder(writer, plans, style);
  const decoder = new ProtobufDecoder(plans, style);

  const written = (write: () => void): Buffer => {
    try {
      write();
      return writer.finish();
    } finally {
      writer.reset();
    }
  };
  const encodeObject: ProtobufCodec["encodeObject"] = (type, object) =>
    written(() =>
      writeEnvelope(writer, object.apiVersion ?? "", object.kind ?? "", () => encoder.message(type, plain(object))),
    );
  return {
    encode: (type, value) => written(() => encoder.message(type, plain(value))),
    decode: (type, bytes) => decoder.message(type, bytes),
    encodeObject,
  };
}

const empty: Uint8Array = new Uint8Array();

export const isProtobufEnvelope = (bytes: Uint8Array): boolean =>
  Buffer.compare(bytes.subarray(0, envelopeMagic.length), envelopeMagic) === 0;

export function encodeEnvelope({
  apiVersion,
  kind,
  raw,
}: {
  apiVersion: string;
  kind: string;
  raw: Uint8Array;
}): Buffer {
  const writer = new WireWriter();
  writeEnvelope(writer, apiVersion, kind, () => writer.bytes(raw));
  return writer.finish();
}

/** What stands before and after `length` bytes of an object: for lists that are sent piece by piece. */
export function envelopeAround(
  length: number,
  { apiVersion, kind }: { apiVersion: string; kind: string },
): { head: Buffer; tail: Buffer } {
  const tail = Buffer.from([(3 << 3) | bytesType, 0, (4 << 3) | bytesType, 0]);
  const none = encodeEnvelope({ apiVersion, kind, raw: empty });
  const writer = new WireWriter();
  writer.unsigned(length);
  // Without the length of nothing, and what comes after it.
  return { head: Buffer.concat([none.subarray(0, none.length - tail.length - 1), writer.finish()]), tail };
}

/** Last to first, see `wire.ts`: contentType, contentEncoding, raw, typeMeta. */
function writeEnvelope(writer: WireWriter, apiVersion: string, kind: string, writeRaw: () => void): void {
  const close = (number: number, start: number): void => {
    writer.unsigned(writer.length - start);
    writer.tag(number, bytesType);
  };
  const field = (number: number, write: () => void): void => {
    const start = writer.length;
    write();
    close(number, start);
  };
  field(4, () => undefined);
  field(3, () => undefined);
  field(2, writeRaw);
  field(1, () => {
    field(2, () => writer.text(kind));
    field(1, () => writer.text(apiVersion));
  });
  writer.bytes(envelopeMagic);
}

export function decodeEnvelope(bytes: Uint8Array): ProtobufEnvelope {
  if (!isProtobufEnvelope(bytes))
    throw new ProtobufError("provided data does not appear to be a protobuf message, expected prefix k8s\\0");
  const envelope = { apiVersion: "", kind: "", raw: empty, contentEncoding: "", contentType: "" };
  const reader = new WireReader(bytes.subarray(envelopeMagic.length));
  while (!reader.atEnd) {
    const tag = reader.varint();
    if ((tag & 7) !== bytesType) reader.skip(tag & 7);
    else if (tag >>> 3 === 1) readTypeMeta(reader, envelope);
    else if (tag >>> 3 === 2) envelope.raw = reader.bytes();
    else if (tag >>> 3 === 3) envelope.contentEncoding = reader.text();
    else if (tag >>> 3 === 4) envelope.contentType = reader.text();
    else reader.skip(bytesType);
  }
  return envelope;
}

function readTypeMeta(reader: WireReader, envelope: { apiVersion: string; kind: string }): void {
  const outer = reader.enter();
  while (!reader.atEnd) {
    const tag = reader.varint();
    if (tag >>> 3 === 1) envelope.apiVersion = reader.text();
    else if (tag >>> 3 === 2) envelope.kind = reader.text();
    else reader.skip(tag & 7);
  }
  reader.leave(outer);
}
