/** The query text of label selectors, `a=b,c in (d,e),!f`: grammar and messages of apimachinery's labels package. */
import { FieldPath, printFieldErrors } from "./field.ts";
import {
  binaryLabelOperators,
  everythingSelector,
  type LabelMatcher,
  type LabelOperator,
  type LabelRequirement,
  labelMatcher,
  labelRequirement,
  SelectorError,
  wrongLabelKey,
} from "./label-selector.ts";

/** Reads the query text of `?labelSelector=`. Throws SelectorError. */
export function parseLabelSelector(text: string): LabelMatcher {
  const requirements = new Parser(text).parse();
  return requirements.length === 0 ? everythingSelector : labelMatcher(requirements);
}

type TokenKind = LabelOperator | "(" | ")" | "," | "identifier" | "end" | "error";

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const symbols: Readonly<Record<string, TokenKind>> = {
  ")": ")",
  ",": ",",
  "!": "!",
  "==": "==",
  "=": "=",
  ">": "gt",
  "<": "lt",
  "!=": "!=",
  "(": "(",
};

/** Scanned by hand: patterns that look for the end of a run take quadratic time on long ones. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const nul = text.indexOf("\0");
  const end = nul < 0 ? text.length : nul;
  for (let at = 0; at < end; ) {
    const start = at;
    const first = text[at] ?? "";
    if (isBlank(first)) at++;
    else if (isSpecial(first)) {
      const token = firstSymbol(text, { start, end });
      tokens.push(token);
      at = token.kind === "error" ? endOfRun(text, { start, end }) : start + token.text.length;
    } else {
      while (at < end && !isBlank(text[at] ?? "") && !isSpecial(text[at] ?? "")) at++;
      const word = text.slice(start, at);
      tokens.push({ kind: word === "in" || word === "notin" ? word : "identifier", text: word });
    }
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

const isBlank = (character: string): boolean => " \t\r\n".includes(character);
const isSpecial = (character: string): boolean => "=!(),><".includes(character);

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The longest known symbol that a run of special characters begins with. */
function firstSymbol(text: string, { start, end }: Span): Token {
  for (const length of [2, 1]) {
    const symbol = text.slice(start, Math.min(start + length, end));
    const kind = symbol.length === length ? symbols[symbol] : undefined;
    if (kind) return { kind, text: symbol };
  }
  const run = text.slice(start, endOfRun(text, { start, end }));
  return { kind: "error", text: `error expected: keyword found '${run}'` };
}

function endOfRun(text: string, { start, end }: Span): number {
  let at = start;
  while (at < end && isSpecial(text[at] ?? "")) at++;
  return at;
}

class Parser {
  readonly #tokens: Token[];
  #position = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    for (;;) {
      const { kind, text } = this.#peek();
      if (kind === "end") return requirements;
      if (kind !== "identifier" && kind !== "!") {
        throw new SelectorError(`found '${text}', expected: !, identifier, or 'end of string'`);
      }
      try {
        requirements.push(this.#requirement());
      } catch (error) {
        if (!(error instanceof SelectorError)) throw error;
        throw new SelectorError(`unable to parse requirement: ${error.message}`);
      }
      const after = this.#next();
      if (after.kind === "end") return requirements;
      if (after.kind !== ",") throw new SelectorError(`found '${after.text}', expected: ',' or 'end of string'`);
      const next = this.#peek();
      if (next.kind !== "identifier" && next.kind !== "!") {
        throw new SelectorError(`found '${next.text}', expected: identifier after ','`);
      }
    }
  }

  /** Outside the operator's place `in` and `notin` are ordinary words. */
  #peek(): Token {
    const token = this.#tokens[Math.min(this.#position, this.#tokens.length - 1)] ?? { kind: "end", text: "" };
    return token.kind === "in" || token.kind === "notin" ? { kind: "identifier", text: token.text } : token;
  }

  #next(): Token {
    const token = this.#peek();
    this.#position++;
    return token;
  }

  #requirement(): LabelRequirement {
    let token = this.#next();
    const negated = token.kind === "!";
    if (negated) token = this.#next();
    if (token.kind !== "identifier") throw new SelectorError(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const error = wrongLabelKey(key, FieldPath.none);
    if (error) throw new SelectorError(printFieldErrors([error]));
    const { kind } = this.#peek();
    if (kind === "end" || kind === ",") return labelRequirement(key, negated ? "!" : "exists", []);
    // Upstream's parser reads `!key` as a whole requirement: what follows is left for the caller to refuse.
    if (negated) return labelRequirement(key, "!", []);
    const operator = this.#operator();
    const values = operator === "in" || operator === "notin" ? this.#values() : [this.#exactValue()];
    return labelRequirement(key, operator, [...new Set(values)].sort());
  }

  #operator(): LabelOperator {
    const token = this.#tokens[this.#position] ?? { kind: "end", text: "" };
    this.#position++;
    const operator = binaryLabelOperators.find((each) => each === token.kind);
    if (!operator) throw new SelectorError(`found '${token.text}', expected: ${binaryLabelOperators.join(", ")}`);
    return operator;
  }

  #values(): string[] {
    const open = this.#next();
    if (open.kind !== "(") throw new SelectorError(`found '${open.text}' expected: '('`);
    const first = this.#peek();
    if (first.kind === ")") {
      this.#next();
      return [""];
    }
    if (first.kind !== "identifier" && first.kind !== ",") {
      throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
    }
    const values = this.#valueList();
    if (this.#next().kind !== ")") throw new SelectorError(`found '${first.text}', expected: ')'`);
    return values;
  }

  /** `a,b`; an empty place between commas is the empty value. */
  #valueList(): string[] {
    const values: string[] = [];
    for (;;) {
      const token = this.#next();
      const after = this.#peek();
      if (token.kind === "identifier") {
        values.push(token.text);
        if (after.kind === ")") return values;
        if (after.kind !== ",") throw new SelectorError(`found '${after.text}', expected: ',' or ')'`);
      } else if (token.kind === ",") {
        if (values.length === 0) values.push("");
        if (after.kind === ")") return [...values, ""];
        if (after.kind === ",") values.push("");
      } else {
        throw new SelectorError(`found '${token.text}', expected: ',', or identifier`);
      }
    }
  }

  #exactValue(): string {
    const { kind } = this.#peek();
    if (kind === "end" || kind === ",") return "";
    const token = this.#next();
    if (token.kind !== "identifier") throw new SelectorError(`found '${token.text}', expected: identifier`);
    return token.text;
  }
}
