/** Who asks, told to a server behind us: upstream's SetAuthProxyHeaders. The front proxy's certificate is what makes it believe them. */
import type { RequestUser } from "#api";

export type IdentityHeaders = Record<string, string | string[]>;

export function identityHeaders({ name, uid, groups, extra }: RequestUser): IdentityHeaders {
  const headers: IdentityHeaders = { "X-Remote-User": wire(name) };
  if (uid) headers["X-Remote-Uid"] = wire(uid);
  if (groups.length > 0) headers["X-Remote-Group"] = groups.map(wire);
  for (const [key, values] of Object.entries(extra))
    if (values.length > 0) headers[`X-Remote-Extra-${escapeKey(key)}`] = values.map(wire);
  return headers;
}

/** Bytes of UTF-8, as Go sends them; what no header can hold would be refused by everyone on the way. */
const wire = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** Keys of extra fields may be anything, names of headers not. */
function escapeKey(key: string): string {
  let escaped = "";
  for (const byte of Buffer.from(key, "utf8")) {
    const char = String.fromCharCode(byte);
    escaped += /[!#$&'*+.^_`|~0-9A-Za-z-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}
