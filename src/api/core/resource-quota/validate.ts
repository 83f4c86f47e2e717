/** A quota's spec and status, in upstream's order. */
import type { FieldError } from "#machinery";
import { Place } from "../../place.ts";
import { isStandardQuotaResource, validateAmount, validateQuotaResourceName } from "../../resource-names.ts";
import type { ResourceQuotaSpec, ResourceQuotaStatus } from "../../types.d.ts";
import { conflictingScopes, isValidForResource, needsExists, scopes } from "./scopes.ts";

export function validateQuota(spec: ResourceQuotaSpec = {}): FieldError[] {
  const at = Place.root("spec");
  validateAmounts(spec.hard, at.child("hard"));
  validateScopes(spec, at.child("scopes"));
  if (spec.scopeSelector) validateScopeSelector(spec, at.child("scopeSelector").child("matchExpressions"));
  return at.errors;
}

export function validateQuotaUpdate(spec: ResourceQuotaSpec = {}, old: ResourceQuotaSpec = {}): FieldError[] {
  const errors = validateQuota(spec);
  const { scopes: after = [] } = spec;
  if (new Set(after).symmetricDifference(new Set(old.scopes)).size > 0) {
    Place.root("spec", errors).child("scopes").invalid(after, "field is immutable");
  }
  return errors;
}

export function validateQuotaStatus(status: ResourceQuotaStatus = {}): FieldError[] {
  const at = Place.root("status");
  validateAmounts(status.hard, at.child("hard"));
  validateAmounts(status.used, at.child("used"));
  return at.errors;
}

function validateAmounts(amounts: Readonly<Record<string, string>> = {}, at: Place): void {
  for (const [name, amount] of Object.entries(amounts)) {
    validateQuotaResourceName(name, at.key(name));
    validateAmount(name, amount, at.key(name));
  }
}

/** The resources a scope may have nothing to say about. */
const standardResources = ({ hard = {} }: ResourceQuotaSpec): string[] =>
  Object.keys(hard).filter(isStandardQuotaResource).sort();

function validateScopes(spec: ResourceQuotaSpec, at: Place): void {
  const { scopes: wanted = [] } = spec;
  const resources = standardResources(spec);
  for (const scope of wanted) {
    if (!scopes.includes(scope)) at.invalid(wanted, "unsupported scope");
    for (const name of resources) {
      if (!isValidForResource(scope, name)) at.invalid(wanted, "unsupported scope applied to resource");
    }
  }
  for (const pair of conflictingScopes) {
    if (pair.every((scope) => wanted.includes(scope))) at.invalid(wanted, "conflicting scopes");
  }
}

const existsMessage =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

function validateScopeSelector(spec: ResourceQuotaSpec, at: Place): void {
  const { matchExpressions: expressions = [] } = spec.scopeSelector ?? {};
  const resources = standardResources(spec);
  for (const { scopeName, operator, values = [] } of expressions) {
    if (!scopes.includes(scopeName)) at.child("scopeName").invalid(scopeName, "unsupported scope");
    for (const name of resources) {
      if (!isValidForResource(scopeName, name)) {
        at.invalid(spec.scopeSelector, "unsupported scope applied to resource");
      }
    }
    if (needsExists(scopeName) && operator !== "Exists") at.child("operator").invalid(operator, existsMessage);
    validateOperator(operator, values, at);
  }
  const wanted = expressions.map(({ scopeName }) => scopeName);
  for (const pair of conflictingScopes) {
    if (pair.every((scope) => wanted.includes(scope))) at.invalid(spec.scopes ?? null, "conflicting scopes");
  }
}

function validateOperator(operator: string, values: readonly string[], at: Place): void {
  if (operator === "In" || operator === "NotIn") {
    if (values.length > 0) return;
    at.child("values").required("must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length === 0) return;
    const why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
    at.child("values").invalid(values, why);
  } else at.child("operator").invalid(operator, "not a valid selector operator");
}
