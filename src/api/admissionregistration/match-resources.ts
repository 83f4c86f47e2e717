/** What policies and their bindings have in common: which requests, and with which parameters. */
import { goLabelSelector, isDns1035Label, isDns1123Subdomain, isPathSegmentName, nameIsDnsSubdomain } from "#machinery";
import type { Column } from "../kind.ts";
import type { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type { MatchResources, ParamKind, ParamRef } from "../types.d.ts";
import { defaultRules, validateNamedRule } from "./rules.ts";

export function defaultMatchResources(match: MatchResources | undefined): void {
  if (!match) return;
  match.matchPolicy ??= "Equivalent";
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  defaultRules(match.resourceRules);
  defaultRules(match.excludeResourceRules);
}

const failurePolicies = ["Fail", "Ignore"];
const matchPolicies = ["Equivalent", "Exact"];

/** That is there, and one of these. */
export function validateChoice(value: string | undefined, at: Place, choices: readonly string[]): void {
  if (!value) at.required();
  else if (!choices.includes(value)) at.notSupported(value, choices);
}

export const validateFailurePolicy = (policy: string | undefined, at: Place): void =>
  validateChoice(policy, at, failurePolicies);

/** Of a policy. */
export function validateConstraints(constraints: MatchResources | undefined, at: Place): void {
  if (!constraints) {
    at.required();
    return;
  }
  validateMatchResources(constraints, at);
  // They say of which types the expressions speak.
  if (!constraints.resourceRules?.length) at.child("resourceRules").required();
}

export function validateMatchResources(match: MatchResources | undefined, at: Place): void {
  if (!match) return;
  validateChoice(match.matchPolicy, at.child("matchPolicy"), matchPolicies);
  for (const field of ["namespaceSelector", "objectSelector"] as const) {
    if (match[field]) validateLabelSelector(match[field], at.child(field));
    else at.child(field).required();
  }
  for (const field of ["resourceRules", "excludeResourceRules"] as const) {
    match[field]?.forEach((rule, i) => {
      validateNamedRule(rule, at.child(field).index(i));
    });
  }
}

const mutableOperations = ["*", "CONNECT", "CREATE", "UPDATE"];

/** What is deleted can't be changed. */
export function validateMutableOperations(match: MatchResources | undefined, at: Place): void {
  const place = at.child("resourceRules").child("operations");
  for (const { operations = [] } of match?.resourceRules ?? []) {
    for (const operation of operations) {
      if (!mutableOperations.includes(operation)) place.notSupported(operation, mutableOperations);
    }
  }
}

export function validateParamKind({ apiVersion = "", kind = "" }: ParamKind, at: Place): void {
  validateApiVersion(apiVersion, at.child("apiVersion"));
  if (kind === "") {
    at.child("kind").required();
    return;
  }
  const wrong = isDns1035Label(kind.toLowerCase());
  if (wrong.length > 0) {
    at.child("kind").invalid(kind, `may have mixed case, but should otherwise match: ${wrong.join(",")}`);
  }
}

function validateApiVersion(apiVersion: string, at: Place): void {
  if (apiVersion === "") {
    at.required();
    return;
  }
  const parts = apiVersion === "/" ? [""] : apiVersion.split("/");
  if (parts.length > 2) {
    at.invalid(apiVersion, `unexpected GroupVersion string: ${apiVersion}`);
    return;
  }
  const version = parts.at(-1) ?? "";
  const group = parts.length === 2 ? (parts[0] ?? "") : "";
  const wrongGroup = group === "" ? [] : isDns1123Subdomain(group);
  if (wrongGroup.length > 0) at.invalid(group, wrongGroup.join(","));
  const wrongVersion = isDns1035Label(version);
  if (version === "") at.invalid(apiVersion, "version must be specified");
  else if (wrongVersion.length > 0) at.invalid(version, wrongVersion.join(","));
}

/** Of a binding. */
export function validatePolicyName(name: string | undefined, at: Place): void {
  if (!name) at.required();
  else at.invalidEach(name, nameIsDnsSubdomain(name, false));
}

export function validateParamRef(reference: ParamRef | undefined, at: Place): void {
  if (!reference) return;
  const { name = "", selector, parameterNotFoundAction: action } = reference;
  const exclusive = "name and selector are mutually exclusive";
  if (name !== "") {
    at.child("name").invalidEach(name, isPathSegmentName(name));
    if (selector) at.child("name").forbidden(exclusive);
  }
  if (selector) {
    validateLabelSelector(selector, at.child("selector"));
    if (name !== "") at.child("selector").forbidden(exclusive);
  }
  if (name === "" && !selector) at.required("one of name or selector must be specified");
  validateChoice(action, at.child("parameterNotFoundAction"), ["Deny", "Allow"]);
}

export const printParamKind = (kind: ParamKind | undefined): string =>
  kind ? `${kind.apiVersion ?? ""}/${kind.kind ?? ""}` : "<unset>";

/** Whether the parameter's kind has namespaces isn't known here. */
function printParamRef(reference: ParamRef | undefined): string {
  const { name, namespace, selector } = reference ?? {};
  if (name) return `${namespace || "*"}/${name}`;
  return selector ? goLabelSelector(selector) : "<unset>";
}

/** Of a binding. */
export const bindingColumns: readonly Column<{ spec?: { policyName?: string; paramRef?: ParamRef } }>[] = [
  {
    name: "PolicyName",
    type: "string",
    description: "PolicyName indicates the policy definition which the policy binding binded to",
    of: ({ spec }) => spec?.policyName ?? "",
  },
  {
    name: "ParamRef",
    type: "string",
    description: "ParamRef indicates the param resource which sets the configration param",
    of: ({ spec }) => printParamRef(spec?.paramRef),
  },
];
