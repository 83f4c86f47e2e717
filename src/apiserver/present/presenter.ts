/** How objects look on the wire: as themselves, as a table, or only their metadata. Answers JSON bytes, or protobuf. */
import type { KubernetesObject } from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import type { ListMetadata } from "../answer.ts";
import type { Resource } from "../resource.ts";

export interface Presenter {
  /** Presenters with the same id produce the same bytes, so watchers share them; undefined: never shared. */
  readonly shareId: string | undefined;
  one(object: StoredObject): Buffer;
  /** The whole list in pieces of bounded size. */
  list(objects: readonly StoredObject[], metadata: ListMetadata): ListBytes | Promise<ListBytes>;
  /** What a bookmark shows as its object. */
  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer;
}

export interface ListBytes {
  /** Known in advance, or undefined. */
  readonly length: number | undefined;
  readonly pieces: Iterable<Buffer>;
}

/** Pieces of a list: large enough for few system calls, small enough that other requests get their turn. */
export const pieceBytes = 128 * 1024;

/** The bytes of an object as `resource` shows it, without the head. */
export function bodyOf(resource: Resource, object: StoredObject): Buffer {
  if (!resource.conversion) return object.body;
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = resource.conversion.fromStored(object.parse());
  return Buffer.from(JSON.stringify(rest).slice(1));
}

/** The object as `resource` shows it; only read. */
export function viewOf({ conversion, groupVersion }: Resource, object: StoredObject): KubernetesObject {
  if (!conversion) return { ...object.glance(), apiVersion: groupVersion } as KubernetesObject; // only read
  return { ...conversion.fromStored(object.parse()), apiVersion: groupVersion };
}

export class ObjectPresenter implements Presenter {
  readonly shareId: string;
  readonly #resource: Resource;
  readonly #itemHead: Buffer;

  constructor(resource: Resource) {
    this.#resource = resource;
    this.shareId = `${resource.groupVersion}/${resource.resource}`;
    this.#itemHead = resource.itemsHaveKind ? resource.head : Buffer.from("{");
  }

  one(object: StoredObject): Buffer {
    return Buffer.concat([this.#resource.head, bodyOf(this.#resource, object)]);
  }

  list(objects: readonly StoredObject[], metadata: ListMetadata): ListBytes {
    // Lists of custom resources show that there is nothing to continue with.
    const { listKind, groupVersion, conversion, custom } = this.#resource;
    const start = Buffer.from(
      `{"kind":${JSON.stringify(listKind)},"apiVersion":${JSON.stringify(groupVersion)},"metadata":${JSON.stringify(custom ? { continue: "", ...metadata } : metadata)},"items":[`,
    );
    const end = Buffer.from("]}");
    let length: number | undefined;
    if (!conversion) {
      // Counted first: clients and proxies handle a known length best, and it spares the chunk framing.
      length = start.length + end.length + Math.max(0, objects.length - 1);
      for (const object of objects) length += this.#itemHead.length + object.body.length;
    }
    return { length, pieces: this.#pieces(objects, { start, end }) };
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    const metadata = { resourceVersion: String(revision), ...(annotations && { annotations }) };
    return Buffer.concat([this.#resource.head, Buffer.from(`"metadata":${JSON.stringify(metadata)}}`)]);
  }

  *#pieces(objects: readonly StoredObject[], { start, end }: { start: Buffer; end: Buffer }): Iterable<Buffer> {
    const itemHead = this.#itemHead;
    let piece = Buffer.allocUnsafeSlow(pieceBytes);
    let used = start.copy(piece);
    let first = true;
    for (const object of objects) {
      const body = bodyOf(this.#resource, object);
      const needed = itemHead.length + body.length + 1 + end.length;
      if (used + needed > piece.length) {
        yield piece.subarray(0, used);
        piece = Buffer.allocUnsafeSlow(Math.max(pieceBytes, needed));
        used = 0;
      }
      if (!first) piece[used++] = comma;
      first = false;
      used += itemHead.copy(piece, used);
      used += body.copy(piece, used);
    }
    used += end.copy(piece, used);
    yield piece.subarray(0, used);
  }
}

const comma = 0x2c;
