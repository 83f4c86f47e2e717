/**
 * One request and its answer, whatever carried them. HTTP/1.1 and HTTP/2 are thin adapters to this; handlers know nothing else.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { X509Certificate } from "node:crypto";
import type { Readable } from "node:stream";

/** Upstream's limit (etcd's 1.5 MB doubled for JSON): protects memory from one huge body. */
export const bodyBytesMax = 3 * 1024 * 1024;

export interface ServerRequest {
  readonly method: string;
  /** As sent, percent-encoded, without the query. */
  readonly path: string;
  /** As sent, without `?`; "" when there is none. */
  readonly query: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turns, as they came: only here a repeated header and a comma in a value can be told apart. */
  readonly rawHeaders: readonly string[];
  readonly protocol: "1.1" | "2";
  readonly remoteAddress: string;
  /** What the client showed in the TLS handshake; `trusted` when it chains to the client CA. */
  peerCertificate(): PeerCertificate | undefined;
  /** Rejects with 413 above `bytesMax`, with 400 when the client stops in the middle. */
  body(bytesMax: number): Promise<Buffer>;
  /** The body as it comes, for those who pass it on. Either this or `body`. */
  bodyStream(): Readable;
  /** Aborts when the client goes away before the answer is complete. */
  readonly signal: AbortSignal;
  /** HTTP/2 only: what is under way ends in peace, nothing more is taken on this connection. */
  endConnection?(): void;
}

export interface PeerCertificate {
  readonly certificate: X509Certificate;
  /** Chains to one of the authorities of the listener, for use by a client. */
  readonly trusted: boolean;
  /** SHA-256 fingerprints (`AB:CD…`) of those above it, nearest first; of a trusted one down to the listener's authority. */
  issuers(): readonly string[];
}

export type ResponseHeaders = Record<string, string | readonly string[]>;

/** Where an answer goes. `head` once, then any number of writes, then `end`. Nothing throws after the client has gone. */
export interface ResponseSink {
  readonly started: boolean;
  readonly closed: boolean;
  /** Of the answer; 0: there is none yet, or whoever took the connection over gave it. */
  readonly status: number;
  /** Of its body, so far. */
  readonly bytes: number;
  head(status: number, headers: ResponseHeaders): void;
  /** Head, body and end at once: the short way for most answers. */
  respond(status: number, headers: ResponseHeaders, body: Uint8Array | string): void;
  /** False: wait for `drained` before the next one, or memory fills up. */
  write(chunk: Uint8Array): boolean;
  /** Resolves when there is room again, or the client has gone. */
  drained(): Promise<void>;
  end(): void;
  /** Breaks the connection (HTTP/1.1) or the stream (HTTP/2): the client must not take the answer for complete. */
  abort(): void;
}

export type Handler = (request: ServerRequest, sink: ResponseSink) => void;
