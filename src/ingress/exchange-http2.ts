/** A client's request by HTTP/2. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Exchange } from "./exchange.ts";
import { endToEnd, lowerNames, type Origin, type RawHeaders, trailerObject, valuesOf } from "./headers.ts";

export interface Http2Parts {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly raw: RawHeaders;
  readonly origin: Origin;
}

export function createHttp2Exchange({ stream, headers, raw, origin }: Http2Parts): Exchange {
  let received: RawHeaders = [];
  let given: RawHeaders = [];
  stream.on("trailers", (_: IncomingHttpHeaders, _flags: number, rawTrailers: RawHeaders) => {
    received = rawTrailers;
  });
  stream.on("wantTrailers", () => stream.sendTrailers(trailerObject(given)));
  let isAborted = false;
  stream.once("aborted", () => {
    isAborted = true;
  });
  return {
    method: headers[":method"] ?? "",
    target: headers[":path"] ?? "",
    authority: authorityOf(headers, raw),
    headers: raw,
    origin,
    body: stream.endAfterHeaders ? undefined : stream,
    trailers: () => endToEnd(received),
    proceed: () => stream.additionalHeaders({ ":status": constants.HTTP_STATUS_CONTINUE }),
    respond({ status, headers: sent }, hasBody) {
      const head = [":status", String(status), ...lowerNames(sent)];
      stream.respond(head, hasBody ? { waitForTrailers: true } : { endStream: true });
      return stream;
    },
    finish(trailers) {
      given = trailers;
      stream.end();
    },
    abort: () => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
    onClose: (run) => void stream.once("close", () => run(!isAborted && stream.rstCode === constants.NGHTTP2_NO_ERROR)),
  };
}

const authorityOf = (headers: IncomingHttpHeaders, raw: RawHeaders): string =>
  headers[":authority"] ?? valuesOf(raw, "host")[0] ?? "";
