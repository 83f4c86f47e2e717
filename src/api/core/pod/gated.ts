/** Where a gated pod may run can only be narrowed down: more labels, more requirements. */
import { semanticEqual } from "../../equality.ts";
import type { Place } from "../../place.ts";
import type { NodeAffinity, NodeSelectorTerm } from "../../types.d.ts";

type Labels = Readonly<Record<string, string>>;

export function validateNodeSelectorChange(now: Labels = {}, before: Labels = {}, at: Place): void {
  for (const key in before) {
    if (now[key] === before[key]) continue;
    at.invalid(now, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    return;
  }
}

const required = "requiredDuringSchedulingIgnoredDuringExecution";

export function validateNodeAffinityChange(
  now: NodeAffinity | undefined,
  before: NodeAffinity | undefined,
  at: Place,
): void {
  const oldTerms = before?.[required]?.nodeSelectorTerms ?? [];
  if (oldTerms.length === 0) return;
  const terms = now?.[required]?.nodeSelectorTerms ?? [];
  const place = at.child(required).child("nodeSelectorTerms");
  if (terms.length !== oldTerms.length) {
    place.invalid(terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    return;
  }
  oldTerms.forEach((old, i) => {
    const term = terms[i] ?? {};
    if (hasOnlyAdditions(term, old)) return;
    place.index(i).invalid(term, "only additions are allowed (no mutations or deletions)");
  });
}

function hasOnlyAdditions(now: NodeSelectorTerm, before: NodeSelectorTerm): boolean {
  const lists = ["matchExpressions", "matchFields"] as const;
  const isEmpty = (term: NodeSelectorTerm) => lists.every((list) => !term[list]?.length);
  // An empty term matches nothing; more in it would match more.
  if (isEmpty(before) && !isEmpty(now)) return false;
  return lists.every((list) => {
    const old = before[list] ?? [];
    return semanticEqual((now[list] ?? []).slice(0, old.length), old);
  });
}
