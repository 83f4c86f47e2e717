/**
 * Short names for contents: pod-template-hash and revision names. Upstream hashes Go's dump of the struct, which
 * only Go can print; ours hashes the JSON with members in order, so equal templates have equal hashes whatever wrote them.
 * Clients rely on the alphabet and on stability, never on the value.
 */
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

/** Vowels and look-alikes are missing, so that no name spells a word. */
const safeAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** FNV-1a over UTF-16 code units, 32 bits. */
function fnv(text: string, start = offsetBasis): number {
  let hash = start;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), prime);
  return hash >>> 0;
}

/** JSON with members sorted; absent, null and empty members count as the same, as they do for upstream's comparison. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => !isEmpty(member))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value !== "object") return false;
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0;
}

/** Letters for the digits of the number, as upstream's SafeEncodeString. */
export const safeEncode = (text: string): string =>
  [...text].map((letter) => safeAlphabet[letter.charCodeAt(0) % safeAlphabet.length]).join("");

/** `collisions`: how often this hash met another content under the same name. */
export function contentHash(content: unknown, collisions?: number): string {
  const hash = fnv(canonicalJson(content));
  return safeEncode(String(collisions === undefined ? hash : fnv(`#${collisions}`, hash)));
}

/** FNV-1 of the bytes, 32 bits: what upstream names a StatefulSet's revisions by. `text` is JSON as Go writes it, see goJson. */
export function bytesHash(text: string): string {
  let hash = offsetBasis;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash, prime) ^ byte;
  return safeEncode(String(hash >>> 0));
}

/** Go's encoder escapes what could end a script in HTML. */
export const goJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
