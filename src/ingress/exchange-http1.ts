/** A client's request by HTTP/1.1, with or without TLS. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Exchange } from "./exchange.ts";
import { drop, endToEnd, type Origin, trailerPairs, valuesOf } from "./headers.ts";

/** What of a request's head decides where it goes; undefined: it is malformed. */
export function readTarget({
  url = "",
  rawHeaders,
}: IncomingMessage): { target: string; authority: string } | undefined {
  const hosts = valuesOf(rawHeaders, "host");
  if (hosts.length > 1) return undefined;
  const [host = ""] = hosts;
  // To a proxy the whole URL is sent, and its host counts (RFC 9112 3.2.2).
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url);
  if (!absolute) return { target: url, authority: host };
  const [, authority = "", rest = ""] = absolute;
  return authority.includes("@") ? undefined : { target: rest.startsWith("/") ? rest : `/${rest}`, authority };
}

export interface Http1Parts {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: string;
  readonly authority: string;
  readonly origin: Origin;
}

export function createHttp1Exchange({ request, response, target, authority, origin }: Http1Parts): Exchange {
  const { headers } = request;
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  return {
    ...{ method: request.method ?? "GET", target, authority, headers: request.rawHeaders, origin },
    body: hasBody ? request : undefined,
    trailers: () => endToEnd(request.rawTrailers),
    proceed: () => response.writeContinue(),
    respond({ status, message, headers: given }, willHaveBody) {
      const own = [...given];
      // Only a body in chunks has trailers.
      if (!willHaveBody || request.httpVersion === "1.0" || valuesOf(own, "content-length").length > 0)
        drop(own, "trailer");
      if (message === undefined) response.writeHead(status, own);
      else response.writeHead(status, message, own);
      if (!willHaveBody) response.end();
      // With the beginning of the body, if that is here already; at once otherwise.
      else setImmediate(() => !response.writableEnded && !response.destroyed && response.flushHeaders());
      return response;
    },
    finish(trailers) {
      if (trailers.length > 0) response.addTrailers(trailerPairs(trailers));
      response.end();
    },
    abort: () => void response.destroy(),
    onClose: (run) => void response.once("close", () => run(response.writableFinished)),
  };
}
