/** PEM blocks in a text that may have anything around them, as Go's encoding/pem finds them. */

export interface PemBlock {
  readonly type: string;
  /** `Name: value` lines before the data. */
  readonly hasHeaders: boolean;
  readonly bytes: Buffer;
}

const block = /(?:^|\n)-----BEGIN ([^\n]*?)-----[ \t\r]*\n([\s\S]*?)-----END \1-----[ \t\r]*(?=\n|$)/g;
const header = /^[^\n:]+:[^\n]*\n/;
const base64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

export function readPem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (const [, type = "", body = ""] of text.matchAll(block)) {
    let data = body;
    for (let found = header.exec(data); found; found = header.exec(data)) data = data.slice(found[0].length);
    if (!base64.test(data)) continue;
    blocks.push({ type, hasHeaders: data.length < body.length, bytes: Buffer.from(data, "base64") });
  }
  return blocks;
}
