/** When an indexed job is done before all its indexes are. */
import { longerThan } from "#machinery";
import { validateCount } from "../../counts.ts";
import type { Place } from "../../place.ts";
import type { SuccessPolicy, SuccessPolicyRule } from "../../types.d.ts";
import { countIndexes } from "./indexes.ts";

const rulesMax = 20;
const indexesBytesMax = 64 * 1024;

export function validateSuccessPolicy(policy: SuccessPolicy, at: Place, completions: number): void {
  const rules = policy.rules ?? []; // printed as null
  const place = at.child("rules");
  if (rules.length === 0) {
    place.required("at least one rules must be specified when the successPolicy is specified");
  }
  if (rules.length > rulesMax) place.tooMany(rules.length, rulesMax);
  rules.forEach((rule, i) => {
    validateRule(rule, place.index(i), completions);
  });
}

function validateRule(
  { succeededCount: count, succeededIndexes: indexes }: SuccessPolicyRule,
  at: Place,
  completions: number,
): void {
  if (count === undefined && indexes === undefined) {
    at.required("at least one of succeededCount or succeededIndexes must be specified");
  }
  let total = 0;
  if (indexes !== undefined) {
    const place = at.child("succeededIndexes");
    if (longerThan(indexes, indexesBytesMax)) place.tooLong(indexesBytesMax);
    const counted = countIndexes(indexes, completions);
    total = counted.total;
    if (counted.problem !== "") place.invalid(indexes, `error parsing succeededIndexes: ${counted.problem}`);
  }
  if (count === undefined) return;
  const place = at.child("succeededCount");
  validateCount(count, place);
  const atMost = "must be less than or equal to";
  if (count > completions) place.invalid(count, `${atMost} ${completions} (the number of specified completions)`);
  if (indexes !== undefined && count > total) {
    const why = `${atMost} ${total} (the number of indexes in the specified succeededIndexes field)`;
    place.invalid(count, why);
  }
}
