/** Only the metadata of objects: PartialObjectMetadata and its list, for the garbage collector, Helm and metadata clients. */
import type { DeepReadonly, ObjectMeta } from "#machinery";
import type { ListMetadata } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import { type ListBytes, pieceBytes, type Presenter } from "./presenter.ts";

export class MetadataPresenter implements Presenter {
  readonly shareId: string;
  readonly #version: string;
  readonly #head: string;

  constructor(version: string) {
    this.#version = version;
    this.shareId = `metadata/${version}`;
    this.#head = partialHead(version);
  }

  one(object: StoredObject): Buffer {
    return Buffer.from(this.#print(object));
  }

  list(objects: readonly StoredObject[], metadata: ListMetadata): ListBytes {
    const start = `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/${this.#version}","metadata":${JSON.stringify(metadata)},"items":`;
    // Go prints a list that never got an item as null.
    if (objects.length === 0) return { length: undefined, pieces: [Buffer.from(`${start}null}`)] };
    return { length: undefined, pieces: textPieces(`${start}[`, objects, (object) => this.#print(object), "]}") };
  }

  bookmark(revision: number, annotations: Readonly<Record<string, string>> | undefined): Buffer {
    const metadata = { resourceVersion: String(revision), ...(annotations && { annotations }) };
    return Buffer.from(`${this.#head}${JSON.stringify(metadata)}}`);
  }

  #print(object: StoredObject): string {
    return `${this.#head}${metadataText(object)}}`;
  }
}

export const partialHead = (version: string): string =>
  `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/${version}","metadata":`;

/** The metadata of an object as JSON, with its resourceVersion. */
export function metadataText(object: StoredObject): string {
  const metadata: DeepReadonly<ObjectMeta> = object.glance().metadata ?? {};
  return JSON.stringify(metadata);
}

/** Gathers items that are made as text into pieces. Each item is made only when its turn comes. */
export function* textPieces<T>(
  start: string,
  items: readonly T[],
  print: (item: T) => string,
  end: string,
): Iterable<Buffer> {
  let text = start;
  for (let i = 0; i < items.length; i++) {
    text += (i > 0 ? "," : "") + print(items[i]!); // i is inside
    if (text.length >= pieceBytes) {
      yield Buffer.from(text);
      text = "";
    }
  }
  yield Buffer.from(text + end);
}
