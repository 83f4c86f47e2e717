/** Which requests webhooks and policies are asked about: upstream's validateRuleWithOperations. */
import { isPathSegmentName } from "#machinery";
import type { Place } from "../place.ts";
import type { NamedRuleWithOperations, RuleWithOperations } from "../types.d.ts";

const scopes = ["*", "Cluster", "Namespaced"];
const operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

export function defaultRules(rules: readonly RuleWithOperations[] | undefined): void {
  for (const rule of rules ?? []) rule.scope ??= "*";
}

/** With stars there may be nothing else. */
function validateStar(list: readonly string[], at: Place, what: string): void {
  if (list.length > 1 && list.includes("*")) at.invalid(list, `if '*' is present, must not specify other ${what}`);
}

export function validateRule(rule: RuleWithOperations, at: Place): void {
  const { operations: wanted = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  const operationsAt = at.child("operations");
  if (wanted.length === 0) operationsAt.required();
  validateStar(wanted, operationsAt, "operations");
  wanted.forEach((operation, i) => {
    if (!operations.includes(operation)) operationsAt.index(i).notSupported(operation, operations);
  });
  if (apiGroups.length === 0) at.child("apiGroups").required();
  validateStar(apiGroups, at.child("apiGroups"), "API groups");
  const versionsAt = at.child("apiVersions");
  if (apiVersions.length === 0) versionsAt.required();
  validateStar(apiVersions, versionsAt, "API versions");
  apiVersions.forEach((version, i) => {
    if (version === "") versionsAt.index(i).required();
  });
  validateResources(resources, at.child("resources"));
  if (scope !== undefined && !scopes.includes(scope)) at.child("scope").notSupported(scope, scopes);
}

/** `pods`, `pods/log`, with stars on either side; none may be part of another. */
function validateResources(resources: readonly string[], at: Place): void {
  if (resources.length === 0) at.required();
  const allSubresources = new Set<string>();
  const ofAllResources = new Set<string>();
  let isPlain = false;
  resources.forEach((each, i) => {
    const place = at.index(i);
    if (each === "") {
      place.required();
      return;
    }
    const slash = each.indexOf("/");
    if (slash < 0) {
      // The last one without a subresource decides, as upstream.
      isPlain = each !== "*";
      return;
    }
    const resource = each.slice(0, slash);
    const subresource = each.slice(slash + 1);
    const report = (pattern: string) => place.invalid(each, `if '${pattern}' is present, must not specify ${each}`);
    if (allSubresources.has(resource)) report(`${resource}/*`);
    if (ofAllResources.has(subresource)) report(`*/${subresource}`);
    if (subresource === "*") allSubresources.add(resource);
    if (resource === "*") ofAllResources.add(subresource);
  });
  if (resources.length > 1 && resources.includes("*/*")) {
    at.invalid(resources, "if '*/*' is present, must not specify other resources");
  }
  if (isPlain && resources.includes("*")) {
    at.invalid(resources, "if '*' is present, must not specify other resources without subresources");
  }
}

export function validateNamedRule(rule: NamedRuleWithOperations, at: Place): void {
  const { resourceNames = [] } = rule;
  resourceNames.forEach((name, i) => {
    const place = at.child("resourceNames").index(i);
    place.invalidEach(name, isPathSegmentName(name));
    if (resourceNames.indexOf(name) < i) place.duplicate(name);
  });
  validateRule(rule, at);
}
