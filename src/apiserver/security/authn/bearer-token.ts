/** Where a token stands in a request: in `Authorization`, or, for browsers that can't set it, among the protocols of a WebSocket. */
import type { IncomingHttpHeaders } from "node:http";

const extraSpace = "the provided Authorization header contains extra space before the bearer token, and is ignored";
const protocolPrefix = "base64url.bearer.authorization.k8s.io.";

/** "" without one; other schemes are not ours and count as no credential, as upstream does. */
export function bearerToken(header: string | undefined, warnings?: string[]): string {
  if (header === undefined) return "";
  const [scheme = "", token = "", behind] = header.trim().split(" ", 3);
  if (scheme.toLowerCase() !== "bearer") return "";
  if (token === "" && behind !== undefined) warnings?.push(extraSpace);
  return token;
}

/** "" without one; undefined when it is unclear which. */
export function webSocketToken(headers: IncomingHttpHeaders): string | undefined {
  const offered = headers["sec-websocket-protocol"];
  if (offered === undefined || headers.upgrade?.toLowerCase() !== "websocket") return "";
  const protocols = offered.split(",").map((protocol) => protocol.trim());
  const tokens = protocols.filter((protocol) => protocol.startsWith(protocolPrefix));
  if (tokens.length === 0) return "";
  // One that can be answered must be left.
  if (tokens.length > 1 || protocols.length === 1) return undefined;
  const text = tokens[0]?.slice(protocolPrefix.length) ?? "";
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Buffer.from(text, "base64url");
  const token = bytes.toString("utf8");
  return Buffer.from(token).equals(bytes) ? token : undefined;
}
