/** Forms of objects that aren't text, made from what the cache holds as JSON. Each is loaded when someone first asks for it. */
import type { KubernetesObject } from "#machinery";
import type { WatchConsumer } from "../cache/watch-stream.ts";
import type { ResponseSink } from "../http/exchange.ts";
import type { Transform } from "../http/media-type.ts";
import type { Resource } from "../resource.ts";
import type { Presenter } from "./presenter.ts";

export interface BinaryOutput {
  readonly contentType: string;
  /** Of watches. */
  readonly streamType: string;
  /** Of each event in a stream of bytes; messages go without. */
  readonly eventPrefixBytes: number;
  /** Undefined: such an object has no form in this format. */
  encode(value: KubernetesObject): Buffer | undefined;
  /** `transform`: only the metadata of objects, the one shape that binary formats have. */
  presenter(resource: Resource, transform: Transform | undefined): Presenter;
  watchConsumer(presenter: Presenter, sink: ResponseSink): WatchConsumer<Buffer>;
}
