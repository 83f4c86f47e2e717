/**
 * The two ends of a request that is sent on, each as HTTP/1.1 and as HTTP/2: an Exchange with the client, a Call to a backend. What is between
 * them (`forward.ts`) knows neither.
 */
import type { Readable, Writable } from "node:stream";
import type { Origin, RawHeaders } from "./headers.ts";

export interface Exchange {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** As sent; "" is none. */
  readonly authority: string;
  readonly headers: RawHeaders;
  readonly origin: Origin;
  /** Absent: the request has none. */
  readonly body: Readable | undefined;
  /** Of the request, once its body has ended. */
  trailers(): RawHeaders;
  /** 100 Continue: the backend wants the body. */
  proceed(): void;
  /** Sends the head. Without a body it is all. */
  respond(head: ResponseHead, hasBody: boolean): Writable;
  /** Ends the body. */
  finish(trailers: RawHeaders): void;
  /** Breaks off, so that the client doesn't take half an answer for a whole one. */
  abort(): void;
  /** Once, when all is over; `isComplete`: the whole answer was sent. */
  onClose(run: (isComplete: boolean) => void): void;
}

export interface ResponseHead {
  readonly status: number;
  /** HTTP/1 only. */
  readonly message?: string;
  /** End to end. */
  readonly headers: RawHeaders;
}

export interface Answer extends ResponseHead {
  /** Absent: there is none. */
  readonly body: Readable | undefined;
  /** Once the body has ended: that this was its end, not that of the connection. */
  isWhole(): boolean;
  trailers(): RawHeaders;
}

/** What is asked of a backend. */
export interface CallHead {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** End to end, without host. */
  readonly headers: readonly string[];
  /** A body follows, through `sink`. */
  readonly hasBody: boolean;
}

export interface Call {
  /** A connection is there and takes the body. Never rejects: a failure is the answer's. */
  readonly connected: Promise<unknown>;
  readonly sink: Writable;
  /** Ends the body. */
  finish(trailers: RawHeaders): void;
  /** Rejects with a CallError before there is a head. */
  readonly answer: Promise<Answer>;
  onProceed(run: () => void): void;
  /** Ends it wherever it is. */
  cancel(): void;
}

export class CallError extends Error {
  override name = "CallError";
  /** The backend has certainly not begun with it. */
  readonly isUnsent: boolean;
  /** No connection could be had at all. */
  readonly isUnreachable: boolean;

  constructor(cause: Error, { isUnsent, isUnreachable }: { isUnsent: boolean; isUnreachable: boolean }) {
    super(cause.message, { cause });
    this.isUnsent = isUnsent;
    this.isUnreachable = isUnreachable;
  }
}

/** Calls to one endpoint over connections that are kept. */
export interface Backend {
  /** Throws a TypeError for what can't be written. */
  call(head: CallHead): Call;
  /** No new connections are kept; what is under way goes on. */
  retire(): void;
}

/** To connect, and for TLS. */
export const connectMsMax = 5_000;
