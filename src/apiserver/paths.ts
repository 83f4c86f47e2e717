/** Requests that aren't about a resource: discovery, health, version, and what other parts add (openapi, metrics). */
import type { RequestUser } from "#api";
import type { Answer } from "./answer.ts";
import type { Query } from "./query.ts";

export interface PathRequest {
  readonly method: string;
  /** As in the URL. */
  readonly path: string;
  /** Decoded parts of the path. */
  readonly parts: readonly string[];
  readonly query: Query;
  readonly user: RequestUser;
  readonly accept: string | undefined;
  /** Of `if-none-match`. */
  readonly etag: string | undefined;
  /** Where the client reached us, `host:port`. */
  readonly host: string;
}

/** Undefined: nothing is there. */
export type PathHandler = (request: PathRequest) => Answer | undefined | Promise<Answer | undefined>;

/** By the first part of the path; "" is the root. */
export type PathHandlers = ReadonlyMap<string, PathHandler>;

export const textAnswer = (status: number, body: string): Answer => ({
  type: "raw",
  status,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body,
});

/** The same, where upstream doesn't tell browsers to take it as it is. */
export const sniffedAnswer = (body: string): Answer => ({
  type: "raw",
  status: 200,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body,
});

/** What Go's file of handlers answers for a path that nobody serves. */
export const pageNotFound = (): Answer => textAnswer(404, "404 page not found\n");
