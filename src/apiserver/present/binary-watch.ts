/** Watch events in a binary format: each a frame around the encoded object. */
import type { KubernetesObject, Status } from "#machinery";
import type { CacheEvent, SeenEvent } from "../cache/cache-event.ts";
import type { WatchConsumer } from "../cache/watch-stream.ts";
import type { ResponseSink } from "../http/exchange.ts";
import type { Presenter } from "./presenter.ts";

export interface Framing {
  encode(value: KubernetesObject): Buffer | undefined;
  frame(type: string, object: Buffer): Buffer;
}

export class BinaryWatchConsumer implements WatchConsumer<Buffer> {
  readonly #framing: Framing;
  readonly #presenter: Presenter;
  readonly #sink: ResponseSink;

  constructor(framing: Framing, presenter: Presenter, sink: ResponseSink) {
    this.#framing = framing;
    this.#presenter = presenter;
    this.#sink = sink;
  }

  event(seen: SeenEvent, event: CacheEvent | undefined): Buffer {
    const { shareId } = this.#presenter;
    const encode = () => this.#framing.frame(seen.type, this.#presenter.one(seen.object));
    return event && shareId !== undefined ? event.encodedOnce(`${seen.type} ${shareId}`, encode) : encode();
  }

  bookmark(revision: number, initialEventsEnd: boolean): Buffer {
    const annotations = initialEventsEnd ? { "k8s.io/initial-events-end": "true" } : undefined;
    return this.#framing.frame("BOOKMARK", this.#presenter.bookmark(revision, annotations));
  }

  error(status: Status): Buffer {
    return this.#framing.frame("ERROR", this.#framing.encode(status) ?? Buffer.alloc(0));
  }

  deliver(items: readonly Buffer[]): Promise<void> | undefined {
    return this.#sink.write(Buffer.concat(items)) ? undefined : this.#sink.drained();
  }

  end(): void {
    this.#sink.end();
  }
}
