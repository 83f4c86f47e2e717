/** Whether a request is within the `matchConstraints` of a policy or the `matchResources` of a binding. Follows plugin/policy/matching. */
import type { MatchResources } from "#api";
import { compileLabelSelector, type DeepReadonly, type LabelMatcher } from "#machinery";
import type { Resource, ResourceTable } from "../../resource.ts";
import type { AdmissionRequest, Lookup } from "../chain.ts";
import { askedAs, nameOf, namespaceMatches } from "../requested.ts";
import { objectMatches, ruleMatches } from "../webhook/match.ts";

export interface Constraints {
  readonly match: DeepReadonly<MatchResources>;
  readonly namespaces: LabelMatcher;
  readonly objects: LabelMatcher;
}

type NamedRules = DeepReadonly<MatchResources>["resourceRules"];

export const compileConstraints = (match: DeepReadonly<MatchResources>): Constraints => ({
  match,
  namespaces: compileLabelSelector(match.namespaceSelector ?? {}),
  objects: compileLabelSelector(match.objectSelector ?? {}),
});

export interface MatchContext {
  readonly table: ResourceTable;
  readonly lookup: Lookup;
}

/** The resource in the version that a rule names; undefined: not within. Rejects with a StatusError when the namespace is gone. */
export async function matchedBy(
  { table, lookup }: MatchContext,
  { match, namespaces, objects }: Constraints,
  request: AdmissionRequest,
): Promise<Resource | undefined> {
  if (!objectMatches(objects, request)) return undefined;
  const { matchPolicy, resourceRules = [], excludeResourceRules = [] } = match;
  if (ruledBy(table, { rules: excludeResourceRules, matchPolicy }, request)) return undefined;
  const resource =
    resourceRules.length === 0 ? request.resource : ruledBy(table, { rules: resourceRules, matchPolicy }, request);
  // Last, because it may have to wait.
  return resource && (await namespaceMatches(lookup, namespaces, request)) ? resource : undefined;
}

function ruledBy(
  table: ResourceTable,
  { rules, matchPolicy }: { readonly rules: NonNullable<NamedRules>; readonly matchPolicy: string | undefined },
  request: AdmissionRequest,
): Resource | undefined {
  if (rules.length === 0) return undefined;
  const { resource } = request;
  const names = (rule: NonNullable<NamedRules>[number]) =>
    !rule.resourceNames?.length || rule.resourceNames.includes(nameOf(request));
  const own = askedAs(request, resource);
  if (rules.some((rule) => ruleMatches(rule, own) && names(rule))) return resource;
  if (matchPolicy === "Exact" || !resource.stored) return undefined;
  const { prefix } = resource.stored;
  const others = [...table.all()].filter((other) => other !== resource && other.stored?.prefix === prefix);
  for (const rule of rules)
    for (const other of others) if (ruleMatches(rule, askedAs(request, other)) && names(rule)) return other;
  return undefined;
}
