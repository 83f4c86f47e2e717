/**
 * What a handler answers, before anyone decides how it looks on the wire. Over HTTP it becomes bytes in the negotiated format;
 * in this process the decoded objects themselves are handed out.
 */
import type { KubernetesObject } from "#machinery";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "./http/exchange.ts";
import type { StoredObject } from "./cache/stored-object.ts";
import type { WatchConsumer, WatchStream } from "./cache/watch-stream.ts";
import type { Resource } from "./resource.ts";

export interface ListMetadata {
  /** Absent: of objects that have none. */
  readonly resourceVersion?: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export type Answer =
  /** One stored object, seen as `resource`. */
  | { readonly type: "object"; readonly status: number; readonly resource: Resource; readonly object: StoredObject }
  | {
      readonly type: "list";
      readonly resource: Resource;
      readonly objects: readonly StoredObject[];
      readonly metadata: ListMetadata;
    }
  | {
      readonly type: "watch";
      readonly resource: Resource;
      readonly open: <T>(consumer: WatchConsumer<T>) => WatchStream<T>;
    }
  /** An object that isn't stored as such: Scale, Status, reviews. Plain JSON. */
  | { readonly type: "value"; readonly status: number; readonly value: KubernetesObject | object }
  /** A finished body: version, health, discovery. */
  | {
      readonly type: "raw";
      readonly status: number;
      readonly headers: ResponseHeaders;
      readonly body: Uint8Array | string;
      /** Whatever its size; others never are. */
      readonly compressible?: boolean;
    }
  /** Speaks for itself: logs, proxies. Only over HTTP. */
  | { readonly type: "stream"; readonly run: StreamRun };

/** `headers`: what every answer of this request carries. */
export type StreamRun = (request: ServerRequest, sink: ResponseSink, headers: ResponseHeaders) => Promise<void>;
