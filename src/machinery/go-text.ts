/**
 * Text as Go prints it inside messages that clients see: quoted strings (`%q`), JSON and `%v` of maps and lists.
 */

/** `strconv.Quote`: printable characters as they are, others escaped the Go way. */
export function goQuote(text: string): string {
  if (/^[ !#-[\]-~]*$/.test(text)) return `"${text}"`;
  let out = '"';
  for (const character of text) out += quoteCharacter(character);
  return `${out}"`;
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

// What unicode.IsPrint refuses: controls, separators other than the space, unassigned and private characters.
const unprintable = /[\p{C}\p{Zl}\p{Zp}]|[^\P{Zs} ]/u;

export const isPrintable = (character: string): boolean => !unprintable.test(character);

function quoteCharacter(character: string): string {
  const short = shortEscapes[character];
  if (short !== undefined) return short;
  if (isPrintable(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** `json.Marshal`: like JSON.stringify, with <, >, & and the two line separators escaped. */
export function goJson(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.replace(/[<>&\u2028\u2029]/g, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** `%v` of a decoded JSON value: `map[a:1 b:[x y]]`, keys sorted, nil as `<nil>`. */
export function goValue(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goValue).join(" ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, each]) => `${key}:${goValue(each)}`).join(" ")}]`;
  }
  return typeof value === "number" ? goNumber(value) : String(value);
}

const int64End = 2 ** 63;

/** `%v` of an int64, or of a float64 where it can't be one: exponents have two digits and start at a million. */
export function goNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < int64End) return String(value);
  const text = value.toExponential();
  const exponent = Number(text.slice(text.indexOf("e") + 1));
  return exponent >= -4 && exponent < 6 ? String(value) : text.replace(/e([+-])(\d)$/, "e$10$2");
}

/** `%T` of a decoded JSON value. */
export function goTypeName(value: unknown): string {
  if (value === null || value === undefined) return "%!s(<nil>)";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "object") return "map[string]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : "string";
}

/** The reflect kind of a decoded JSON value. */
export function goKindName(value: unknown): string {
  if (Array.isArray(value)) return "slice";
  return typeof value === "object" && value !== null ? "map" : goTypeName(value);
}
