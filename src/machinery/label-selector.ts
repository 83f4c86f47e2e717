/**
 * Label selectors: the query text `a=b,c in (d,e),!f`, the object `{matchLabels, matchExpressions}`, and the matcher that
 * both become. A matcher is compiled once into closures, because watches and controllers ask it for every object.
 * Grammar and messages follow apimachinery's labels package.
 */
import { type FieldError, FieldPath, fieldError, printFieldErrors } from "./field.ts";
import { goQuote } from "./go-text.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";

export type Labels = Readonly<Record<string, string>>;

/** Written as upstream writes them in messages. */
export type LabelOperator = "in" | "notin" | "=" | "==" | "!=" | "gt" | "lt" | "exists" | "!";

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

/** `metav1.LabelSelector` as sent. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelSelectorRequirement[];
}

export interface LabelSelectorRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

export interface LabelMatcher {
  /** Sorted by key; all must hold. */
  readonly requirements: readonly LabelRequirement[];
  /** Selects every object. */
  readonly everything: boolean;
  readonly nothing: boolean;
  matches(labels: Labels | undefined): boolean;
  /** The one value the selector asks of this label, if it asks for exactly one. */
  exactValue(key: string): string | undefined;
  /** The query text, `a=b,c in (d,e)`. */
  toString(): string;
}

/** A selector that cannot be read; the message is what clients see. */
export class SelectorError extends Error {
  override name = "SelectorError";
}

const binaryOperators: readonly LabelOperator[] = ["in", "notin", "=", "==", "!=", "gt", "lt"];
const allOperators: readonly LabelOperator[] = [...binaryOperators, "exists", "!"];

const noLabels: Labels = Object.freeze({});

// Inherited members of a plain object are never strings, so one typeof both finds the label and refuses `constructor`.
function compileRequirement({ key, operator, values }: LabelRequirement): (labels: Labels) => boolean {
  const single = values.length === 1 ? values[0] : undefined;
  const has = (value: string) => values.includes(value);
  switch (operator) {
    case "in":
    case "=":
    case "==":
      if (single !== undefined) return (labels) => labels[key] === single;
      return (labels) => typeof labels[key] === "string" && has(labels[key]);
    case "notin":
    case "!=":
      if (single !== undefined) return (labels) => labels[key] !== single;
      return (labels) => typeof labels[key] !== "string" || !has(labels[key]);
    case "exists":
      return (labels) => typeof labels[key] === "string";
    case "!":
      return (labels) => typeof labels[key] !== "string";
    case "gt":
    case "lt": {
      const bound = parseInt64(values[0] ?? "");
      return (labels) => {
        const value = typeof labels[key] === "string" ? parseInt64(labels[key]) : undefined;
        if (value === undefined || bound === undefined) return false;
        return operator === "gt" ? value > bound : value < bound;
      };
    }
  }
}

function parseInt64(text: string): bigint | undefined {
  if (!/^[+-]?[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

function printRequirement({ key, operator, values }: LabelRequirement): string {
  const list = values.length > 1 ? [...values].sort().join(",") : (values[0] ?? "");
  switch (operator) {
    case "exists":
      return key;
    case "!":
      return `!${key}`;
    case "in":
    case "notin":
      return `${key} ${operator} (${list})`;
    case "gt":
      return `${key}>${list}`;
    case "lt":
      return `${key}<${list}`;
    default:
      return `${key}${operator}${list}`;
  }
}

function compile(unsorted: readonly LabelRequirement[]): LabelMatcher {
  const requirements = [...unsorted].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const tests = requirements.map(compileRequirement);
  const only = tests.length === 1 ? tests[0] : undefined;
  return {
    requirements,
    everything: requirements.length === 0,
    nothing: false,
    matches: only
      ? (labels = noLabels) => only(labels)
      : (labels = noLabels) => {
          for (const test of tests) if (!test(labels)) return false;
          return true;
        },
    exactValue(key) {
      const first = requirements.find((requirement) => requirement.key === key);
      const exact = first && ["=", "==", "in"].includes(first.operator) && first.values.length === 1;
      return exact ? first.values[0] : undefined;
    },
    toString: () => requirements.map(printRequirement).join(","),
  };
}

export const everythingSelector: LabelMatcher = compile([]);

export const nothingSelector: LabelMatcher = {
  requirements: [],
  everything: false,
  nothing: true,
  matches: () => false,
  exactValue: () => undefined,
  toString: () => "",
};

/** A requirement, or a SelectorError that says what is wrong with it. */
export function labelRequirement(key: string, operator: LabelOperator, values: readonly string[]): LabelRequirement {
  const errors: FieldError[] = [];
  const keyError = wrongKey(key, FieldPath.root("key"));
  if (keyError) errors.push(keyError);
  const path = FieldPath.root("values");
  const wrong = (detail: string) => errors.push(fieldError.invalid(path, values, detail));
  switch (operator) {
    case "in":
    case "notin":
      if (values.length === 0) wrong("for 'in', 'notin' operators, values set can't be empty");
      break;
    case "=":
    case "==":
    case "!=":
      if (values.length !== 1) wrong("exact-match compatibility requires one single value");
      break;
    case "exists":
    case "!":
      if (values.length !== 0) wrong("values set must be empty for exists and does not exist");
      break;
    case "gt":
    case "lt":
      if (values.length !== 1) wrong("for 'Gt', 'Lt' operators, exactly one value is required");
      values.forEach((value, position) => {
        if (parseInt64(value) !== undefined) return;
        const detail = "for 'Gt', 'Lt' operators, the value must be an integer";
        errors.push(fieldError.invalid(path.index(position), value, detail));
      });
      break;
    default:
      errors.push(fieldError.notSupported(FieldPath.root("operator"), operator, allOperators));
  }
  values.forEach((value, position) => {
    const messages = isLabelValue(value);
    if (messages.length === 0) return;
    errors.push(fieldError.invalid(path.index(position).key(key), value, messages.join("; ")));
  });
  if (errors.length > 0) throw new SelectorError(printFieldErrors(errors));
  return { key, operator, values };
}

function wrongKey(key: string, path: FieldPath): FieldError | undefined {
  const messages = isQualifiedName(key);
  return messages.length === 0 ? undefined : fieldError.invalid(path, key, messages.join("; "));
}

/** All of these labels; for what has been validated before, like the selector of a Service. */
export function selectorFromLabels(labels: Labels | undefined): LabelMatcher {
  if (labels === undefined) return everythingSelector;
  return compile(Object.entries(labels).map(([key, value]) => ({ key, operator: "=", values: [value] })));
}

const objectOperators: Readonly<Record<string, LabelOperator>> = {
  In: "in",
  NotIn: "notin",
  Exists: "exists",
  DoesNotExist: "!",
};

/** The matcher of a LabelSelector object: absent selects nothing, empty everything. Throws SelectorError. */
export function compileLabelSelector(selector: LabelSelector | null | undefined): LabelMatcher {
  if (!selector) return nothingSelector;
  const requirements = Object.entries(selector.matchLabels ?? {}).map(([key, value]) =>
    labelRequirement(key, "=", [value]),
  );
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const known = Object.hasOwn(objectOperators, operator) ? objectOperators[operator] : undefined;
    if (!known) throw new SelectorError(`${goQuote(operator)} is not a valid label selector operator`);
    requirements.push(labelRequirement(key, known, values ?? []));
  }
  return requirements.length === 0 ? everythingSelector : compile(requirements);
}

/** The text of a LabelSelector object for people: `<none>` when empty, `<error>` when invalid. */
export function printLabelSelector(selector: LabelSelector | null | undefined): string {
  try {
    return compileLabelSelector(selector).toString() || "<none>";
  } catch (error) {
    if (error instanceof SelectorError) return "<error>";
    throw error;
  }
}

/** Reads the query text of `?labelSelector=`. Throws SelectorError. */
export function parseLabelSelector(text: string): LabelMatcher {
  const requirements = new Parser(text).parse();
  return requirements.length === 0 ? everythingSelector : compile(requirements);
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

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /[ \t\r\n]*(?:([=!(),><]+)|([^=!(),>< \t\r\n]+))/gy;
  const trimmed = text.replace(/\0.*$/s, "").replace(/[ \t\r\n]+$/, "");
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (!match) break;
    const [, special, word] = match;
    if (word !== undefined) {
      tokens.push({ kind: word === "in" || word === "notin" ? word : "identifier", text: word });
      continue;
    }
    const token = firstSymbol(special ?? "");
    tokens.push(token);
    // The longest known symbol was taken; the rest of the run is read again.
    if (token.kind !== "error") pattern.lastIndex -= (special ?? "").length - token.text.length;
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

function firstSymbol(run: string): Token {
  for (const length of [2, 1]) {
    const text = run.slice(0, length);
    const kind = text.length === length ? symbols[text] : undefined;
    if (kind) return { kind, text };
  }
  return { kind: "error", text: `error expected: keyword found '${run}'` };
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
    const error = wrongKey(key, FieldPath.none);
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
    const operator = binaryOperators.find((each) => each === token.kind);
    if (!operator) throw new SelectorError(`found '${token.text}', expected: ${binaryOperators.join(", ")}`);
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
