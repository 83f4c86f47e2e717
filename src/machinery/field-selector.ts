/**
 * Field selectors: `metadata.name=a,spec.nodeName!=b`, values escaped with backslashes. Which fields a kind knows is the
 * kind's matter (`transform`). Grammar and messages follow apimachinery's fields package.
 */
import { SelectorError } from "./label-selector.ts";

export interface FieldRequirement {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

export interface FieldMatcher {
  readonly requirements: readonly FieldRequirement[];
  readonly everything: boolean;
  /** `read` answers the value of a field as text, "" when there is none. */
  matches(read: (field: string) => string): boolean;
  /** The one value the selector asks of this field. */
  exactValue(field: string): string | undefined;
  toString(): string;
}

/** Renames a field or refuses it (throws SelectorError); undefined drops the requirement. */
export type FieldTransform = (field: string, value: string) => { field: string; value: string } | undefined;

const operators = ["!=", "==", "="] as const;

function compile(requirements: readonly FieldRequirement[]): FieldMatcher {
  return {
    requirements,
    everything: requirements.length === 0,
    matches(read) {
      for (const { field, operator, value } of requirements) {
        if ((read(field) === value) !== (operator === "=")) return false;
      }
      return true;
    },
    exactValue: (name) => requirements.find(({ field, operator }) => field === name && operator === "=")?.value,
    toString: () =>
      requirements.map(({ field, operator, value }) => `${field}${operator}${escapeFieldValue(value)}`).join(","),
  };
}

export const everyFieldSelector: FieldMatcher = compile([]);

/** Reads the text of `?fieldSelector=`. Throws SelectorError, or what `transform` throws. */
export function parseFieldSelector(text: string, transform?: FieldTransform): FieldMatcher {
  if (text === "") return everyFieldSelector;
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text).sort()) {
    if (term === "") continue;
    const requirement = parseTerm(term);
    if (!requirement) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const { field, operator, value } = requirement;
    // Asks for nothing.
    if (field === "" && value === "") continue;
    const changed = transform ? transform(field, value) : { field, value };
    if (changed && (changed.field !== "" || changed.value !== "")) requirements.push({ ...changed, operator });
  }
  return requirements.length === 0 ? everyFieldSelector : compile(requirements);
}

export function fieldSelectorOf(requirements: readonly FieldRequirement[]): FieldMatcher {
  return requirements.length === 0 ? everyFieldSelector : compile(requirements);
}

function splitTerms(text: string): string[] {
  return text.match(/(?:\\[\s\S]|[^,\\]|\\$)+/g) ?? [];
}

function parseTerm(term: string): FieldRequirement | undefined {
  for (let at = 0; at < term.length; at++) {
    const operator = operators.find((each) => term.startsWith(each, at));
    if (!operator) continue;
    const value = unescapeFieldValue(term.slice(at + operator.length));
    return { field: term.slice(0, at), operator: operator === "!=" ? "!=" : "=", value };
  }
  return undefined;
}

export const escapeFieldValue = (value: string): string => value.replace(/[\\,=]/g, "\\$&");

function unescapeFieldValue(text: string): string {
  if (!/[\\,=]/.test(text)) return text;
  return text.replace(/\\([\s\S]?)|[,=]/gu, (found: string, escaped: string | undefined) => {
    if (escaped === undefined) {
      throw new SelectorError(`invalid field selector: unescaped character in value: ${found.codePointAt(0)}`);
    }
    if (escaped === "" || !"\\,=".includes(escaped)) {
      throw new SelectorError(`invalid field selector: invalid escape sequence: ${found}`);
    }
    return escaped;
  });
}
