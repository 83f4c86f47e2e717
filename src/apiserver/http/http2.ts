/** HTTP/2: a stream as the exchange that handlers know. Uses the stream API; node's compatibility layer costs twice as much. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { readBody } from "./body.ts";
import type { PeerCertificate, ResponseHeaders, ResponseSink, ServerRequest } from "./exchange.ts";
import { drained } from "./http1.ts";
import { peerCertificateOf } from "./peer-certificate.ts";

export class Http2Request implements ServerRequest {
  readonly protocol = "2";
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly #stream: ServerHttp2Stream;
  #abort: AbortController | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]) {
    this.#stream = stream;
    this.headers = headers;
    this.rawHeaders = rawHeaders;
    this.method = headers[":method"] ?? "GET";
    const url = headers[":path"] ?? "/";
    const mark = url.indexOf("?");
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? "" : url.slice(mark + 1);
  }

  get remoteAddress() {
    return this.#stream.session?.socket.remoteAddress ?? "";
  }

  peerCertificate(): PeerCertificate | undefined {
    const socket = this.#stream.session?.socket;
    return socket && peerCertificateOf(socket as TLSSocket); // the listener accepts TLS only
  }

  body(bytesMax: number): Promise<Buffer> {
    return readBody(this.#stream, bytesMax, this.headers["content-length"]);
  }

  bodyStream(): Readable {
    return this.#stream;
  }

  endConnection(): void {
    this.#stream.session?.close();
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      if (this.#stream.destroyed) abort.abort();
      else this.#stream.once("close", () => abort.abort());
    }
    return this.#abort.signal;
  }
}

export class Http2Sink implements ResponseSink {
  status = 0;
  bytes = 0;
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    // A reset by the client is its business; 'close' tells those who wait.
    stream.on("error", () => undefined);
  }

  get started() {
    return this.#stream.headersSent;
  }

  get closed() {
    return this.#stream.destroyed || this.#stream.writableEnded;
  }

  head(status: number, headers: ResponseHeaders): void {
    this.status = status;
    if (this.#stream.destroyed) return;
    const all: Record<string, string | number | readonly string[]> = { ":status": status, ...headers };
    this.#stream.respond(all as OutgoingHttpHeaders); // node doesn't change the arrays
  }

  respond(status: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    this.head(status, headers);
    this.bytes = body.length;
    const stream = this.#stream;
    // A body that was refused in the middle: whoever sends it has to be told to stop.
    if (stream.readableFlowing !== null && !stream.readableEnded) stream.once("finish", () => stream.close());
    stream.end(body);
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    return this.closed ? true : this.#stream.write(chunk);
  }

  drained(): Promise<void> {
    return drained(this.#stream);
  }

  end(): void {
    this.#stream.end();
  }

  abort(): void {
    this.#stream.destroy();
  }
}
