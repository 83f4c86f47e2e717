/** ClusterRoleBinding: who has a role everywhere. Follows upstream's registry/rbac/clusterrolebinding; who may bind is the API server's. */
import { defineKind } from "../kind.ts";
import type { ClusterRoleBinding } from "../types.d.ts";
import {
  type BindingRules,
  bindingColumns,
  defaultBinding,
  validateBinding,
  validateBindingUpdate,
} from "./bindings.ts";
import { validateRbacName } from "./rules.ts";

const rules: BindingRules = { namespaced: false, roleKinds: ["ClusterRole"] };

export const clusterRoleBindingKind = defineKind<ClusterRoleBinding>({
  group: "rbac.authorization.k8s.io",
  kind: "ClusterRoleBinding",
  resource: "clusterrolebindings",
  storageVersion: "v1",
  allowCreateOnUpdate: true,
  validateName: validateRbacName,

  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, rules),
  validateUpdate: (binding, old) => validateBindingUpdate(binding, old, rules),

  columns: bindingColumns(
    "clusterRoleBinding",
    "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
  ),
});
