/**
 * One way to exchange requests with a server. Two implementations: one HTTP/2 connection with many streams, and HTTP/1.1
 * with a connection for each request under way.
 */
import type { Readable } from "node:stream";
import type { ConnectionOptions } from "node:tls";

export interface ExchangeRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer;
  readonly signal?: AbortSignal;
}

export interface Exchange {
  readonly code: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly body: Readable;
  /** Whether a body that ended was complete: a reset ends the stream too. */
  isWhole(): boolean;
}

export interface Connection {
  /** Whether another request may start now. */
  readonly available: boolean;
  readonly closed: boolean;
  /** Resolves with the head of the answer; aborting the signal later destroys the body. */
  exchange(request: ExchangeRequest): Promise<Exchange>;
  close(): void;
}

/** Where and how to connect. */
export interface Endpoint {
  readonly url: URL;
  readonly tls: ConnectionOptions;
}

/** No answer came. */
export class ConnectionError extends Error {
  override name = "ConnectionError";
  /** ECONNREFUSED and the like. */
  readonly code: string;
  /** The server certainly did nothing, so that even a write may be sent again. */
  readonly isUnprocessed: boolean;

  constructor(message: string, options: { code: string; isUnprocessed?: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.isUnprocessed = options.isUnprocessed ?? false;
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "EUNKNOWN";
}

/** Calls `onChunk` for each chunk of the answer; resolves at its end, rejects when it breaks off or `onChunk` throws. */
export function readBody({ body, isWhole }: Exchange, onChunk: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let isComplete = false;
    body.on("data", (chunk: Buffer) => {
      try {
        onChunk(chunk);
      } catch (error) {
        reject(error);
        body.destroy();
      }
    });
    body.on("end", () => {
      isComplete = isWhole();
      if (isComplete) resolve();
    });
    body.on("error", (error) =>
      reject(new ConnectionError(`the answer broke off: ${error.message}`, { code: codeOf(error), cause: error })),
    );
    body.on("close", () => {
      if (!isComplete) reject(new ConnectionError("the answer broke off", { code: "ECONNRESET" }));
    });
  });
}
