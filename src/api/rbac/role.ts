/** Role: what is allowed in one namespace. Follows upstream's registry/rbac/role; who may grant what is the API server's. */
import type { FieldError } from "#machinery";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { Role } from "../types.d.ts";
import { validateRbacName, validateRules } from "./rules.ts";

function validateRole({ rules }: Role): FieldError[] {
  const at = Place.root("rules");
  validateRules(rules, at, true);
  return at.errors;
}

export const roleKind = defineKind<Role>({
  group: "rbac.authorization.k8s.io",
  kind: "Role",
  resource: "roles",
  storageVersion: "v1",
  allowCreateOnUpdate: true,
  validateName: validateRbacName,

  validate: validateRole,
  // Upstream checks the role twice, which clients see.
  validateUpdate: (role) => [...validateRole(role), ...validateRole(role)],
});
