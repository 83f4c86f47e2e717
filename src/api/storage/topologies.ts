/** Where volumes of a class may be made: terms of label values, any of which will do. */
import { isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import type { TopologySelectorTerm } from "../types.d.ts";

type Values = ReadonlyMap<string, ReadonlySet<string>>;

export function validateTopologies(terms: readonly TopologySelectorTerm[], at: Place): void {
  // Upstream's list begins with one empty term for each of the terms, so an empty term counts as a repeated one.
  const seen: Values[] = terms.map(() => new Map());
  terms.forEach((term, i) => {
    const place = at.index(i).child("matchLabelExpressions");
    const values = validateTerm(term, place);
    for (const other of seen) if (isSame(values, other)) place.duplicate("");
    seen.push(values);
  });
}

function validateTerm({ matchLabelExpressions = [] }: TopologySelectorTerm, at: Place): Values {
  const byKey = new Map<string, ReadonlySet<string>>();
  matchLabelExpressions.forEach((expression, i) => {
    const place = at.index(i);
    const key = expression.key ?? "";
    const values = expression.values ?? [];
    if (values.length === 0) place.child("values").required();
    values.forEach((value, position) => {
      if (values.indexOf(value) < position) place.child("values").index(position).duplicate(value);
    });
    place.child("key").invalidEach(key, isQualifiedName(key));
    if (byKey.has(key)) place.child("key").duplicate(key);
    byKey.set(key, new Set(values));
  });
  return byKey;
}

function isSame(a: Values, b: Values): boolean {
  if (a.size !== b.size) return false;
  for (const [key, values] of a) {
    const others = b.get(key);
    if (others === undefined || values.symmetricDifference(others).size > 0) return false;
  }
  return true;
}
