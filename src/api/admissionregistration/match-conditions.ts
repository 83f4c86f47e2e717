/** Expressions that a request must meet before a webhook or a policy is asked. Compiling them is not done here. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import type { MatchCondition } from "../types.d.ts";

const conditionsMax = 64;

export function validateMatchConditions(conditions: readonly MatchCondition[] | undefined, at: Place): void {
  if (!conditions) return;
  if (conditions.length > conditionsMax) at.tooMany(conditions.length, conditionsMax);
  const names = new Set<string>();
  conditions.forEach(({ name = "", expression = "" }, i) => {
    const place = at.index(i);
    if (expression.trim() === "") place.child("expression").required();
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
