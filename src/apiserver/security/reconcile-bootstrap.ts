/**
 * What a newer version wants of the roles and bindings that are there already: missing rules, subjects, labels and selectors are added,
 * nothing is taken away. Whoever wants to keep theirs sets the annotation to "false". Pure; upstream's reconciliation package.
 */
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from "#api";
import { cloneJson, type DeepReadonly, jsonEqual, type ObjectMeta } from "#machinery";
import { uncoveredRules } from "./rules.ts";

export const autoUpdateAnnotation = "rbac.authorization.kubernetes.io/autoupdate";

export type Reconciled<T> =
  | { readonly type: "keep" }
  | { readonly type: "update"; readonly object: T }
  /** Its roleRef is another one, which can't change. */
  | { readonly type: "recreate" };

export function reconcileRole(found: DeepReadonly<ClusterRole>, wanted: ClusterRole): Reconciled<ClusterRole>;
export function reconcileRole(found: DeepReadonly<Role>, wanted: Role): Reconciled<Role>;
export function reconcileRole(found: DeepReadonly<ClusterRole>, wanted: ClusterRole): Reconciled<ClusterRole> {
  if (isProtected(found)) return { type: "keep" };
  const object = cloneJson(found) as ClusterRole;
  let changed = addMetadata(object.metadata, wanted.metadata);
  const selectors = wanted.aggregationRule?.clusterRoleSelectors ?? [];
  if (selectors.length > 0) {
    // Their rules are gathered by the controller.
    const present = object.aggregationRule?.clusterRoleSelectors ?? [];
    const missing = selectors.filter((each) => !present.some((other) => jsonEqual(other, each)));
    if (missing.length > 0) {
      object.aggregationRule = { ...object.aggregationRule, clusterRoleSelectors: [...present, ...missing] };
      changed = true;
    }
  } else {
    const missing = uncoveredRules(object.rules ?? [], wanted.rules ?? []) as PolicyRule[]; // made for us
    if (missing.length > 0) {
      object.rules = [...(object.rules ?? []), ...missing];
      changed = true;
    }
  }
  return changed ? { type: "update", object } : { type: "keep" };
}

export function reconcileBinding<T extends ClusterRoleBinding | RoleBinding>(
  found: DeepReadonly<T>,
  wanted: T,
): Reconciled<T> {
  if (isProtected(found)) return { type: "keep" };
  if (!jsonEqual(found.roleRef, wanted.roleRef)) return { type: "recreate" };
  const object = cloneJson(found) as T;
  const present = object.subjects ?? [];
  const missing = (wanted.subjects ?? []).filter((each) => !present.some((other) => isSameSubject(other, each)));
  const changed = addMetadata(object.metadata, wanted.metadata);
  if (missing.length > 0) object.subjects = [...present, ...missing];
  return changed || missing.length > 0 ? { type: "update", object } : { type: "keep" };
}

const isProtected = ({ metadata }: { readonly metadata?: DeepReadonly<ObjectMeta> | undefined }): boolean =>
  metadata?.annotations?.[autoUpdateAnnotation] === "false";

const isSameSubject = (a: Subject, b: Subject): boolean =>
  a.kind === b.kind && a.name === b.name && (a.namespace ?? "") === (b.namespace ?? "");

/** What somebody else has set stays. */
function addMetadata(metadata: ObjectMeta, wanted: ObjectMeta): boolean {
  let changed = false;
  for (const part of ["labels", "annotations"] as const)
    for (const [key, value] of Object.entries(wanted[part] ?? {})) {
      if (metadata[part]?.[key] !== undefined) continue;
      metadata[part] = { ...metadata[part], [key]: value };
      changed = true;
    }
  return changed;
}
