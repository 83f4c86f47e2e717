/**
 * A watch over a WebSocket: one event in each message, text where the format is text. Follows apiserver's WatchServer.HandleWS and the
 * handshake of golang.org/x/net/websocket, which wants to know where the page came from and takes one subprotocol, whatever its name.
 */
import type { WatchConsumer, WatchStream } from "../cache/watch-stream.ts";
import { drained } from "../http/http1.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";
import { acceptWebSocket, type AcceptedWebSocket, tokenProtocol } from "./websocket-server.ts";

export interface WatchOverWebSocket {
  /** Makes the bytes; what it would do with them isn't asked. */
  readonly consumer: WatchConsumer<Buffer>;
  readonly open: (consumer: WatchConsumer<Buffer>) => WatchStream<Buffer>;
  readonly binary: boolean;
  /** Of each event: what tells events apart in a stream of bytes is of no use in messages. */
  readonly prefixBytes: number;
}

export async function watchOverWebSocket(request: UpgradeRequest, watch: WatchOverWebSocket): Promise<void> {
  const protocols = request.subprotocols.filter((name) => name !== "" && !tokenProtocol.test(name));
  const [only = "", ...others] = protocols;
  if (request.headers.origin === undefined) return refuse(request, "403 Forbidden");
  if (others.length > 0) return refuse(request, "400 Bad Request");
  const accepted = await acceptWebSocket(request, only);
  if (!accepted) return;
  const { webSocket } = accepted;
  const stream = watch.open(new MessageConsumer(watch, accepted));
  webSocket.on("close", () => stream.cancel());
  webSocket.on("error", () => stream.cancel());
  if (webSocket.readyState !== webSocket.OPEN) stream.cancel();
  await stream.done;
}

/** As that library says no: with nothing but the first line. */
function refuse(request: UpgradeRequest, status: string): void {
  request.takeOver().socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
}

class MessageConsumer implements WatchConsumer<Buffer> {
  readonly event: WatchConsumer<Buffer>["event"];
  readonly bookmark: WatchConsumer<Buffer>["bookmark"];
  readonly error: WatchConsumer<Buffer>["error"];
  readonly #watch: WatchOverWebSocket;
  readonly #accepted: AcceptedWebSocket;

  constructor(watch: WatchOverWebSocket, accepted: AcceptedWebSocket) {
    const { consumer } = watch;
    this.event = consumer.event.bind(consumer);
    this.bookmark = consumer.bookmark.bind(consumer);
    this.error = consumer.error.bind(consumer);
    this.#watch = watch;
    this.#accepted = accepted;
  }

  deliver(items: readonly Buffer[]): Promise<void> | undefined {
    const { webSocket, socket } = this.#accepted;
    const { binary, prefixBytes } = this.#watch;
    for (const item of items) webSocket.send(prefixBytes > 0 ? item.subarray(prefixBytes) : item, { binary });
    return socket.writableNeedDrain ? drained(socket) : undefined;
  }

  end(): void {
    this.#accepted.webSocket.close(1000);
  }
}
