/** Expressions that a request must meet before a webhook or a policy is asked. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import type { MatchCondition } from "../types.d.ts";
import { checkExpression, ExpressionCompiler } from "./expressions.ts";

const conditionsMax = 64;

export interface MatchConditionOptions {
  /** They may speak of `params`. */
  readonly params: boolean;
  /** Expressions that the stored object has. */
  readonly stored: ReadonlySet<string>;
}

export function validateMatchConditions(
  conditions: readonly MatchCondition[] | undefined,
  at: Place,
  { params, stored }: MatchConditionOptions,
): void {
  if (!conditions) return;
  const compiler = new ExpressionCompiler({ composed: false, stored });
  if (conditions.length > conditionsMax) at.tooMany(conditions.length, conditionsMax);
  const names = new Set<string>();
  conditions.forEach(({ name = "", expression = "" }, i) => {
    const place = at.index(i);
    const source = expression.trim();
    const expressionAt = place.child("expression");
    if (source === "") expressionAt.required();
    else checkExpression(expressionAt, compiler.compile(source, { params, authorizer: true, returns: "bool" }));
    const nameAt = place.child("name");
    if (name === "") {
      nameAt.required();
      return;
    }
    nameAt.invalidEach(name, isQualifiedName(name));
    if (names.has(name)) nameAt.duplicate(name);
    names.add(name);
  });
}
