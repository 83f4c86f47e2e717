/**
 * A request that wants its connection to speak another protocol (SPDY, WebSocket). It goes the way of every request, with an answer on the
 * raw socket, so that refusals look like everyone's; who serves it may take the connection over instead.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Handler, ServerRequest } from "../http/exchange.ts";
import { Http1Request, Http1Sink } from "../http/http1.ts";

export interface TakenConnection {
  readonly message: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent behind its request. */
  readonly head: Buffer;
}

export class UpgradeRequest extends Http1Request {
  readonly #connection: TakenConnection;
  readonly #response: ServerResponse;
  /** Whoever wants to know when that happens. */
  onTakeOver: (() => void) | undefined;

  constructor(connection: TakenConnection, response: ServerResponse) {
    super(connection.message, response);
    this.#connection = connection;
    this.#response = response;
  }

  /** `websocket`, `spdy/3.1`; in lower case. */
  get wanted(): string {
    return (this.headers.upgrade ?? "").toLowerCase();
  }

  /** Of a WebSocket, in the client's order of preference. */
  get subprotocols(): readonly string[] {
    const offered = this.headers["sec-websocket-protocol"] ?? "";
    return offered.split(",").map((name) => name.trim());
  }

  /** From then on nobody answers but the caller. */
  takeOver(): TakenConnection {
    this.onTakeOver?.();
    this.#response.detachSocket(this.#connection.message.socket);
    return this.#connection;
  }
}

/** Undefined: an ordinary request. */
export const upgradeOf = (request: ServerRequest): UpgradeRequest | undefined =>
  request instanceof UpgradeRequest ? request : undefined;

/** For the listener: upgrades come through the same handler as everything else. */
export function upgradeThrough(handler: Handler) {
  return (message: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const response = new ServerResponse(message);
    response.shouldKeepAlive = false;
    response.assignSocket(message.socket);
    response.once("finish", () => socket.end());
    handler(new UpgradeRequest({ message, socket, head }, response), new Http1Sink(message, response));
  };
}
