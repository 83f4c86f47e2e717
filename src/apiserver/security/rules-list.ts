/** Joins rules that differ in verbs only, so that a list of what somebody may do stays readable; as upstream's CompactRules. */
import type { PolicyRule } from "./rules.ts";

export function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const joined: PolicyRule[] = [];
  const simple = new Map<string, { rule: PolicyRule; at: number }>();
  for (const rule of rules) {
    const key = simpleKey(rule);
    const before = key === undefined ? undefined : simple.get(key);
    if (key === undefined || !before) {
      if (key !== undefined) simple.set(key, { rule, at: joined.length });
      joined.push(rule);
      continue;
    }
    const verbs = [...(before.rule.verbs ?? [])];
    for (const verb of rule.verbs ?? []) if (!verbs.includes(verb)) verbs.push(verb);
    before.rule = { ...before.rule, verbs };
    joined[before.at] = before.rule;
  }
  return joined;
}

/** Only rules about one group, one resource and at most one name are joined. */
function simpleKey(rule: PolicyRule): string | undefined {
  if (rule.nonResourceURLs?.length || rule.apiGroups?.length !== 1 || rule.resources?.length !== 1) return undefined;
  if ((rule.resourceNames?.length ?? 0) > 1) return undefined;
  return JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames ?? []]);
}
