/** Names of fields as identifiers: `foo.bar` is written `foo__dot__bar`, `namespace` `__namespace__` (apiserver/pkg/cel/escaping.go). */

export const reservedWords: ReadonlySet<string> = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const escapes: Readonly<Record<string, string>> = {
  __: "__underscores__",
  ".": "__dot__",
  "-": "__dash__",
  "/": "__slash__",
};
const unescapes: Readonly<Record<string, string>> = { underscores: "__", dot: ".", dash: "-", slash: "/" };

/** undefined: the name cannot be written in an expression. */
export function escapeName(name: string): string | undefined {
  if (!/^[A-Za-z_./-][A-Za-z0-9_./-]*$/.test(name)) return undefined;
  if (reservedWords.has(name)) return `__${name}__`;
  return name.replace(/__|[-./]/g, (part) => escapes[part] ?? part);
}

/** undefined: it contains an escape that there isn't. */
export function unescapeName(escaped: string): string | undefined {
  if (!escaped.includes("__")) return escaped;
  let valid = true;
  const name = escaped.replace(/__[^_]+__/g, (part) => {
    const content = part.slice(2, -2);
    const plain = Object.hasOwn(unescapes, content) ? unescapes[content] : undefined;
    if (plain !== undefined) return plain;
    // A keyword is only escaped as a whole.
    if (!reservedWords.has(content) || part.length !== escaped.length) valid = false;
    return content;
  });
  return valid ? name : undefined;
}
