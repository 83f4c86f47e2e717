/** What one RBAC rule allows: pure matching, as upstream's rule evaluation. */
import type { Attributes } from "../security.ts";

export interface PolicyRule {
  readonly verbs?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

const has = (list: readonly string[] | undefined, value: string) =>
  list !== undefined && (list.includes("*") || list.includes(value));

export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false;
  if (!attributes.resourceRequest) return pathMatches(rule.nonResourceURLs ?? [], attributes.path);
  return (
    has(rule.apiGroups, attributes.apiGroup) &&
    resourceMatches(rule.resources ?? [], attributes.resource, attributes.subresource) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(attributes.name))
  );
}

/** `pods`, `pods/log`, a star for all, or a star before the slash: that subresource of anything. */
function resourceMatches(resources: readonly string[], resource: string, subresource: string): boolean {
  const whole = subresource === "" ? resource : `${resource}/${subresource}`;
  return resources.some(
    (each) => each === "*" || each === whole || (subresource !== "" && each === `*/${subresource}`),
  );
}

/** A trailing star stands for anything. */
function pathMatches(patterns: readonly string[], path: string): boolean {
  return patterns.some(
    (pattern) =>
      pattern === "*" || pattern === path || (pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1))),
  );
}

/**
 * The part of `wanted` that `owned` doesn't cover, one simple rule for each missing verb, group, resource and name;
 * empty: no escalation.
 */
export function uncoveredRules(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((simple) => !owned.some((rule) => covers(rule, simple)));
}

function breakDown(rule: PolicyRule): PolicyRule[] {
  const simple: PolicyRule[] = [];
  for (const group of rule.apiGroups ?? [])
    for (const resource of rule.resources ?? [])
      for (const verb of rule.verbs ?? [])
        for (const name of rule.resourceNames?.length ? rule.resourceNames : [undefined])
          simple.push({
            apiGroups: [group],
            resources: [resource],
            verbs: [verb],
            ...(name === undefined ? {} : { resourceNames: [name] }),
          });
  for (const path of rule.nonResourceURLs ?? [])
    for (const verb of rule.verbs ?? []) simple.push({ nonResourceURLs: [path], verbs: [verb] });
  return simple;
}

function covers(owner: PolicyRule, simple: PolicyRule): boolean {
  const [verb = ""] = simple.verbs ?? [];
  if (!has(owner.verbs, verb)) return false;
  const [path] = simple.nonResourceURLs ?? [];
  if (path !== undefined) return pathMatches(owner.nonResourceURLs ?? [], path);
  const [group = ""] = simple.apiGroups ?? [];
  const [whole = ""] = simple.resources ?? [];
  const [resource = "", subresource = ""] = whole.split("/");
  const names = simple.resourceNames ?? [];
  return (
    has(owner.apiGroups, group) &&
    resourceMatches(owner.resources ?? [], resource, subresource) &&
    (!owner.resourceNames?.length || (names.length > 0 && names.every((name) => owner.resourceNames?.includes(name))))
  );
}
