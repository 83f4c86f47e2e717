/** CBOR for clients that ask for it, where the server offers it (feature gate CBORServingAndStorage). Loaded with the first of them. */
import { setImmediate } from "node:timers/promises";
import { type KubernetesObject, loadCbor, type TypeSchema } from "#machinery";
import type { ListMetadata } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { WatchConsumer } from "../cache/watch-stream.ts";
import type { ResponseSink } from "../http/exchange.ts";
import { cborSequenceType, cborType, type Transform } from "../http/media-type.ts";
import type { Resource } from "../resource.ts";
import type { BinaryOutput } from "./binary.ts";
import { BinaryWatchConsumer } from "./binary-watch.ts";
import { MetadataPresenter } from "./metadata-presenter.ts";
import { type ListBytes, type Presenter, viewOf } from "./presenter.ts";

const { CborWriter, encodeCbor, selfDescribed } = await loadCbor();

/** Objects encoded between two turns of the event loop. */
const turnObjectsMax = 64;
const listMembers = 4;
const arrayType = 4;
const mapType = 5;

export class CborOutput implements BinaryOutput {
  readonly contentType = cborType;
  readonly streamType = cborSequenceType;
  readonly eventPrefixBytes = 0;
  readonly #typeOf: (apiVersion: string, kind: string) => TypeSchema | undefined;

  constructor(typeOf: (apiVersion: string, kind: string) => TypeSchema | undefined) {
    this.#typeOf = typeOf;
  }

  encode(value: KubernetesObject): Buffer {
    const { apiVersion = "v1", kind = "" } = value;
    return encodeCbor(value, this.#typeOf(apiVersion, kind));
  }

  presenter(resource: Resource, transform: Transform | undefined): Presenter {
    return transform ? new TranscodingPresenter(new MetadataPresenter(transform.version)) : new CborPresenter(resource);
  }

  watchConsumer(presenter: Presenter, sink: ResponseSink): WatchConsumer<Buffer> {
    return new BinaryWatchConsumer({ encode: (value) => this.encode(value), frame }, presenter, sink);
  }
}

class CborPresenter implements Presenter {
  readonly shareId: string;
  readonly #resource: Resource;

  constructor(resource: Resource) {
    this.#resource = resource;
    this.shareId = `cbor ${resource.groupVersion}/${resource.resource}`;
  }

  one(object: StoredObject): Buffer {
    return encodeCbor(viewOf(this.#resource, object), this.#type);
  }

  /** Members in the order of their encodings: kind, items, metadata, apiVersion. */
  async list(objects: readonly StoredObject[], metadata: ListMetadata): Promise<ListBytes> {
    const { listKind, groupVersion, itemsHaveKind, custom } = this.#resource;
    const writer = new CborWriter();
    writer.raw(selfDescribed);
    writer.head(mapType, listMembers);
    writer.text("kind");
    writer.text(listKind);
    writer.text("items");
    writer.head(arrayType, objects.length);
    const type = this.#type;
    const schema = type && ({ kind: "object", type } as const);
    for (const [index, object] of objects.entries()) {
      const view = viewOf(this.#resource, object);
      const { kind: _kind, apiVersion: _apiVersion, ...bare } = view;
      writer.value(itemsHaveKind ? view : bare, schema);
      if ((index + 1) % turnObjectsMax === 0) await setImmediate();
    }
    writer.text("metadata");
    writer.value(custom ? { continue: "", ...metadata } : metadata);
    writer.text("apiVersion");
    writer.text(groupVersion);
    const bytes = writer.take();
    return { length: bytes.length, pieces: [bytes] };
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    const { kind, groupVersion: apiVersion } = this.#resource;
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(annotations && { annotations }),
    };
    return encodeCbor({ kind, apiVersion, metadata });
  }

  /** What a custom resource is its JSON says. */
  get #type(): TypeSchema | undefined {
    return this.#resource.custom ? undefined : this.#resource.schema;
  }
}

/** What another presenter makes as JSON. */
class TranscodingPresenter implements Presenter {
  readonly shareId: string | undefined;
  readonly #inner: Presenter;

  constructor(inner: Presenter) {
    this.#inner = inner;
    this.shareId = inner.shareId && `cbor ${inner.shareId}`;
  }

  one(object: StoredObject): Buffer {
    return transcode(this.#inner.one(object));
  }

  async list(objects: readonly StoredObject[], metadata: ListMetadata): Promise<ListBytes> {
    const { pieces } = await this.#inner.list(objects, metadata);
    const bytes = transcode(Buffer.concat([...pieces]));
    return { length: bytes.length, pieces: [bytes] };
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    return transcode(this.#inner.bookmark(revision, annotations));
  }
}

const transcode = (json: Buffer): Buffer => encodeCbor(JSON.parse(json.toString("utf8")));

/** A sequence of items: each says itself that it is CBOR, and so does the object in it. */
function frame(type: string, object: Buffer): Buffer {
  const writer = new CborWriter();
  writer.raw(selfDescribed);
  writer.head(mapType, 2);
  writer.text("type");
  writer.text(type);
  writer.text("object");
  writer.raw(object);
  return writer.take();
}
