/** The Warning headers of an answer, kept as short as upstream keeps them. */

/** Characters of all texts together; beyond, each is cut to `itemMax` and the rest left out. */
const totalMax = 4 * 1024;
const itemMax = 256;
const controls = /\p{Cc}/u;

export function warningHeaders(texts: readonly string[]): string[] {
  const all = [...new Set(texts)].filter((text) => text !== "" && !controls.test(text));
  let total = 0;
  for (const [i, text] of all.entries()) {
    total += lengthOf(text);
    if (total > totalMax) return truncated(all, i + 1);
  }
  return all.map(headerOf);
}

/** Those up to the one that was too much are said in any case. */
function truncated(texts: readonly string[], sure: number): string[] {
  const short = texts.map((text) => (text.length > itemMax ? [...text].slice(0, itemMax).join("") : text));
  let total = 0;
  const end = short.findIndex((text, i) => {
    if (i >= sure && total >= totalMax) return true;
    total += lengthOf(text);
    return false;
  });
  return (end < 0 ? short : short.slice(0, end)).map(headerOf);
}

const lengthOf = (text: string): number => (text.length <= itemMax ? text.length : [...text].length);

/** In the bytes of UTF-8, which Node writes one for each character. */
function headerOf(text: string): string {
  const quoted = text.replace(/["\\]/g, "\\$&");
  return `299 - "${Buffer.from(quoted, "utf8").toString("latin1")}"`;
}
