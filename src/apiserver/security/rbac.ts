/**
 * Role-based access control. Bindings and roles are read live from the watch cache through `RbacSource`; for each caller only
 * the bindings that name them are looked at, by an index over subjects that is rebuilt when a binding changes.
 */
import type { RequestUser } from "#api";
import type { Attributes, Authorizer, Decision } from "../security.ts";
import { accountUserName, everyone } from "./groups.ts";
import { type PolicyRule, ruleAllows } from "./rules.ts";

export interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface Binding {
  readonly metadata: { readonly name?: string; readonly namespace?: string };
  readonly subjects?: readonly Subject[];
  readonly roleRef: { readonly kind: string; readonly name: string };
}

export interface RbacSource {
  /** Counts up with each change of a binding. */
  bindingsVersion(): number;
  clusterRoleBindings(): Iterable<Binding>;
  roleBindings(): Iterable<Binding>;
  /** Undefined: no such role. `namespace` "" for a cluster role. */
  roleRules(namespace: string, name: string): readonly PolicyRule[] | undefined;
}

export interface AppliedRule {
  readonly rule: PolicyRule;
  readonly binding: Binding;
}

export interface Rbac extends Authorizer {
  /** Every rule that applies to this user in this namespace ("" for cluster scope), and what couldn't be resolved. */
  rulesFor(user: RequestUser, namespace: string): { rules: AppliedRule[]; errors: string[] };
}

const subjectKey = (subject: Subject, bindingNamespace: string) =>
  subject.kind === "ServiceAccount"
    ? `User/${accountUserName(subject.namespace || bindingNamespace, subject.name)}`
    : `${subject.kind}/${subject.name}`;

export function createRbac(source: RbacSource): Rbac {
  let indexedVersion = -1;
  let bySubject = new Map<string, Binding[]>();

  const index = () => {
    const version = source.bindingsVersion();
    if (version === indexedVersion) return bySubject;
    bySubject = new Map();
    for (const bindings of [source.clusterRoleBindings(), source.roleBindings()])
      for (const binding of bindings)
        for (const subject of binding.subjects ?? []) {
          const key = subjectKey(subject, binding.metadata.namespace ?? "");
          const list = bySubject.get(key);
          if (list) list.push(binding);
          else bySubject.set(key, [binding]);
        }
    indexedVersion = version;
    return bySubject;
  };

  function* bindingsFor(user: RequestUser, namespace: string): Generator<Binding> {
    const bindings = index();
    for (const key of [`User/${user.name}`, ...user.groups.map((group) => `Group/${group}`)])
      for (const binding of bindings.get(key) ?? []) {
        const bindingNamespace = binding.metadata.namespace ?? "";
        if (bindingNamespace === "" || bindingNamespace === namespace) yield binding;
      }
  }

  const rulesOf = (binding: Binding) =>
    source.roleRules(binding.roleRef.kind === "Role" ? (binding.metadata.namespace ?? "") : "", binding.roleRef.name);

  return {
    authorize(attributes: Attributes): Decision {
      // As upstream's privileged-group authorizer: works even when no role is there.
      if (attributes.user.groups.includes(everyone.masters)) return { allowed: true, reason: "" };
      const missing: string[] = [];
      for (const binding of bindingsFor(attributes.user, attributes.namespace)) {
        const rules = rulesOf(binding);
        if (!rules) missing.push(missingRole(binding));
        else if (rules.some((rule) => ruleAllows(rule, attributes)))
          return { allowed: true, reason: `RBAC: allowed by ${describeBinding(binding, attributes.user)}` };
      }
      return { allowed: false, reason: missing.length === 0 ? "" : `RBAC: ${aggregate(missing)}` };
    },

    rulesFor(user, namespace) {
      const rules: AppliedRule[] = [];
      const errors: string[] = [];
      for (const binding of bindingsFor(user, namespace)) {
        const found = rulesOf(binding);
        if (found) rules.push(...found.map((rule) => ({ rule, binding })));
        else errors.push(missingRole(binding));
      }
      return { rules, errors };
    },
  };
}

function missingRole({ roleRef }: Binding): string {
  const resource = roleRef.kind === "Role" ? "role" : "clusterrole";
  return `${resource}.rbac.authorization.k8s.io ${JSON.stringify(roleRef.name)} not found`;
}

export const aggregate = (messages: readonly string[]): string => {
  const distinct = [...new Set(messages)];
  return distinct.length === 1 ? (distinct[0] ?? "") : `[${distinct.join(", ")}]`;
};

/** Names the binding, the role and the first subject through which it applies, as upstream prints it in decisions. */
function describeBinding(binding: Binding, user: RequestUser): string {
  const { name = "", namespace = "" } = binding.metadata;
  const applies = (subject: Subject) => {
    const key = subjectKey(subject, namespace);
    return key === `User/${user.name}` || (subject.kind === "Group" && user.groups.includes(subject.name));
  };
  const subject = binding.subjects?.find(applies);
  const printedSubject = !subject
    ? ""
    : subject.kind === "ServiceAccount"
      ? `ServiceAccount ${JSON.stringify(`${subject.name}/${subject.namespace || namespace}`)}`
      : `${subject.kind} ${JSON.stringify(subject.name)}`;
  const kind = namespace === "" ? "ClusterRoleBinding" : "RoleBinding";
  const at = namespace === "" ? name : `${name}/${namespace}`;
  return `${kind} ${JSON.stringify(at)} of ${binding.roleRef.kind} ${JSON.stringify(binding.roleRef.name)} to ${printedSubject}`;
}
