/** RoleBinding: who has a role in a namespace. Follows upstream's registry/rbac/rolebinding; who may bind is the API server's. */
import { defineKind } from "../kind.ts";
import type { RoleBinding } from "../types.d.ts";
import {
  type BindingRules,
  bindingColumns,
  defaultBinding,
  validateBinding,
  validateBindingUpdate,
} from "./bindings.ts";
import { validateRbacName } from "./rules.ts";

const rules: BindingRules = { namespaced: true, roleKinds: ["Role", "ClusterRole"] };

export const roleBindingKind = defineKind<RoleBinding>({
  group: "rbac.authorization.k8s.io",
  kind: "RoleBinding",
  resource: "rolebindings",
  storageVersion: "v1",
  allowCreateOnUpdate: true,
  validateName: validateRbacName,

  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, rules),
  validateUpdate: (binding, old) => validateBindingUpdate(binding, old, rules),

  columns: bindingColumns(
    "roleBinding",
    "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
  ),
});
