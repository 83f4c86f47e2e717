/**
 * How a part talks to an API server. Two implementations: HTTPS (another process or machine) and in-memory (this process).
 * Both go through authentication, authorization, admission and the same errors.
 */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Percent-encoded path, `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON; the callee must not change or keep it. */
  readonly body?: unknown;
  /** Of a patch; `application/json` otherwise. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Of reads: names, owners and finalizers are all the caller wants. A transport may answer whole objects anyway, when they cost nothing. */
  readonly metadataOnly?: boolean;
  /** Of lists and watches: nobody looks at `metadata.managedFields`, a third of a small object. A transport may send them anyway. */
  readonly withoutManagedFields?: boolean;
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

export interface Transport {
  /** The decoded answer. It may be shared with a cache: read-only. Rejects with StatusError, or a plain Error when there was no answer. */
  request(request: ApiRequest): Promise<unknown>;
  /** Calls `onEvent` for each event in order; resolves when the server ends the watch or the signal aborts. Rejects with StatusError. */
  watch(request: ApiRequest, onEvent: (event: WatchEvent) => void): Promise<void>;
  close(): void;
}
