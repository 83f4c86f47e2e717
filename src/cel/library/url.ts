/** URLs as Go's net/url reads them, with its messages. */

import { goQuote } from "#machinery";
import { v6Problem } from "./address.ts";

export interface Url {
  readonly scheme: string;
  /** What follows the scheme when that is no slash. */
  readonly opaque: string;
  readonly user: string | undefined;
  readonly host: string;
  /** Escaped. */
  readonly path: string;
  readonly query: string;
  readonly hasQuery: boolean;
  /** Escaped. */
  readonly fragment: string;
}

class UrlError extends Error {}

const unreserved = "A-Za-z0-9\\-_.~";
const hostCharacters = new RegExp(`^[${unreserved}!$&'()*+,;=:[\\]<>"]$`);
/** Characters that stand for themselves in a path, and those that do when somebody wrote them so. */
const pathCharacters = new RegExp(`[${unreserved}$&+,/:;=@]`);
const fragmentCharacters = new RegExp(`[${unreserved}$&+,/:;=?@!()*]`);
const writtenCharacters = /[!$&'()*+,;=:@[\]%]/;

const escapeProblem = (text: string): string => `invalid URL escape ${goQuote(text)}`;

/** The bytes behind %xx as text. */
function unescapeText(text: string, mode: "host" | "query" | "other" = "other"): string {
  if (mode === "host") checkHost(text);
  if (!text.includes("%")) return mode === "query" ? text.replaceAll("+", " ") : text;
  const wrong = /%(?![0-9A-Fa-f]{2})/.exec(text);
  if (wrong) throw new UrlError(escapeProblem(text.slice(wrong.index, wrong.index + 3)));
  const plain = mode === "query" ? text.replaceAll("+", " ") : text;
  return plain.replace(/(?:%[0-9A-Fa-f]{2})+/g, (part) => Buffer.from(part.replaceAll("%", ""), "hex").toString());
}

/** In hosts only bytes beyond ASCII are escaped. */
function checkHost(text: string): void {
  const wrong = /%[0-7][0-9A-Fa-f]/.exec(text)?.[0];
  if (wrong && wrong !== "%25") throw new UrlError(escapeProblem(wrong));
  for (const c of text.replace(/%[0-9A-Fa-f]{2}/g, "")) {
    if (c < "\u0080" && c !== "%" && !hostCharacters.test(c))
      throw new UrlError(`invalid character ${goQuote(c)} in host name`);
  }
}

const escapeText = (text: string, allowed: RegExp): string =>
  [...Buffer.from(text)]
    .map((byte) => {
      const c = String.fromCharCode(byte);
      return byte < 128 && allowed.test(c) ? c : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");

/** As written, where that is a valid way to escape it. */
function canonical(written: string, allowed: RegExp): string {
  const isValid = [...written].every((c) => allowed.test(c) || writtenCharacters.test(c));
  return isValid ? written : escapeText(unescapeText(written), allowed);
}

function splitScheme(text: string): [scheme: string, rest: string] {
  if (text.startsWith(":")) throw new UrlError("missing protocol scheme");
  const [, scheme, rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):([\s\S]*)$/.exec(text) ?? [];
  return scheme === undefined ? ["", text] : [scheme.toLowerCase(), rest];
}

function readAuthority(scheme: string, authority: string): { user: string | undefined; host: string } {
  const at = authority.lastIndexOf("@");
  const host = readHost(scheme, authority.slice(at + 1));
  if (at < 0) return { user: undefined, host };
  const user = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new UrlError("net/url: invalid userinfo");
  unescapeText(user);
  return { user, host };
}

const isPort = (text: string): boolean => /^(?::\d*)?$/.test(text);

function readHost(scheme: string, host: string): string {
  const open = host.lastIndexOf("[");
  if (open > 0) throw new UrlError("invalid IP-literal");
  const isHttp = scheme === "http" || scheme === "https";
  if (open === 0) {
    const close = host.lastIndexOf("]");
    if (close < 0) throw new UrlError("missing ']' in host");
    checkPort(host.slice(close + 1));
    const name = unescapeText(host.slice(1, close), "host");
    const problem = v6Problem(name);
    if (problem) throw new UrlError(problem);
    return `[${name}]${host.slice(close + 1)}`;
  }
  const colon = isHttp ? host.indexOf(":") : host.lastIndexOf(":");
  if (colon >= 0) checkPort(host.slice(colon));
  return unescapeText(host, "host");
}

function checkPort(text: string): void {
  if (!isPort(text)) throw new UrlError(`invalid port ${goQuote(text)} after host`);
}

/** `isRequest`: absolute, or a path; nothing is known of fragments then. */
function read(text: string, isRequest: boolean): Omit<Url, "fragment"> {
  if (/[\0- \x7f]/.test(text.replaceAll(" ", ""))) throw new UrlError("net/url: invalid control character in URL");
  if (text === "" && isRequest) throw new UrlError("empty url");
  const nothing = { scheme: "", opaque: "", user: undefined, host: "", path: "", query: "", hasQuery: false };
  if (text === "*") return { ...nothing, path: "*" };
  const [scheme, afterScheme] = splitScheme(text);
  const mark = afterScheme.indexOf("?");
  const query = mark < 0 ? "" : afterScheme.slice(mark + 1);
  const hasQuery = query !== "" || (mark >= 0 && mark === afterScheme.length - 1);
  let rest = mark < 0 ? afterScheme : afterScheme.slice(0, mark);
  if (!rest.startsWith("/")) {
    if (scheme !== "") return { ...nothing, scheme, opaque: rest, query, hasQuery };
    if (isRequest) throw new UrlError("invalid URI for request");
    if (rest.split("/")[0]?.includes(":")) throw new UrlError("first path segment in URL cannot contain colon");
  }
  let authority: { user: string | undefined; host: string } = { user: undefined, host: "" };
  if (rest.startsWith("//") && (scheme !== "" || (!isRequest && !rest.startsWith("///")))) {
    const end = rest.indexOf("/", 2);
    authority = readAuthority(scheme, end < 0 ? rest.slice(2) : rest.slice(2, end));
    rest = end < 0 ? "" : rest.slice(end);
  }
  unescapeText(rest);
  return { scheme, opaque: "", ...authority, path: canonical(rest, pathCharacters), query, hasQuery };
}

const problem = (text: string, error: unknown): string => {
  if (!(error instanceof UrlError)) throw error;
  return `parse ${goQuote(text)}: ${error.message}`;
};

/** What url.ParseRequestURI says is wrong. */
export function requestUriProblem(text: string): string | undefined {
  try {
    read(text, true);
    return undefined;
  } catch (error) {
    return problem(text, error);
  }
}

/** A text is the complaint. */
export function parseUrl(text: string): Url | string {
  const hash = text.indexOf("#");
  const main = hash < 0 ? text : text.slice(0, hash);
  try {
    const url = read(main, false);
    const written = hash < 0 ? "" : text.slice(hash + 1);
    try {
      unescapeText(written);
    } catch (error) {
      return problem(text, error);
    }
    return { ...url, fragment: canonical(written, fragmentCharacters) };
  } catch (error) {
    return problem(main, error);
  }
}

export function hostAndPort({ host }: Url): { name: string; port: string } {
  const colon = host.lastIndexOf(":");
  const hasPort = colon >= 0 && isPort(host.slice(colon));
  const name = hasPort ? host.slice(0, colon) : host;
  const bare = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  return { name: bare, port: hasPort ? host.slice(colon + 1) : "" };
}

/** Pairs that cannot be read are left out. */
export function queryValues({ query }: Url): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const pair of query.split("&")) {
    if (pair === "" || pair.includes(";")) continue;
    const equals = pair.indexOf("=");
    try {
      const key = unescapeText(equals < 0 ? pair : pair.slice(0, equals), "query");
      const value = unescapeText(equals < 0 ? "" : pair.slice(equals + 1), "query");
      values.set(key, [...(values.get(key) ?? []), value]);
    } catch (error) {
      if (!(error instanceof UrlError)) throw error;
    }
  }
  return values;
}

export function urlText({ scheme, opaque, user, host, path, query, hasQuery, fragment }: Url): string {
  const authority =
    host !== "" || user !== undefined
      ? `//${user === undefined ? "" : `${user}@`}${escapeText(host, hostCharacters)}`
      : "";
  const main = opaque || authority + path;
  return `${scheme && `${scheme}:`}${main}${hasQuery ? `?${query}` : ""}${fragment && `#${fragment}`}`;
}
