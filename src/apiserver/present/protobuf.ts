/**
 * Kubernetes protobuf for clients that accept nothing else: Go components and the conformance suite. Nothing is cached in this form;
 * a client that also takes JSON gets JSON, which is copied from the cache.
 */
import { setImmediate } from "node:timers/promises";
import {
  createProtobufCodec,
  encodeEnvelope,
  envelopeAround,
  type KubernetesObject,
  type ProtobufCodec,
  type TypeSchema,
} from "#machinery";
import type { ListMetadata } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { WatchConsumer } from "../cache/watch-stream.ts";
import type { ResponseSink } from "../http/exchange.ts";
import { protobufType, type Transform } from "../http/media-type.ts";
import type { Resource } from "../resource.ts";
import type { BinaryOutput } from "./binary.ts";
import { BinaryWatchConsumer } from "./binary-watch.ts";
import { type ListBytes, type Presenter, viewOf } from "./presenter.ts";

/** Encoding between two turns of the event loop. */
const turnMsMax = 4;

export class ProtobufOutput implements BinaryOutput {
  readonly contentType = protobufType;
  readonly streamType = `${protobufType};stream=watch`;
  readonly eventPrefixBytes = watchPrefixBytes;
  readonly codec: ProtobufCodec = createProtobufCodec("kubernetes");
  readonly #typeOf: (apiVersion: string, kind: string) => TypeSchema | undefined;

  constructor(typeOf: (apiVersion: string, kind: string) => TypeSchema | undefined) {
    this.#typeOf = typeOf;
  }

  /** Undefined: such an object has no protobuf form. */
  encode(value: KubernetesObject): Buffer | undefined {
    const { apiVersion = "v1", kind = "" } = value;
    const type = this.#typeOf(apiVersion, kind);
    return type && this.codec.encodeObject(type, { ...value, apiVersion });
  }

  presenter(resource: Resource, transform: Transform | undefined): Presenter {
    return transform
      ? new ProtobufMetadataPresenter(this.codec, resource, transform.version)
      : new ProtobufPresenter(this.codec, resource);
  }

  watchConsumer(presenter: Presenter, sink: ResponseSink): WatchConsumer<Buffer> {
    return new BinaryWatchConsumer({ encode: (value) => this.encode(value), frame }, presenter, sink);
  }
}

class ProtobufPresenter implements Presenter {
  readonly shareId: string;
  readonly #codec: ProtobufCodec;
  readonly #resource: Resource;

  constructor(codec: ProtobufCodec, resource: Resource) {
    this.#codec = codec;
    this.#resource = resource;
    this.shareId = `protobuf ${resource.groupVersion}/${resource.resource}`;
  }

  one(object: StoredObject): Buffer {
    return this.#codec.encodeObject(this.#resource.schema, viewOf(this.#resource, object));
  }

  list(objects: readonly StoredObject[], metadata: ListMetadata): Promise<ListBytes> {
    const { listKind: kind, groupVersion: apiVersion, schema } = this.#resource;
    const encode = (object: StoredObject) => this.#codec.encode(schema, viewOf(this.#resource, object));
    return listBytes({ apiVersion, kind, metadata, objects, encode });
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    const { kind, groupVersion: apiVersion, schema } = this.#resource;
    const metadata = { resourceVersion: String(revision), ...(annotations && { annotations }) };
    return this.#codec.encodeObject(schema, { apiVersion, kind, metadata } as KubernetesObject);
  }
}

/** Metadata only, also of custom resources. */
class ProtobufMetadataPresenter implements Presenter {
  readonly shareId: string;
  readonly #codec: ProtobufCodec;
  readonly #apiVersion: string;
  readonly #type: TypeSchema;

  constructor(codec: ProtobufCodec, { schema }: Resource, version: string) {
    this.#codec = codec;
    this.#apiVersion = `meta.k8s.io/${version}`;
    this.shareId = `protobuf metadata/${version}`;
    const metadata = schema.fields.get("metadata")?.value;
    // Of every kind that has objects.
    if (metadata?.kind !== "object") throw new Error(`${schema.name} has no metadata`);
    this.#type = metadata.type;
  }

  one(object: StoredObject): Buffer {
    return this.#enveloped(object.glance().metadata ?? {});
  }

  list(objects: readonly StoredObject[], metadata: ListMetadata): Promise<ListBytes> {
    const encode = (object: StoredObject) => this.#partial(object.glance().metadata ?? {});
    return listBytes({ apiVersion: this.#apiVersion, kind: "PartialObjectMetadataList", metadata, objects, encode });
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    return this.#enveloped({ resourceVersion: String(revision), ...(annotations && { annotations }) });
  }

  #enveloped(metadata: object): Buffer {
    const raw = this.#partial(metadata);
    return encodeEnvelope({ apiVersion: this.#apiVersion, kind: "PartialObjectMetadata", raw });
  }

  #partial(metadata: object): Buffer {
    return field(metadataNumber, this.#codec.encode(this.#type, metadata as Record<string, unknown>)); // only read
  }
}

interface EncodedList {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ListMetadata;
  readonly objects: readonly StoredObject[];
  encode(object: StoredObject): Buffer;
}

/** The envelope says how long the list is before it begins: all of it is encoded first, in turns. */
async function listBytes({ objects, metadata, encode, ...names }: EncodedList): Promise<ListBytes> {
  const pieces: Buffer[] = [];
  let parts: Buffer[] = [field(metadataNumber, encodeListMetadata(metadata))];
  let length = parts[0]?.length ?? 0;
  let started = performance.now();
  for (const object of objects) {
    const bytes = encode(object);
    const head = Buffer.concat([itemTag, varint(bytes.length)]);
    parts.push(head, bytes);
    length += head.length + bytes.length;
    if (performance.now() - started < turnMsMax) continue;
    pieces.push(Buffer.concat(parts));
    parts = [];
    await setImmediate();
    started = performance.now();
  }
  const { head, tail } = envelopeAround(length, names);
  return { length: head.length + length + tail.length, pieces: [head, ...pieces, ...parts, tail] };
}

/** Of every list: ListMeta first, then the items. */
const metadataNumber = 1;
const itemsNumber = 2;
const lengthDelimited = 2;
const itemTag = Buffer.from([(itemsNumber << 3) | lengthDelimited]);

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | lengthDelimited), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}

/** selfLink 1, resourceVersion 2, continue 3, remainingItemCount 4. */
function encodeListMetadata({ resourceVersion = "", continue: token = "", remainingItemCount }: ListMetadata): Buffer {
  const parts = [field(1, Buffer.alloc(0)), field(2, Buffer.from(resourceVersion)), field(3, Buffer.from(token))];
  if (remainingItemCount !== undefined) parts.push(varint(4 << 3), varint(remainingItemCount));
  return Buffer.concat(parts);
}

/** The length of an event in front of it. */
const watchPrefixBytes = 4;

/** Four bytes of length, then a bare WatchEvent whose object is a RawExtension with the enveloped object in it. */
function frame(type: string, object: Buffer): Buffer {
  const event = Buffer.concat([field(1, Buffer.from(type)), field(2, field(1, object))]);
  const length = Buffer.alloc(watchPrefixBytes);
  length.writeUInt32BE(event.length);
  return Buffer.concat([length, event]);
}
