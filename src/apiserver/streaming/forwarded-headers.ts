/** What of a request's headers goes on to another server. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { ServerRequest } from "../http/exchange.ts";
import { tokenProtocol } from "./websocket-server.ts";

/** Between two neighbours only. */
const hopByHop = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);
/** Say who the caller is: proof for us, not for whoever is behind. */
const ours = /^(authorization|impersonate-.*|x-remote-(user|uid|group|extra-.*))$/;

/** For an ordinary request. */
export function forwardedHeaders(request: ServerRequest): OutgoingHttpHeaders {
  const headers = passedHeaders(request.headers, hopByHop);
  // Connection names more that are for neighbours.
  for (const name of (request.headers.connection ?? "").split(",")) delete headers[name.trim().toLowerCase()];
  return { ...headers, ...forwardedFor(request) };
}

/** For one that changes the protocol: the neighbours' headers are what it is about. */
export function upgradeHeaders(request: ServerRequest): OutgoingHttpHeaders {
  const headers = { ...passedHeaders(request.headers, new Set()), ...forwardedFor(request) };
  const offered = request.headers["sec-websocket-protocol"];
  if (offered === undefined) return headers;
  const kept = offered.split(",").filter((name) => !tokenProtocol.test(name.trim()));
  delete headers["sec-websocket-protocol"];
  return kept.length === 0 ? headers : { ...headers, "sec-websocket-protocol": kept.join(",") };
}

function passedHeaders(from: IncomingHttpHeaders, without: ReadonlySet<string>): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(from)) {
    if (value === undefined || name.startsWith(":") || without.has(name) || ours.test(name)) continue;
    headers[name] = value;
  }
  const host = from[":authority"]?.toString();
  if (host && headers.host === undefined) headers.host = host;
  return headers;
}

function forwardedFor({ headers, remoteAddress }: ServerRequest): OutgoingHttpHeaders {
  const before = [headers["x-forwarded-for"] ?? []].flat();
  const all = [...before, remoteAddress].filter((address) => address !== "");
  return all.length === 0 ? {} : { "x-forwarded-for": all.join(", ") };
}

/** Of an answer, for a client that speaks another version of HTTP maybe. */
export function answeredHeaders(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || hopByHop.has(name) || named.includes(name)) continue;
    kept[name] = value;
  }
  return kept;
}
