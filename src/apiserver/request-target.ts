/**
 * What a path means: `/api/v1/namespaces/x/pods/y/log` → core/v1 pods "y" in "x", subresource log.
 * Parsed once; authorization, admission and the registry see the same answer, so no trick of encoding can make them differ.
 * Follows apiserver's request info resolver.
 */

export interface ResourceTarget {
  readonly type: "resource";
  readonly group: string;
  readonly version: string;
  /** "" for cluster-scoped objects and for requests over all namespaces. */
  readonly namespace: string;
  readonly resource: string;
  /** "": the collection. */
  readonly name: string;
  readonly subresource: string;
  /** Behind the subresource, for proxies: `a/b`. */
  readonly rest: string;
  /** Came through the old `/watch/` prefix. */
  readonly legacyWatch: boolean;
}

export interface PathTarget {
  readonly type: "path";
  /** Decoded parts. */
  readonly parts: readonly string[];
}

export type Target = ResourceTarget | PathTarget;

/** Undefined: no path that may be served. */
export function parseTarget(path: string): Target | undefined {
  const parts = splitPath(path);
  if (!parts) return undefined;
  const grouped = parts[0] === "apis";
  const first = grouped ? 3 : 2;
  if ((parts[0] !== "api" && !grouped) || parts.length <= first) return { type: "path", parts };
  const group = grouped ? parts[1]! : ""; // there are more than `first` parts
  const version = parts[first - 1]!; // the same
  let at = first;
  const legacyWatch = parts[at] === "watch" && parts.length > at + 1;
  if (legacyWatch) at++;
  let namespace = "";
  if (parts[at] === "namespaces" && parts.length > at + 2 && !namespaceSubresources.has(parts[at + 2]!)) {
    namespace = parts[at + 1]!; // there is one more
    at += 2;
  }
  const [resource = "", name = "", subresource = ""] = parts.slice(at, at + 3);
  // A namespace counts as being inside itself, for authorization and admission.
  if (group === "" && resource === "namespaces") namespace = name;
  const rest = subresource === "" ? "" : restOf(path, at + 3);
  return { type: "resource", group, version, namespace, resource, name, subresource, rest, legacyWatch };
}

const namespaceSubresources = new Set(["status", "finalize"]);

/** Segments that a client could use to reach another key or file are refused whole. */
function splitPath(path: string): string[] | undefined {
  const parts: string[] = [];
  let start = 1;
  while (start <= path.length) {
    let end = path.indexOf("/", start);
    if (end < 0) end = path.length;
    const raw = path.slice(start, end);
    start = end + 1;
    if (raw === "") {
      // A trailing slash means nothing; an empty segment elsewhere is no path of ours.
      if (start <= path.length) return undefined;
      break;
    }
    const part = decodeSegment(raw);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return parts;
}

function decodeSegment(raw: string): string | undefined {
  if (!raw.includes("%")) return raw === "." || raw === ".." ? undefined : raw;
  let part: string;
  try {
    part = decodeURIComponent(raw);
  } catch {
    return undefined; // malformed escapes
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return part === "." || part === ".." || /[/\u0000-\u001f\u007f]/.test(part) ? undefined : part;
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
