/** A request at the door, and what it is given when it is let in. */
import type { Query } from "../query.ts";
import type { Digest } from "./classify.ts";

export interface Visit extends Digest {
  readonly query: Query;
  /** Of the precise clock. */
  readonly arrivedMs: number;
  /** How long it may wait. */
  readonly waitMs: number;
  /** Aborts when nobody wants the answer any more. Asked for when the request has to wait. */
  signal?(): AbortSignal | undefined;
}

export interface Passage {
  /** Told to the client; undefined: flow control has no part in it. */
  readonly flow: { readonly schemaUid: string; readonly levelUid: string } | undefined;
  /** How long it stood in a queue. */
  readonly waitedMs: number;
  /** It was answered; for a watch: its beginning was. */
  finish(nowMs: number): void;
}

export interface Doorkeeper {
  /** Rejects with TooManyRequests. A promise only when it has to wait. */
  enter(visit: Visit): Passage | Promise<Passage>;
}

/** 429, to be tried again later. */
export class TooManyRequests extends Error {
  override name = "TooManyRequests";
  readonly flow: Passage["flow"];
  readonly retrySeconds: number;

  constructor(flow: Passage["flow"], retrySeconds: number) {
    super("Too many requests, please try again later.");
    this.flow = flow;
    this.retrySeconds = retrySeconds;
  }
}

export const isReadOnly = (verb: string): boolean => verb === "get" || verb === "list" || verb === "watch";
