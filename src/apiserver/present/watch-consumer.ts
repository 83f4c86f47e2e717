/** Watch events as lines of JSON on an HTTP answer. */
import type { Status } from "#machinery";
import type { CacheEvent, SeenEvent } from "../cache/cache-event.ts";
import type { WatchConsumer } from "../cache/watch-stream.ts";
import type { ResponseSink } from "../http/exchange.ts";
import type { Presenter } from "./presenter.ts";

export class HttpWatchConsumer implements WatchConsumer<Buffer> {
  readonly #sink: ResponseSink;
  readonly #presenter: Presenter;

  constructor(sink: ResponseSink, presenter: Presenter) {
    this.#sink = sink;
    this.#presenter = presenter;
  }

  event(seen: SeenEvent, event: CacheEvent | undefined): Buffer {
    const { shareId } = this.#presenter;
    const encode = () => line(seen.type, this.#presenter.one(seen.object));
    return event && shareId !== undefined ? event.encodedOnce(`${seen.type} ${shareId}`, encode) : encode();
  }

  bookmark(revision: number, initialEventsEnd: boolean): Buffer {
    const annotations = initialEventsEnd ? { "k8s.io/initial-events-end": "true" } : undefined;
    return line("BOOKMARK", this.#presenter.bookmark(revision, annotations));
  }

  error(status: Status): Buffer {
    return line("ERROR", Buffer.from(JSON.stringify(status)));
  }

  deliver(items: readonly Buffer[]): Promise<void> | undefined {
    const [only] = items;
    const chunk = items.length === 1 && only ? only : Buffer.concat(items);
    return this.#sink.write(chunk) ? undefined : this.#sink.drained();
  }

  end(): void {
    this.#sink.end();
  }
}

const lineEnd = Buffer.from("}\n");

function line(type: string, object: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), object, lineEnd]);
}
