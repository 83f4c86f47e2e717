/** Headers as they are sent on: flat lists of names and values in their order, as Node reads and writes them. Pure. */

/** Name, value, name, value… */
export type RawHeaders = readonly string[];

/** Between two neighbours only, not from one end to the other (RFC 9110 7.6.1). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);
/** What the connection header may not take away: it would change what the request is. */
const kept = new Set(["host", "content-length", "content-type", "expect"]);
const forwarded = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-real-ip",
]);

export interface Origin {
  /** The client's address. */
  readonly address: string;
  readonly isSecure: boolean;
  /** As the client wrote it. */
  readonly host: string;
  /** Where the client connected to. */
  readonly port: number;
  /** A proxy of ours: what it says about its client is kept. */
  readonly isTrusted: boolean;
}

/** All values of one header, in order. */
export function valuesOf(raw: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const key = raw[i] ?? "";
    if (key.length === name.length && key.toLowerCase() === name) values.push(raw[i + 1] ?? "");
  }
  return values;
}

/** Of a request to a backend; the caller adds the host, the framing and what an upgrade needs. */
export function forwardedHeaders(raw: RawHeaders, origin: Origin): string[] {
  const { address, isSecure, host, port, isTrusted } = origin;
  const chain: string[] = [];
  const present = new Set<string>();
  const headers = endToEnd(raw, (name, value) => {
    if (name === "host") return true;
    if (!forwarded.has(name)) return false;
    if (name === "x-forwarded-for") chain.push(value);
    else if (isTrusted) present.add(name);
    return !present.has(name);
  });
  chain.push(address);
  headers.push("X-Forwarded-For", chain.join(", "));
  const add = (name: string, value: string) => {
    if (!present.has(name.toLowerCase())) headers.push(name, value);
  };
  add("X-Forwarded-Proto", isSecure ? "https" : "http");
  add("X-Forwarded-Host", host);
  add("X-Forwarded-Port", String(port));
  add("X-Real-IP", address);
  if (valuesOf(raw, "te").some((value) => /(^|,)\s*trailers\s*(;|,|$)/i.test(value))) headers.push("TE", "trailers");
  return headers;
}

/** Without what concerns one connection only, and without what else is `unwanted` (names in lower case; pseudo headers always are). */
export function endToEnd(raw: RawHeaders, unwanted: (name: string, value: string) => boolean = () => false): string[] {
  const named = connectionTokens(raw);
  const headers: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [key = "", value = ""] = [raw[i], raw[i + 1]];
    const name = key.toLowerCase();
    if (name.startsWith(":") || hopByHop.has(name) || named.has(name) || unwanted(name, value)) continue;
    headers.push(key, value);
  }
  return headers;
}

function connectionTokens(raw: RawHeaders): Set<string> {
  const named = new Set<string>();
  for (const value of valuesOf(raw, "connection")) {
    if (value === "keep-alive" || value === "close") continue;
    for (const token of value.split(",")) {
      const name = token.trim().toLowerCase();
      if (name !== "" && !kept.has(name)) named.add(name);
    }
  }
  return named;
}

/** Takes all values of one header out. */
export function drop(headers: string[], name: string): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i]?.toLowerCase() === name) headers.splice(i, 2);
}

/** For HTTP/2, which knows lower case only. */
export const lowerNames = (raw: RawHeaders): string[] =>
  raw.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));

/** HTTP/2 may cut cookies into many headers, HTTP/1 has one (RFC 9113 8.2.3). */
export function joinCookies(raw: string[]): string[] {
  const cookies = valuesOf(raw, "cookie");
  if (cookies.length < 2) return raw;
  drop(raw, "cookie");
  raw.push("cookie", cookies.join("; "));
  return raw;
}

/** As Node's HTTP/2 takes trailers. */
export function trailerObject(raw: RawHeaders): Record<string, string[]> {
  const found: Record<string, string[]> = Object.create(null); // names are the peer's
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? "").toLowerCase();
    found[name] ??= [];
    found[name].push(raw[i + 1] ?? "");
  }
  return found;
}

/** As Node's HTTP/1 takes them. */
export const trailerPairs = (raw: RawHeaders): [string, string][] =>
  Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] ?? "", raw[2 * i + 1] ?? ""]);
