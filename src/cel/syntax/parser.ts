/**
 * Text to tree: recursive descent over the grammar of CEL (cel-spec's langdef, cel-go's CEL.g4), macros expanded on the
 * way. It stops at the first syntax error; `explainSyntax` then says what cel-go's parser would say, recovery included.
 * Depth is bounded as in cel-go, by the number of grammar rules of one kind inside each other.
 */

import type { CelValue } from "../values.ts";
import { Uint } from "../values.ts";
import type { Call, Expr, Ident, ListExpr, MapEntry, StructField } from "./ast.ts";
import { explainSyntax } from "./explain.ts";
import type { Issues } from "./issues.ts";
import { type Token, type TokenKind, tokenize } from "./lexer.ts";
import { expandMacro, type MacroSet } from "./macros.ts";
import { unescapeBytes, unescapeString } from "./unescape.ts";

/** Rules of one kind inside each other: protects the stack. */
export const recursionMax = 250;
/** Code points of one expression: protects the parser. */
export const expressionSizeMax = 100_000;

const reserved = new Set(
  "as break const continue else false for function if import in let loop package namespace null return true var void while".split(
    " ",
  ),
);

const relations = new Set<TokenKind>(["<", "<=", ">=", ">", "==", "!=", "in"]);
const operators: Partial<Record<TokenKind, string>> = {
  "<": "_<_",
  "<=": "_<=_",
  ">=": "_>=_",
  ">": "_>_",
  "==": "_==_",
  "!=": "_!=_",
  in: "@in",
  "*": "_*_",
  "/": "_/_",
  "%": "_%_",
  "+": "_+_",
  "-": "_-_",
};

/** Calls that count as a level when they are inside each other. */
const counted: ReadonlySet<string> = new Set([...Object.values(operators), "_?_:_", "_[_]", "_[?_]"]);

const maxInt = 2n ** 63n - 1n;
const maxUint = 2n ** 64n - 1n;

/** The tokens are none that the grammar allows here. */
class SyntaxFailure extends Error {}
class TooDeep extends Error {}

export interface ParseOptions {
  readonly macros: MacroSet;
  /** `a.?b`, `[?x]` */
  readonly optionalSyntax: boolean;
}

/** Reports to `issues`; without issues the tree is whole. */
export function parse(issues: Issues, options: ParseOptions): Expr {
  const { source } = issues;
  const nothing: Expr = { kind: "unspecified", at: -1 };
  const size = source.length > expressionSizeMax ? [...source].length : 0;
  if (size > expressionSizeMax) {
    issues.report(-1, `expression code point size exceeds limit: size: ${size}, limit ${expressionSizeMax}`);
    return nothing;
  }
  const tokens = tokenize(source, (at, message) => issues.report(at, message));
  const parser = new Parser(tokens, issues, options);
  try {
    return parser.start();
  } catch (error) {
    if (error instanceof TooDeep) issues.report(-1, error.message);
    else if (error instanceof SyntaxFailure) {
      explainSyntax(tokens, parser.position, issues);
      parser.complain();
    } else throw error;
    return nothing;
  }
}

type Rule = "expr" | "relation" | "calc";

class Parser {
  readonly #tokens: readonly Token[];
  readonly #issues: Issues;
  readonly #options: ParseOptions;
  readonly #depth: Record<Rule, number> = { expr: 0, relation: 0, calc: 0 };
  /** Complaints that only count when the syntax is right: the tree is visited after parsing in cel-go. */
  readonly #complaints: (() => void)[] = [];
  /** How many operators and selections are inside each other, below a node and with it. */
  readonly #heights = new Map<Expr, number>();
  #position = 0;

  constructor(tokens: readonly Token[], issues: Issues, options: ParseOptions) {
    this.#tokens = tokens;
    this.#issues = issues;
    this.#options = options;
  }

  start(): Expr {
    const e = this.#expr();
    this.#expect("<EOF>");
    this.complain();
    if ((this.#heights.get(e) ?? 0) > recursionMax) throw new TooDeep("max recursion depth exceeded");
    return e;
  }

  /** Index of the token that comes next. */
  get position(): number {
    return this.#position;
  }

  complain(): void {
    for (const complain of this.#complaints) complain();
  }

  get #token(): Token {
    // The end token is never passed.
    return this.#tokens[this.#position] as Token;
  }

  #peek(offset: number): TokenKind {
    return this.#tokens[this.#position + offset]?.kind ?? "<EOF>";
  }

  #accept(kind: TokenKind): Token | undefined {
    const token = this.#token;
    if (token.kind !== kind) return undefined;
    this.#position++;
    return token;
  }

  #expect(kind: TokenKind): Token {
    const token = this.#accept(kind);
    if (!token) throw new SyntaxFailure();
    return token;
  }

  #enter(rule: Rule): void {
    if (++this.#depth[rule] > recursionMax) throw new TooDeep(`expression recursion limit exceeded: ${recursionMax}`);
  }

  #fail(at: number, message: string): Expr {
    this.#complaints.push(() => this.#issues.report(at, message));
    return { kind: "unspecified", at };
  }

  #call(at: number, name: string, args: readonly Expr[], target?: Expr): Expr {
    const call: Call = { kind: "call", at, function: name, target, args };
    const e = expandMacro(call, this.#options.macros, (place, message) => this.#fail(place, message)) ?? call;
    return this.#measured(e, target ? [target, ...args] : args, target !== undefined || counted.has(name));
  }

  /** Notes the height of a node made of parts. */
  #measured<E extends Expr>(e: E, parts: readonly Expr[], counts = false): E {
    let height = counts ? 1 : 0;
    for (const part of parts) height = Math.max(height, (this.#heights.get(part) ?? 0) + (counts ? 1 : 0));
    if (height > 0) this.#heights.set(e, height);
    return e;
  }

  #expr(): Expr {
    this.#enter("expr");
    let e = this.#logical("||");
    const op = this.#accept("?");
    if (op) {
      const whenTrue = this.#logical("||");
      this.#expect(":");
      e = this.#call(op.at, "_?_:_", [e, whenTrue, this.#expr()]);
    }
    this.#depth.expr--;
    return e;
  }

  /** Terms joined by || or &&, as a balanced tree. */
  #logical(operator: "||" | "&&"): Expr {
    const operand = operator === "||" ? () => this.#logical("&&") : () => this.#relation();
    const terms = [operand()];
    const places: number[] = [];
    for (let op = this.#accept(operator); op; op = this.#accept(operator)) {
      terms.push(operand());
      places.push(op.at);
    }
    const name = operator === "||" ? "_||_" : "_&&_";
    const tree = (low: number, high: number): Expr => {
      const middle = Math.floor((low + high + 1) / 2);
      const left = middle === low ? terms[middle] : tree(low, middle - 1);
      const right = middle === high ? terms[middle + 1] : tree(middle + 1, high);
      return this.#call(places[middle] ?? -1, name, [left as Expr, right as Expr]);
    };
    return places.length === 0 ? (terms[0] as Expr) : tree(0, places.length - 1);
  }

  #relation(): Expr {
    this.#enter("relation");
    let e = this.#sum();
    while (relations.has(this.#token.kind)) {
      const op = this.#token;
      this.#position++;
      // The right operand is a relation rule of its own.
      this.#enter("relation");
      const right = this.#sum();
      this.#depth.relation--;
      e = this.#call(op.at, operators[op.kind] ?? "", [e, right]);
    }
    this.#depth.relation--;
    return e;
  }

  #sum(): Expr {
    return this.#calc(1);
  }

  /** Level 1: sums and products, 2: products, 3: one operand. */
  #calc(level: 1 | 2 | 3): Expr {
    this.#enter("calc");
    let e = this.#unary();
    for (;;) {
      const op = this.#token;
      const isProduct = op.kind === "*" || op.kind === "/" || op.kind === "%";
      if (!(isProduct ? level <= 2 : level <= 1 && (op.kind === "+" || op.kind === "-"))) break;
      this.#position++;
      e = this.#call(op.at, operators[op.kind] ?? "", [e, this.#calc(isProduct ? 3 : 2)]);
    }
    this.#depth.calc--;
    return e;
  }

  #unary(): Expr {
    const op = this.#token;
    if (op.kind !== "!" && op.kind !== "-") return this.#member();
    let count = 0;
    // The last minus before a number is its sign, unless there are several.
    while (this.#token.kind === op.kind && !(count === 0 && this.#isSignedNumber())) {
      this.#position++;
      count++;
    }
    const operand = this.#member();
    if (count % 2 === 0) return operand;
    return this.#call(op.at, op.kind === "!" ? "!_" : "-_", [operand]);
  }

  #isSignedNumber(): boolean {
    return this.#token.kind === "-" && (this.#peek(1) === "NUM_INT" || this.#peek(1) === "NUM_FLOAT");
  }

  #member(): Expr {
    let e = this.#primary();
    for (;;) {
      const op = this.#token;
      if (op.kind !== "." && op.kind !== "[") break;
      this.#position++;
      e = op.kind === "." ? this.#selection(op, e) : this.#index(op, e);
    }
    return e;
  }

  #selection(op: Token, operand: Expr): Expr {
    const optional = this.#accept("?") !== undefined;
    const { name, at } = this.#fieldName();
    if (!optional && this.#token.kind === "(" && this.#tokens[this.#position - 1]?.kind === "IDENTIFIER") {
      const open = this.#expect("(");
      return this.#call(open.at, name, this.#arguments(), operand);
    }
    if (!optional) {
      return this.#measured({ kind: "select", at: op.at, operand, field: name, testOnly: false }, [operand], true);
    }
    if (!this.#options.optionalSyntax) return this.#fail(op.at, "unsupported syntax '.?'");
    const field: Expr = { kind: "literal", at, value: name };
    const args = [operand, field];
    return this.#measured({ kind: "call", at: op.at, function: "_?._", target: undefined, args }, args, true);
  }

  #fieldName(): { name: string; at: number } {
    const escaped = this.#accept("ESC_IDENTIFIER");
    if (escaped) {
      this.#fail(escaped.at, "unsupported syntax: '`'");
      return { name: escaped.text.slice(1, -1), at: escaped.at };
    }
    const token = this.#expect("IDENTIFIER");
    return { name: token.text, at: token.at };
  }

  #index(op: Token, operand: Expr): Expr {
    const optional = this.#accept("?") !== undefined;
    const index = this.#expr();
    this.#expect("]");
    if (optional && !this.#options.optionalSyntax) return this.#fail(op.at, "unsupported syntax '[?'");
    return this.#call(op.at, optional ? "_[?_]" : "_[_]", [operand, index]);
  }

  /** After the opening parenthesis. */
  #arguments(): Expr[] {
    const args: Expr[] = [];
    if (this.#accept(")")) return args;
    do args.push(this.#expr());
    while (this.#accept(","));
    this.#expect(")");
    return args;
  }

  #primary(): Expr {
    const token = this.#token;
    switch (token.kind) {
      case "(": {
        this.#position++;
        const e = this.#expr();
        this.#expect(")");
        return e;
      }
      case "[":
        return this.#list();
      case "{":
        return this.#map();
      case ".":
      case "IDENTIFIER":
        return this.#named();
      default:
        return this.#literal();
    }
  }

  #named(): Expr {
    const start = this.#token;
    const leading = this.#accept(".") ? "." : "";
    if (this.#isMessage()) return this.#message(leading);
    const id = this.#expect("IDENTIFIER");
    const open = this.#accept("(");
    const args = open ? this.#arguments() : [];
    if (reserved.has(id.text)) return this.#fail(start.at, `reserved identifier: ${id.text}`);
    const name = leading + id.text;
    return open ? this.#call(open.at, name, args) : ({ kind: "ident", at: id.at, name } satisfies Ident);
  }

  /** Whether `a.b.c{` follows. */
  #isMessage(): boolean {
    let offset = 0;
    while (this.#peek(offset) === "IDENTIFIER" && this.#peek(offset + 1) === ".") offset += 2;
    return this.#peek(offset) === "IDENTIFIER" && this.#peek(offset + 1) === "{";
  }

  #message(leading: string): Expr {
    let typeName = leading + this.#expect("IDENTIFIER").text;
    while (this.#accept(".")) typeName += `.${this.#expect("IDENTIFIER").text}`;
    const open = this.#expect("{");
    const fields: StructField[] = [];
    this.#entries("}", () => {
      const optional = this.#question();
      const { name } = this.#fieldName();
      const colon = this.#expect(":");
      fields.push({ at: colon.at, name, value: this.#expr(), optional });
    });
    const values = fields.map((field) => field.value);
    return this.#measured({ kind: "struct", at: open.at, typeName, fields }, values);
  }

  #list(): ListExpr {
    const open = this.#expect("[");
    const elements: Expr[] = [];
    const optionals: number[] = [];
    this.#entries("]", () => {
      if (this.#question()) optionals.push(elements.length);
      elements.push(this.#expr());
    });
    return this.#measured({ kind: "list", at: open.at, elements, optionals }, elements);
  }

  #map(): Expr {
    const open = this.#expect("{");
    const entries: MapEntry[] = [];
    this.#entries("}", () => {
      const optional = this.#question();
      const key = this.#expr();
      const colon = this.#expect(":");
      entries.push({ at: colon.at, key, value: this.#expr(), optional });
    });
    const parts = entries.flatMap(({ key, value }) => [key, value]);
    return this.#measured({ kind: "map", at: open.at, entries }, parts);
  }

  #question(): boolean {
    const token = this.#accept("?");
    if (token && !this.#options.optionalSyntax) this.#fail(token.at, "unsupported syntax '?'");
    return token !== undefined;
  }

  /** Comma separated, with an optional comma at the end; a comma alone is allowed, too. */
  #entries(close: TokenKind, entry: () => void): void {
    if (this.#token.kind !== "," || this.#peek(1) !== close) {
      while (this.#token.kind !== close) {
        entry();
        if (this.#token.kind !== ",") break;
        if (this.#peek(1) === close) break;
        this.#position++;
      }
    }
    this.#accept(",");
    this.#expect(close);
  }

  #literal(): Expr {
    const start = this.#token;
    const sign = this.#isSignedNumber() && this.#accept("-") ? "-" : "";
    const token = this.#token;
    const { text } = token;
    const literal = (value: CelValue): Expr => ({ kind: "literal", at: start.at, value });
    this.#position++;
    switch (token.kind) {
      case "true":
      case "false":
        return literal(token.kind === "true");
      case "null":
        return literal(null);
      case "NUM_INT": {
        const value = sign ? -BigInt(text) : BigInt(text);
        return value > maxInt || value < -maxInt - 1n ? this.#fail(start.at, "invalid int literal") : literal(value);
      }
      case "NUM_UINT": {
        const value = BigInt(text.slice(0, -1));
        return value > maxUint ? this.#fail(start.at, "invalid uint literal") : literal(new Uint(value));
      }
      case "NUM_FLOAT": {
        const value = Number(sign + text);
        return Number.isFinite(value) ? literal(value) : this.#fail(start.at, "invalid double literal");
      }
      case "STRING":
      case "BYTES":
        try {
          return literal(token.kind === "STRING" ? unescapeString(text) : unescapeBytes(text.slice(1)));
        } catch (error) {
          return this.#fail(start.at, (error as Error).message);
        }
      default:
        this.#position--;
        throw new SyntaxFailure();
    }
  }
}
