/**
 * Nobody gives away by a role or a binding what they don't have themselves, unless they may `escalate` roles or `bind` this one.
 * Upstream's policy-based storage of the RBAC kinds. It comes after everything that may change the object.
 */
import type { ClusterRole, PolicyRule, RequestUser, RoleBinding, RoleRef } from "#api";
import { jsonEqual, type KubernetesObject, StatusError, statusError } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest } from "../admission/chain.ts";
import type { Attributes, Authorizer } from "../security.ts";
import { everyone } from "./groups.ts";
import { aggregate, type Rbac, type RbacSource } from "./rbac.ts";
import { type PolicyRule as ReadRule, uncoveredRules } from "./rules.ts";
import { compactRules } from "./rules-list.ts";

const group = "rbac.authorization.k8s.io";
const roles = new Set(["roles", "clusterroles"]);
const bindings = new Set(["rolebindings", "clusterrolebindings"]);

export interface EscalationOptions {
  readonly rbac: Pick<Rbac, "rulesFor">;
  readonly source: Pick<RbacSource, "roleRules">;
  readonly authorizer: Authorizer;
}

/** An aggregation rule can gather anything, so it needs everything. */
const fullAuthority: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

export function escalationCheck(options: EscalationOptions): AdmissionPlugin {
  return {
    name: "RBACEscalation",
    handles: ({ resource, operation }) =>
      resource.group === group &&
      (operation === "CREATE" || operation === "UPDATE") &&
      (roles.has(resource.resource) || bindings.has(resource.resource)),
    async mutate(request) {
      if (request.user.groups.includes(everyone.masters)) return;
      if (request.old && onlyCollectorFields(request.object, request.old as KubernetesObject)) return;
      if (roles.has(request.resource.resource)) await checkRole(options, request);
      else await checkBinding(options, request);
    },
  };
}

async function checkRole({ rbac, authorizer }: EscalationOptions, request: AdmissionRequest): Promise<void> {
  const { user, namespace, resource, name, operation, object, old } = request;
  const role = object as ClusterRole; // a Role has no aggregation rule and is the same otherwise
  const attributes = question(user, "escalate", {
    resource: resource.resource,
    namespace,
    // The name in the URL: there is none in that of a create.
    name: operation === "CREATE" ? "" : name,
  });
  if ((await authorizer.authorize(attributes)).allowed) return;
  const who = { rbac, user, namespace };
  const why = escalation(who, role.rules ?? []);
  if (why !== undefined) throw statusError.forbidden(resource, role.metadata?.name ?? "", why);
  if ((gathers(role) || gathers(old as ClusterRole | undefined)) && escalation(who, fullAuthority) !== undefined)
    throw statusError.forbidden(
      resource,
      role.metadata?.name ?? "",
      "must have cluster-admin privileges to use the aggregationRule",
    );
}

const gathers = (role: ClusterRole | undefined): boolean =>
  (role?.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0;

async function checkBinding(
  { rbac, source, authorizer }: EscalationOptions,
  { user, namespace, resource, object }: AdmissionRequest,
): Promise<void> {
  const { roleRef, metadata } = object as RoleBinding; // both kinds of bindings have one
  const plural = roleRef.kind === "ClusterRole" ? "clusterroles" : roleRef.kind === "Role" ? "roles" : undefined;
  if (!plural) throw unsupportedReference(roleRef);
  const attributes = question(user, "bind", {
    apiGroup: roleRef.apiGroup ?? "",
    resource: plural,
    namespace,
    name: roleRef.name,
  });
  if ((await authorizer.authorize(attributes)).allowed) return;
  const rules = source.roleRules(plural === "roles" ? namespace : "", roleRef.name);
  // Upstream names the resource of the request.
  if (!rules) throw statusError.notFound(resource, roleRef.name);
  const why = escalation({ rbac, user, namespace }, rules);
  if (why !== undefined) throw statusError.forbidden(resource, metadata?.name ?? "", why);
}

function question(
  user: RequestUser,
  verb: string,
  asked: Pick<Attributes, "resource" | "namespace" | "name"> & { apiGroup?: string },
): Attributes {
  return { user, verb, resourceRequest: true, path: "", apiGroup: group, apiVersion: "*", subresource: "", ...asked };
}

interface Owner {
  readonly rbac: Pick<Rbac, "rulesFor">;
  readonly user: RequestUser;
  readonly namespace: string;
}

/** What is missing, in upstream's words; undefined: nothing. */
function escalation({ rbac, user, namespace }: Owner, wanted: readonly ReadRule[]): string | undefined {
  const { rules, errors } = rbac.rulesFor(user, namespace);
  const missing = uncoveredRules(
    rules.map(({ rule }) => rule),
    wanted,
  );
  if (missing.length === 0) return undefined;
  const lines = [...new Set(compactRules(missing).map(printRule))].sort();
  const who = `user ${JSON.stringify(user.name)} (groups=${printList(user.groups)})`;
  const resolution = errors.length > 0 ? `; resolution errors: [${aggregate(errors)}]` : "";
  return `${who} is attempting to grant RBAC permissions not currently held:\n${lines.join("\n")}${resolution}`;
}

const printList = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(" ")}]`;

function printRule(rule: ReadRule): string {
  const parts: [string, readonly string[] | undefined][] = [
    ["APIGroups", rule.apiGroups],
    ["Resources", rule.resources],
    ["NonResourceURLs", rule.nonResourceURLs],
    ["ResourceNames", rule.resourceNames],
    ["Verbs", rule.verbs],
  ];
  return `{${parts.flatMap(([name, values]) => (values?.length ? [`${name}:${printList(values)}`] : [])).join(", ")}}`;
}

/** The garbage collector must be able to let go of roles that it couldn't give. */
function onlyCollectorFields(object: KubernetesObject | undefined, old: KubernetesObject): boolean {
  return jsonEqual(withoutCollectorFields(object), withoutCollectorFields(old));
}

function withoutCollectorFields(object: KubernetesObject | undefined): unknown {
  const {
    ownerReferences: _owners,
    finalizers: _finalizers,
    managedFields: _managed,
    ...metadata
  } = object?.metadata ?? {};
  return { ...object, metadata };
}

const unsupportedReference = ({ kind }: RoleRef) =>
  new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `unsupported role reference kind: ${JSON.stringify(kind)}`,
    code: 500,
  });
