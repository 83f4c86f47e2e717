/** What roles of a namespace and of the cluster have in common. Follows apis/rbac/validation. */
import { nameIsPathSegment } from "#machinery";
import type { Place } from "../place.ts";
import type { PolicyRule } from "../types.d.ts";

/** Names of roles and bindings may be nearly anything; a prefix is held to what holds for names. */
export const validateRbacName = (name: string): string[] => [...nameIsPathSegment(name, false)];

export function validateRules(rules: readonly PolicyRule[] | null | undefined, at: Place, namespaced: boolean): void {
  rules?.forEach((rule, i) => {
    validateRule(rule, at.index(i), namespaced);
  });
}

function validateRule(rule: PolicyRule, at: Place, namespaced: boolean): void {
  const { apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  // The list is required, so what was not sent is null here.
  if ((rule.verbs ?? []).length === 0) at.child("verbs").required("verbs must contain at least one value");
  if (nonResourceURLs.length > 0) {
    const place = at.child("nonResourceURLs");
    if (namespaced) place.invalid(nonResourceURLs, "namespaced rules cannot apply to non-resource URLs");
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      place.invalid(nonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (apiGroups.length === 0) at.child("apiGroups").required("resource rules must supply at least one api group");
  if (resources.length === 0) at.child("resources").required("resource rules must supply at least one resource");
}
