/** Base64 as Go's base64.StdEncoding reads it, for fields of bytes. */

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

/** The text that the API answers for a text that a client sent, or the byte at which Go stops reading. */
export function canonicalBase64(text: string): string | { wrongAt: number } {
  if (base64.test(text)) return text;
  const wrongAt = base64WrongAt(text);
  // Line breaks, or bits beyond the last byte: Go reads it, and prints it differently.
  return wrongAt < 0 ? Buffer.from(text, "base64").toString("base64") : { wrongAt };
}

/** Where Go's base64.StdEncoding stops reading; negative: it reads all. */
function base64WrongAt(text: string): number {
  const bytes = Buffer.from(text);
  let digits = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = String.fromCharCode(bytes[at] ?? 0);
    if (byte === "\n" || byte === "\r") continue;
    if (byte === "=") return paddingWrongAt(bytes, { at, digits });
    if (!/[A-Za-z0-9+/]/.test(byte)) return at;
    digits = (digits + 1) % 4;
  }
  return digits === 0 ? -1 : bytes.length - digits;
}

function paddingWrongAt(bytes: Buffer, { at, digits }: { at: number; digits: number }): number {
  if (digits < 2) return at;
  const skip = (from: number) => {
    let next = from;
    while (bytes[next] === 0x0a || bytes[next] === 0x0d) next++;
    return next;
  };
  let next = skip(at + 1);
  if (digits === 2) {
    if (next >= bytes.length) return bytes.length;
    if (bytes[next] !== 0x3d) return next;
    next = skip(next + 1);
  }
  return next < bytes.length ? next : -1;
}
