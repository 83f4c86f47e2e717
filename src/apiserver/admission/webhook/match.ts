/** Whether a webhook wants to hear of a request. Pure; upstream's rules, namespace and object matchers. */
import type { RuleWithOperations } from "#api";
import type { DeepReadonly, KubernetesObject, LabelMatcher } from "#machinery";

export interface Matched {
  readonly operation: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  /** Of namespaces: their own name. */
  readonly namespace: string;
}

type Rule = DeepReadonly<RuleWithOperations>;

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes("*") || list.includes(value));

export function ruleMatches(rule: Rule, asked: Matched): boolean {
  return (
    has(rule.operations, asked.operation) &&
    has(rule.apiGroups, asked.group) &&
    has(rule.apiVersions, asked.version) &&
    inScope(rule.scope ?? "*", asked) &&
    (rule.resources ?? []).some((text) => resourceMatches(text, asked))
  );
}

function inScope(scope: string, { resource, namespace }: Matched): boolean {
  if (scope === "*") return true;
  const namespaced = resource !== "namespaces" && namespace !== "";
  return (scope === "Namespaced") === namespaced;
}

function resourceMatches(text: string, { resource, subresource }: Matched): boolean {
  const [main = "", sub = ""] = text.split("/");
  return (main === "*" || main === resource) && (sub === "*" || sub === subresource);
}

/** The new or the old object's labels; what has no labels is selected only by a selector of everything. */
export function objectMatches(
  selector: LabelMatcher,
  { object, old }: { object: Labelled | undefined; old: Labelled | undefined },
): boolean {
  if (selector.everything) return true;
  return [object, old].some((each) => each?.metadata !== undefined && selector.matches(each.metadata.labels ?? {}));
}

type Labelled = DeepReadonly<Pick<KubernetesObject, "metadata">>;

/** Configurations of admission itself are never sent: a broken webhook must be mendable. */
const admissionResources = new Set([
  "mutatingwebhookconfigurations",
  "validatingwebhookconfigurations",
  "validatingadmissionpolicies",
  "validatingadmissionpolicybindings",
  "mutatingadmissionpolicies",
  "mutatingadmissionpolicybindings",
]);

export const isAboutAdmission = ({ group, resource }: Pick<Matched, "group" | "resource">): boolean =>
  group === "admissionregistration.k8s.io" && admissionResources.has(resource);
