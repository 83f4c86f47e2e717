/** Turns the table of bootstrap roles into objects, and says which of them are still to be made. */
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from "#api";
import type { Wanted } from "../bootstrap.ts";
import {
  type BootstrapRole,
  clusterRoleBindings,
  clusterRoles,
  controllerRoles,
  migratorRoles,
  namespaceRoles,
} from "./bootstrap-roles.ts";
import { legacyTokenTracking } from "./legacy-token-tracking.ts";
import { autoUpdateAnnotation, type Reconciled, reconcileBinding, reconcileRole } from "./reconcile-bootstrap.ts";

const group = "rbac.authorization.k8s.io";
const apiVersion = `${group}/v1`;
const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };
const annotations = { [autoUpdateAnnotation]: "true" };
const aggregateLabel = (to: string) => `${group}/aggregate-to-${to}`;

export interface BootstrapObjects {
  readonly clusterRoles: ClusterRole[];
  readonly clusterRoleBindings: ClusterRoleBinding[];
  readonly roles: Role[];
  readonly roleBindings: RoleBinding[];
}

/** Features that have roles of their own. */
export interface BootstrapGates {
  readonly storageVersionMigration?: boolean | undefined;
}

/** As the server's start wants them. */
export function bootstrapWanted(now: number, gates: BootstrapGates = {}): Wanted[] {
  const { clusterRoles: roles, clusterRoleBindings: bindings, ...namespaced } = bootstrapObjects(gates);
  const at =
    <T extends { metadata: { namespace?: string } }>(
      resource: string,
      reconcile: (found: T, wanted: T) => Reconciled<T>,
    ) =>
    (object: T): Wanted => ({
      path: [group, "v1", resource, object.metadata.namespace ?? ""] as const,
      object,
      reconcile: (found) => reconcile(found as T, object), // read from where it is written; only read
    });
  return [
    ...roles.map(at<ClusterRole>("clusterroles", reconcileRole)),
    ...bindings.map(at<ClusterRoleBinding>("clusterrolebindings", reconcileBinding)),
    ...namespaced.roles.map(at<Role>("roles", reconcileRole)),
    ...namespaced.roleBindings.map(at<RoleBinding>("rolebindings", reconcileBinding)),
    legacyTokenTracking(now),
  ];
}

/** All of them, in the order in which upstream makes them. */
export function bootstrapObjects({ storageVersionMigration }: BootstrapGates = {}): BootstrapObjects {
  const ofControllers = { ...controllerRoles, ...(storageVersionMigration && migratorRoles) };
  const controllers = Object.entries(ofControllers).map(
    ([name, rules]) => [`system:controller:${name}`, { rules }] as const,
  );
  const controllerBindings = Object.keys(ofControllers).map(
    (name) => [`system:controller:${name}`, [`account:kube-system/${name}`]] as const,
  );
  return {
    clusterRoles: [...Object.entries(clusterRoles), ...controllers].map(([name, role]) => toClusterRole(name, role)),
    clusterRoleBindings: [...Object.entries(clusterRoleBindings), ...controllerBindings].map(([name, subjects]) => ({
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata: { name, labels, annotations },
      roleRef: { apiGroup: group, kind: "ClusterRole", name },
      ...(subjects.length > 0 ? { subjects: subjects.map(toSubject) } : {}),
    })),
    roles: namespaceRoles.map(({ namespace, name, rules }) => ({
      apiVersion,
      kind: "Role",
      metadata: { name, namespace, labels, annotations },
      rules: rules.map(parseRule),
    })),
    roleBindings: namespaceRoles.map(({ namespace, name, bindingName = name, subjects = [] }) => ({
      apiVersion,
      kind: "RoleBinding",
      metadata: { name: bindingName, namespace, labels, annotations },
      roleRef: { apiGroup: group, kind: "Role", name },
      subjects: subjects.map(toSubject),
    })),
  };
}

function toClusterRole(name: string, role: BootstrapRole): ClusterRole {
  const own = role.aggregateTo ? { ...labels, [aggregateLabel(role.aggregateTo)]: "true" } : labels;
  return {
    apiVersion,
    kind: "ClusterRole",
    metadata: { name, labels: own, annotations },
    ...(role.aggregates
      ? {
          aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateLabel(role.aggregates)]: "true" } }] },
        }
      : { rules: (role.rules ?? []).map(parseRule) }),
  };
}

/** `get list | apps | deployments | name`; a path rule has no group. Sorted, as upstream's builder of rules does. */
export function parseRule(text: string): PolicyRule {
  const [verbs = "", groups = "", things = "", names = ""] = text.split("|").map((part) => part.trim());
  const words = (part: string) => part.split(" ").filter(Boolean).sort();
  if (groups === "") return { verbs: words(verbs), nonResourceURLs: words(things) };
  return {
    verbs: words(verbs),
    apiGroups: words(groups)
      .map((each) => (each === "-" ? "" : each))
      .sort(),
    resources: words(things),
    ...(names ? { resourceNames: words(names) } : {}),
  };
}

function toSubject(text: string): Subject {
  const at = text.indexOf(":");
  const kind = text.slice(0, at);
  const name = text.slice(at + 1);
  if (kind !== "account") return { kind: kind === "user" ? "User" : "Group", apiGroup: group, name };
  const [namespace = "", account = ""] = name.split("/");
  return { kind: "ServiceAccount", name: account, namespace };
}
