/**
 * What a path means: `/api/v1/namespaces/x/pods/y/log` → core/v1 pods "y" in "x", subresource log.
 * Parsed once; authorization, admission and the registry see the same answer, so no trick of encoding can make them differ.
 * Follows apiserver's request info resolver and what go-restful's routes make of odd paths.
 */

export interface ResourceTarget {
  readonly type: "resource";
  readonly group: string;
  readonly version: string;
  /** "" for cluster-scoped objects and for requests over all namespaces; a namespace is inside itself. */
  readonly namespace: string;
  readonly resource: string;
  /** "": the collection. */
  readonly name: string;
  readonly subresource: string;
  /** Behind the subresource, for proxies, still encoded: `a/b`. */
  readonly rest: string;
  /** Came through the old `/watch/` prefix. */
  readonly legacyWatch: boolean;
  /** The path speaks of a namespace: `namespaces/x/…`. */
  readonly inNamespace: boolean;
}

export interface PathTarget {
  readonly type: "path";
  /** Decoded. */
  readonly parts: readonly string[];
}

/** Nothing is served under such a path, whatever the rest of it says. */
export interface OddTarget {
  readonly type: "odd";
  readonly parts: readonly string[];
}

export type Target = ResourceTarget | PathTarget | OddTarget;

/** Undefined: escapes that mean nothing. */
export function parseTarget(path: string): Target | undefined {
  const parts = splitPath(path);
  if (!parts) return undefined;
  const first = parts[0] === "apis" ? 3 : 2;
  const odd = parts.some(isOdd);
  if ((parts[0] !== "api" && parts[0] !== "apis") || parts.length <= first)
    return { type: odd ? "odd" : "path", parts };
  if (parts.length === first + 1 && (parts[first] === "watch" || parts[first] === "proxy"))
    return { type: "odd", parts };
  return parseResource(path, parts, first) ?? { type: "odd", parts };
}

/** Segments that a client could use to reach another key or file. */
const isOdd = (part: string): boolean => part === "" || part === "." || part === ".." || /[/\p{Cc}]/u.test(part);

function parseResource(path: string, parts: readonly string[], first: number): ResourceTarget | undefined {
  const group = first === 3 ? (parts[1] ?? "") : "";
  const version = parts[first - 1] ?? "";
  let at = first;
  const legacyWatch = parts[at] === "watch" && parts.length > at + 1;
  if (legacyWatch) at++;
  let namespace = "";
  const inNamespace =
    parts[at] === "namespaces" && parts.length > at + 2 && !namespaceSubresources.has(parts[at + 2] ?? "");
  if (inNamespace) {
    namespace = parts[at + 1] ?? "";
    at += 2;
  }
  const [resource = "", name = "", subresource = ""] = parts.slice(at, at + 3);
  // An empty namespace and such a name get refusals of their own; what is behind a subresource belongs to whoever serves it.
  const own = parts.slice(0, at + 3);
  const isRefusedLater = (part: string, position: number): boolean =>
    part === "" ? inNamespace && position === at - 1 : position === at + 1 && dots.test(part);
  if (own.some((part, position) => isOdd(part) && !isRefusedLater(part, position))) return undefined;
  if (group === "" && resource === "namespaces") namespace = name;
  const rest = subresource === "" ? "" : restOf(path, at + 3);
  return { type: "resource", group, version, namespace, resource, name, subresource, rest, legacyWatch, inNamespace };
}

const dots = /^\.{1,2}$/;
const namespaceSubresources = new Set(["status", "finalize"]);

function splitPath(path: string): string[] | undefined {
  const raw = path.slice(1).split("/");
  // Slashes at the end mean nothing.
  while (raw.at(-1) === "") raw.pop();
  if (!path.includes("%")) return raw;
  try {
    return raw.map(decodeURIComponent);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** Everything behind the first `count` segments, still encoded. */
function restOf(path: string, count: number): string {
  let at = 0;
  for (let i = 0; i < count; i++) {
    at = path.indexOf("/", at + 1);
    if (at < 0) return "";
  }
  return path.slice(at + 1);
}
