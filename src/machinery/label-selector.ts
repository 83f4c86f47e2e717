/**
 * Label selectors: requirements, the object `{matchLabels, matchExpressions}`, and the matcher that they become. A matcher
 * is compiled once into closures, because watches and controllers ask it for every object. The query text is read by
 * label-selector-text.ts. Messages follow apimachinery's labels package.
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

export const binaryLabelOperators: readonly LabelOperator[] = ["in", "notin", "=", "==", "!=", "gt", "lt"];
const allOperators: readonly LabelOperator[] = [...binaryLabelOperators, "exists", "!"];

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

/** The matcher of requirements that hold together. */
export function labelMatcher(unsorted: readonly LabelRequirement[]): LabelMatcher {
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

export const everythingSelector: LabelMatcher = labelMatcher([]);

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
  const keyError = wrongLabelKey(key, FieldPath.root("key"));
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

export function wrongLabelKey(key: string, path: FieldPath): FieldError | undefined {
  const messages = isQualifiedName(key);
  return messages.length === 0 ? undefined : fieldError.invalid(path, key, messages.join("; "));
}

/** All of these labels; for what has been validated before, like the selector of a Service. */
export function selectorFromLabels(labels: Labels | undefined): LabelMatcher {
  if (labels === undefined) return everythingSelector;
  return labelMatcher(Object.entries(labels).map(([key, value]) => ({ key, operator: "=", values: [value] })));
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
  return requirements.length === 0 ? everythingSelector : labelMatcher(requirements);
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

/** As Go prints a pointer to it, in messages. */
export function goLabelSelector(selector: LabelSelector | undefined): string {
  if (!selector) return "nil";
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const labels = Object.keys(matchLabels).sort();
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  const map = `map[string]string{${labels.map((key) => `${key}: ${matchLabels[key]},`).join("")}}`;
  return `&LabelSelector{MatchLabels:${map},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}
