/** HTTP/1.1: a request and its response as the exchange that handlers know. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { readBody } from "./body.ts";
import type { PeerCertificate, ResponseHeaders, ResponseSink, ServerRequest } from "./exchange.ts";
import { peerCertificateOf } from "./peer-certificate.ts";

export class Http1Request implements ServerRequest {
  readonly protocol = "1.1";
  readonly path: string;
  readonly query: string;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  #abort: AbortController | undefined;

  constructor(message: IncomingMessage, response: ServerResponse) {
    this.#message = message;
    this.#response = response;
    const url = originForm(message.url ?? "/");
    const mark = url.indexOf("?");
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? "" : url.slice(mark + 1);
  }

  get method() {
    return this.#message.method ?? "GET";
  }

  get headers() {
    return this.#message.headers;
  }

  get rawHeaders() {
    return this.#message.rawHeaders;
  }

  get remoteAddress() {
    return this.#message.socket.remoteAddress ?? "";
  }

  peerCertificate(): PeerCertificate | undefined {
    return peerCertificateOf(this.#message.socket as TLSSocket); // the listener accepts TLS only
  }

  body(bytesMax: number): Promise<Buffer> {
    return readBody(this.#message, bytesMax, this.#message.headers["content-length"]);
  }

  bodyStream(): Readable {
    return this.#message;
  }

  /** Made on demand: most requests are answered before anyone asks. */
  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.#response.destroyed) abort.abort();
      else this.#response.once("close", () => abort.abort());
    }
    return this.#abort.signal;
  }
}

/** Proxies may send the absolute form; only its path counts. */
function originForm(url: string): string {
  if (url.startsWith("/")) return url;
  const match = /^https?:\/\/[^/?]*(.*)$/i.exec(url);
  return match?.[1] || "/";
}

/** Of a body that was refused; who sends more is cut off. */
const skippedBytesMax = 16 * 1024 * 1024;

export class Http1Sink implements ResponseSink {
  status = 0;
  bytes = 0;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(message: IncomingMessage, response: ServerResponse) {
    this.#message = message;
    this.#response = response;
    // A reset by the client is its business; 'close' tells those who wait.
    response.on("error", ignoreReset);
  }

  get started() {
    return this.#response.headersSent;
  }

  get closed() {
    return this.#response.destroyed || this.#response.writableEnded;
  }

  head(status: number, headers: ResponseHeaders): void {
    this.status = status;
    this.#response.writeHead(status, headers as Record<string, string | string[]>); // node doesn't change the arrays
    this.#response.flushHeaders();
  }

  respond(status: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    this.status = status;
    this.bytes = body.length;
    if (!this.#message.complete) this.#skipBody();
    // Clients print it: in Go's words where Node has newer ones.
    if (status === 413) this.#response.statusMessage = "Request Entity Too Large";
    this.#response.writeHead(status, headers as Record<string, string | string[]>);
    this.#response.end(body);
  }

  /** The client is still sending and reads the answer only then: take what comes, within bounds. */
  #skipBody(): void {
    let bytes = 0;
    this.#message.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > skippedBytesMax) this.#message.destroy();
    });
    this.#message.resume();
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    return this.closed ? true : this.#response.write(chunk);
  }

  drained(): Promise<void> {
    return drained(this.#response);
  }

  end(): void {
    this.#response.end();
  }

  abort(): void {
    this.#response.destroy();
  }
}

function ignoreReset(): void {
  // Deliberately nothing: see the constructor.
}

/** Resolves at the next 'drain', or when the stream is over. */
export function drained(
  stream: NodeJS.EventEmitter & { destroyed: boolean; writableNeedDrain: boolean },
): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done).off("close", done);
      resolve();
    };
    stream.on("drain", done).on("close", done);
  });
}
