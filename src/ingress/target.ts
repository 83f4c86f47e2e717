/** What a request asks for, in the one form that rules are compared with: host and path. Pure. */

const hostPattern = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
const addressPattern = /^\[[0-9a-f:.]+\]$/;
const hostLengthMax = 255;

/** Lower case, without port and final dot; "" is none; undefined: no host at all. */
export function normalizeHost(authority: string): string | undefined {
  if (authority.length > hostLengthMax) return undefined;
  const host = authority
    .toLowerCase()
    .replace(/:\d{0,5}$/, "")
    .replace(/\.$/, "");
  return host === "" || hostPattern.test(host) || addressPattern.test(host) ? host : undefined;
}

/** `a.foo.com` to `foo.com`: what a wildcard for its first label stands before. */
export function parentOf(host: string): string | undefined {
  const dot = host.indexOf(".");
  return dot > 0 && dot < host.length - 1 ? host.slice(dot + 1) : undefined;
}

/**
 * The path of a request target or of a rule as servers understand it (RFC 3986 6.2.2): dot segments resolved, letters and digits not
 * escaped, escapes in upper case. Rules are matched against this, so that nobody gets past `/admin` by `/public/../admin` or `/%61dmin`;
 * the backend still gets what was sent. Undefined: no absolute path.
 */
export function normalizePath(target: string): string | undefined {
  const end = target.search(/[?#]/);
  const path = end < 0 ? target : target.slice(0, end);
  if (!path.startsWith("/")) return undefined;
  if (!path.includes("%") && !path.includes("/.")) return path;
  const decoded = path.replace(/%([0-9a-f]{2})/gi, (escaped, hex: string) => {
    const letter = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w.~-]/.test(letter) ? letter : escaped.toUpperCase();
  });
  const segments: string[] = [];
  const given = decoded.slice(1).split("/");
  given.forEach((segment, i) => {
    const isLast = i === given.length - 1;
    if (segment === "..") segments.pop();
    if (segment !== "." && segment !== "..") segments.push(segment);
    else if (isLast) segments.push("");
  });
  return `/${segments.join("/")}`;
}
