/** The value of a string or bytes literal as it stands in the source (cel-go's parser/unescape.go). */

const simple: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  "'": 39,
  '"': 34,
  "`": 96,
  "?": 63,
};

/** Throws an Error whose message is the complaint. For bytes, the UTF-8 form with \x and octal escapes as single bytes. */
export function unescapeBytes(literal: string): Uint8Array {
  return new Uint8Array(Buffer.concat(parts(literal, true).map((part) => Buffer.from(part as string))));
}

export function unescapeString(literal: string): string {
  return parts(literal, false).join("");
}

function parts(literal: string, isBytes: boolean): (string | Uint8Array)[] {
  let text = literal.replace(/\r\n?/g, "\n");
  const isRaw = /^[rR]/.test(text);
  if (isRaw) text = text.slice(1);
  const fence = /^("""|'''|"|')/.exec(text)?.[0] ?? '"';
  // `""` followed by nothing is an empty string, not half of a triple quote.
  const width = fence.length === 3 && text.length < 6 ? 1 : fence.length;
  text = text.slice(width, -width);
  if (isRaw || !text.includes("\\")) return [text];
  const found: (string | Uint8Array)[] = [];
  for (let at = 0; at < text.length; ) {
    const slash = text.indexOf("\\", at);
    if (slash < 0) {
      found.push(text.slice(at));
      break;
    }
    found.push(text.slice(at, slash));
    const c = text[slash + 1] ?? "";
    const digits = /[0-3]/.test(c) ? 3 : { x: 2, X: 2, u: 4, U: 8 }[c];
    if (digits === undefined) {
      found.push(String.fromCharCode(simple[c] ?? 0));
      at = slash + 2;
      continue;
    }
    if (isBytes && digits !== 2 && digits !== 3) throw new Error("unable to unescape string");
    const isOctal = digits === 3;
    const start = isOctal ? slash + 1 : slash + 2;
    const code = Number.parseInt(text.slice(start, start + digits), isOctal ? 8 : 16);
    if (isBytes) found.push(Uint8Array.of(code));
    else if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new Error("invalid unicode code point");
    else found.push(String.fromCodePoint(code));
    at = start + digits;
  }
  return found;
}
