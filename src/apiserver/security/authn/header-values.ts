/**
 * Headers that name users and groups, from the raw list: Node.js joins repeated headers with ", ", after which a group with a comma in its
 * name would count as two groups.
 */

/** Every value of a header, `name` in lower case. */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    if (rawHeaders[at]?.length === name.length && rawHeaders[at]?.toLowerCase() === name)
      values.push(decodeValue(rawHeaders[at + 1] ?? ""));
  return values;
}

/** What stands behind a prefix in the names of headers, unescaped and in lower case, with all values; `prefix` in lower case. */
export function prefixedValues(rawHeaders: readonly string[], prefix: string): Record<string, string[]> {
  const found = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? "";
    if (!name.startsWith(prefix)) continue;
    const key = unescapeKey(name.slice(prefix.length));
    found.set(key, [...(found.get(key) ?? []), decodeValue(rawHeaders[at + 1] ?? "")]);
  }
  return Object.fromEntries(found);
}

/** Bytes come as Latin-1; names are UTF-8. */
function decodeValue(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test is for what isn't ASCII
  return /^[\x00-\x7f]*$/.test(value) ? value : Buffer.from(value, "latin1").toString("utf8");
}

function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key; // upstream records malformed keys as they came
  }
}
