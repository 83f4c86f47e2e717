/** ClusterRole: what is allowed everywhere, or the sum of other such roles. Follows upstream's registry/rbac/clusterrole. */
import {
  compileLabelSelector,
  type FieldError,
  FieldPath,
  SelectorError,
  validateLabelSelector as findFaults,
} from "#machinery";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type { ClusterRole, LabelSelector } from "../types.d.ts";
import { validateRbacName, validateRules } from "./rules.ts";

function validateRole({ rules, aggregationRule }: ClusterRole, anyValue = false): FieldError[] {
  const errors: FieldError[] = [];
  validateRules(rules, Place.root("rules", errors), false);
  if (!aggregationRule) return errors;
  const at = Place.root("aggregationRule", errors).child("clusterRoleSelectors");
  const { clusterRoleSelectors: selectors = [] } = aggregationRule;
  if (selectors.length === 0) at.required("at least one clusterRoleSelector required if aggregationRule is non-nil");
  selectors.forEach((selector, i) => {
    validateLabelSelector(selector, at.index(i), { anyValue });
    if (!compiles(selector)) at.index(i).invalid(null, "invalid label selector.");
  });
  return errors;
}

function compiles(selector: LabelSelector): boolean {
  try {
    compileLabelSelector(selector);
    return true;
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

function validateUpdate(role: ClusterRole, old: ClusterRole): FieldError[] {
  const selectors = old.aggregationRule?.clusterRoleSelectors ?? [];
  const hadFaults = selectors.some((selector) => findFaults(selector, FieldPath.none).length > 0);
  // Upstream checks the role twice, which clients see.
  return [...validateRole(role, hadFaults), ...validateRole(role, hadFaults)];
}

export const clusterRoleKind = defineKind<ClusterRole>({
  group: "rbac.authorization.k8s.io",
  kind: "ClusterRole",
  resource: "clusterroles",
  storageVersion: "v1",
  allowCreateOnUpdate: true,
  validateName: validateRbacName,

  validate: (role) => validateRole(role),
  validateUpdate,
});
