/** WebSockets of clients: one place that knows the library's settings. */
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { lingerMs } from "#base";
import type { UpgradeRequest } from "./upgrade-request.ts";

/** As the limit of upstream's library. */
const messageBytesMax = 32 * 1024 * 1024;
/** Notices peers that vanished without a word. */
const keepAliveMs = 30_000;

/** A token in the list of subprotocols, for browsers, which can set no headers. */
export const tokenProtocol = /^base64url\.bearer\.authorization\.k8s\.io\./;

/** What is not in the library's types yet. */
interface ServerOptions {
  /** How long a client may take to read the rest and say goodbye. */
  readonly closeTimeout: number;
}

export interface AcceptedWebSocket {
  readonly webSocket: WebSocket;
  /** Below it: tells whether there is room. */
  readonly socket: Duplex;
}

/**
 * Answers the handshake; undefined when the client's was no good (it has its answer). `protocol`: the one of those offered that is
 * spoken; "" for none.
 */
export function acceptWebSocket(request: UpgradeRequest, protocol: string): Promise<AcceptedWebSocket | undefined> {
  const extra: ServerOptions = { closeTimeout: lingerMs };
  const server = new WebSocketServer({
    ...extra,
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
  });
  const { message, socket, head } = request.takeOver();
  // Names like `SPDY/3.1+portforward.k8s.io` aren't what the library takes for a subprotocol: it isn't asked about them.
  delete message.headers["sec-websocket-protocol"];
  if (protocol !== "") server.on("headers", (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`));
  message.socket.setKeepAlive(true, keepAliveMs);
  return new Promise((resolve) => {
    // The library answers a bad handshake itself and closes.
    socket.once("close", () => resolve(undefined));
    server.handleUpgrade(message, socket, head, (webSocket) => resolve({ webSocket, socket }));
  });
}
