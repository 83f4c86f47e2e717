/** What is wrong with literals although their types are right (cel-go's cel/validator.go). */

import { convert } from "./operations.ts";
import type { RegexCompiler } from "./regex.ts";
import { type Call, type Expr, walk } from "./syntax/ast.ts";
import type { Issues } from "./syntax/issues.ts";
import { type CelType, dynType, parameterOf, sameType } from "./types.ts";
import { CelError } from "./values.ts";

/** Checks of calls that libraries add, by function. */
export type CallValidators = Readonly<
  Record<string, (call: Call, report: (at: number, message: string) => void) => void>
>;

/** Literals in these calls may be of several types. */
const mixedLiterals = new Set(["format"]);

export function validate(
  e: Expr,
  issues: Issues,
  { regex, calls }: { regex: RegexCompiler; calls: CallValidators },
): void {
  walk(e, (node, parents) => {
    if (node.kind === "call") {
      validateArgument(node, issues, regex);
      const own = Object.hasOwn(calls, node.function) ? calls[node.function] : undefined;
      own?.(node, (at, message) => issues.report(at, message));
    } else if (node.kind === "list" || node.kind === "map") {
      const isExempt = parents.some((parent) => parent.kind === "call" && mixedLiterals.has(parent.function));
      if (!isExempt) validateTypes(node, issues);
    }
  });
}

function validateArgument(call: Call, issues: Issues, regex: RegexCompiler): void {
  const name = call.function;
  const literal = call.args[0];
  if (literal?.kind !== "literal") return;
  let outcome: unknown;
  if (name === "duration" || name === "timestamp") outcome = convert(literal.value, name);
  else if (name === "matches" && typeof literal.value === "string") outcome = regex(literal.value);
  if (outcome instanceof CelError) issues.report(literal.at, `invalid ${name} argument`);
}

const typeAt = (e: Expr, optional: boolean): CelType => {
  const type = e.type ?? dynType;
  return optional ? parameterOf(type) : type;
};

function validateTypes(e: Expr & { kind: "list" | "map" }, issues: Issues): void {
  const mismatch = (at: number, expected: CelType, found: CelType): void =>
    issues.report(at, `expected type '${expected}' but found '${found}'`);
  if (e.kind === "list") {
    const types = e.elements.map((element, i) => typeAt(element, e.optionals.includes(i)));
    const wrong = types.findIndex((type) => !sameType(types[0] ?? type, type, true));
    const [first, found, element] = [types[0], types[wrong], e.elements[wrong]];
    if (first && found && element) mismatch(element.at, first, found);
    return;
  }
  const [head, ...rest] = e.entries;
  if (!head) return;
  const [keyType, valueType] = [typeAt(head.key, false), typeAt(head.value, head.optional)];
  for (const { key, value, optional } of rest) {
    if (!sameType(keyType, typeAt(key, false), true)) mismatch(key.at, keyType, typeAt(key, false));
    const type = typeAt(value, optional);
    if (!sameType(valueType, type, true)) mismatch(value.at, valueType, type);
  }
}
