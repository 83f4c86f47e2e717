/**
 * Splits an expression into tokens. Always the longest token; where none begins, the characters up to the one that
 * cannot go on are reported and skipped, as the lexer that cel-go generates does.
 */

export type TokenKind =
  | "=="
  | "!="
  | "in"
  | "<"
  | "<="
  | ">="
  | ">"
  | "&&"
  | "||"
  | "["
  | "]"
  | "{"
  | "}"
  | "("
  | ")"
  | "."
  | ","
  | "-"
  | "!"
  | "?"
  | ":"
  | "+"
  | "*"
  | "/"
  | "%"
  | "true"
  | "false"
  | "null"
  | "NUM_FLOAT"
  | "NUM_INT"
  | "NUM_UINT"
  | "STRING"
  | "BYTES"
  | "IDENTIFIER"
  | "ESC_IDENTIFIER"
  | "<EOF>";

export interface Token {
  readonly kind: TokenKind;
  readonly at: number;
  readonly text: string;
}

const spaces = /[\t \r\n\f]+|\/\/[^\n]*/y;
const number =
  /(?<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|(?<int>0x[0-9a-fA-F]+|\d+)(?<u>[uU])?/y;
const escapedName = /`[A-Za-z0-9_./ -]+`/y;
const escapedNameStart = /`[A-Za-z0-9_./ -]*/y;
const name = /[A-Za-z_][A-Za-z0-9_]*/y;
const symbols: readonly TokenKind[] = [
  ...(["==", "!=", "<=", ">=", "&&", "||"] as const),
  ...(["<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*", "/", "%"] as const),
];
const words = new Set(["in", "true", "false", "null"]);
const escapeSequence = /\\(?:[abfnrtv"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;
/** How much of an escape is right, to say where it goes wrong. */
const escapeStart =
  /\\(?:[abfnrtv"'\\?`]|[0-3](?:[0-7][0-7]?)?|[xX][0-9a-fA-F]{0,2}|u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8})?/y;

/** The tokens, an end token last. */
export function tokenize(source: string, report: (at: number, message: string) => void): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  for (;;) {
    const space = match(spaces);
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    if (at >= source.length) break;
    const found = next(source, at, match);
    if (typeof found === "number") {
      const width = (source.codePointAt(found) ?? 0) > 0xffff ? 2 : 1;
      const end = Math.min(found + width, source.length);
      report(at, `Syntax error: token recognition error at: '${source.slice(at, end)}'`);
      at = Math.max(end, at + 1);
    } else {
      tokens.push({ kind: found.kind, at, text: source.slice(at, at + found.length) });
      at += found.length;
    }
  }
  tokens.push({ kind: "<EOF>", at: source.length, text: "<EOF>" });
  return tokens;
}

/** Control characters as messages about tokens show them. */
export const shownEscape = (c: string): string => (c === "\n" ? "\\n" : c === "\r" ? "\\r" : "\\t");

/** The token that starts here; or, when none does, where the characters stop making sense. */
function next(
  source: string,
  at: number,
  match: (pattern: RegExp) => string | undefined,
): { kind: TokenKind; length: number } | number {
  const c = source[at] ?? "";
  let furthest = at;
  if (/["'rRbB]/.test(c)) {
    const isBytes = /[bB]/.test(c);
    const start = isBytes ? at + 1 : at;
    const end = readString(source, start);
    if (end > 0) return { kind: isBytes ? "BYTES" : "STRING", length: end - at };
    furthest = -end;
  }
  const word = match(name);
  if (word !== undefined) {
    return { kind: words.has(word) ? (word as TokenKind) : "IDENTIFIER", length: word.length };
  }
  number.lastIndex = at;
  const numeral = number.exec(source);
  if (numeral) {
    const kind = numeral.groups?.float ? "NUM_FLOAT" : numeral.groups?.u ? "NUM_UINT" : "NUM_INT";
    return { kind, length: numeral[0].length };
  }
  if (c === "`") {
    const escaped = match(escapedName);
    return escaped ? { kind: "ESC_IDENTIFIER", length: escaped.length } : at + (match(escapedNameStart)?.length ?? 0);
  }
  const symbol = symbols.find((text) => source.startsWith(text, at));
  if (symbol) return { kind: symbol, length: symbol.length };
  return c === "=" || c === "&" || c === "|" ? at + 1 : furthest;
}

/** Where the string that starts here ends; or, negated, where it goes wrong. Prefers the longest form that is complete. */
function readString(source: string, start: number): number {
  const isRaw = /[rR]/.test(source[start] ?? "");
  const open = isRaw ? start + 1 : start;
  const quote = source[open] ?? "";
  if (quote !== '"' && quote !== "'") return -open;
  const triple = quote.repeat(3);
  if (source.startsWith(triple, open)) {
    const end = readUntil(source, open + 3, { terminator: triple, isRaw, isMultiline: true });
    // An open """ is an empty string followed by something else.
    return end > 0 ? end : open + 2;
  }
  return readUntil(source, open + 1, { terminator: quote, isRaw, isMultiline: false });
}

function readUntil(
  source: string,
  from: number,
  { terminator, isRaw, isMultiline }: { terminator: string; isRaw: boolean; isMultiline: boolean },
): number {
  for (let at = from; at < source.length; ) {
    if (source.startsWith(terminator, at)) return at + terminator.length;
    const c = source[at];
    if (!isMultiline && (c === "\n" || c === "\r")) return -at;
    if (c !== "\\" || isRaw) {
      at++;
      continue;
    }
    escapeSequence.lastIndex = at;
    const escaped = escapeSequence.exec(source)?.[0];
    if (escaped === undefined) {
      escapeStart.lastIndex = at;
      return -(at + (escapeStart.exec(source)?.[0].length ?? 0));
    }
    at += escaped.length;
  }
  return -source.length;
}
