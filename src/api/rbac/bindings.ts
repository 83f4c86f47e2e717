/** What bindings in a namespace and in the cluster have in common. Follows apis/rbac/validation and its defaults. */
import { type FieldError, nameIsDnsSubdomain } from "#machinery";
import { ageColumn } from "../columns.ts";
import type { Column } from "../kind.ts";
import { Place } from "../place.ts";
import type { RoleBinding, RoleRef, Subject } from "../types.d.ts";
import { validateRbacName } from "./rules.ts";

const group = "rbac.authorization.k8s.io";

/** Of a RoleBinding and of a ClusterRoleBinding. */
type Binding = RoleBinding;

export function defaultBinding({ roleRef, subjects = [] }: Binding): void {
  roleRef.apiGroup ||= group;
  for (const subject of subjects) {
    if (subject.kind === "User" || subject.kind === "Group") subject.apiGroup ||= group;
  }
}

export interface BindingRules {
  readonly namespaced: boolean;
  /** Kinds of roles that can be bound. */
  readonly roleKinds: readonly string[];
}

export function validateBinding({ roleRef, subjects = [] }: Binding, rules: BindingRules): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("roleRef", errors);
  const { apiGroup = "", kind = "", name = "" } = roleRef;
  if (apiGroup !== group) at.child("apiGroup").notSupported(apiGroup, [group]);
  if (!rules.roleKinds.includes(kind)) at.child("kind").notSupported(kind, rules.roleKinds);
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, validateRbacName(name));
  subjects.forEach((subject, i) => {
    validateSubject(subject, Place.root("subjects", errors).index(i), rules.namespaced);
  });
  return errors;
}

function validateSubject(subject: Subject, at: Place, namespaced: boolean): void {
  const { kind = "", apiGroup = "", name = "", namespace = "" } = subject;
  if (name === "") at.child("name").required();
  switch (kind) {
    case "ServiceAccount":
      if (name !== "") at.child("name").invalidEach(name, nameIsDnsSubdomain(name, false));
      if (apiGroup !== "") at.child("apiGroup").notSupported(apiGroup, [""]);
      if (!namespaced && namespace === "") at.child("namespace").required();
      break;
    case "User":
    case "Group":
      if (apiGroup !== group) at.child("apiGroup").notSupported(apiGroup, [group]);
      break;
    default:
      at.child("kind").notSupported(kind, ["ServiceAccount", "User", "Group"]);
  }
}

/** Who has it may change; what they have may not. */
export function validateBindingUpdate(binding: Binding, old: Binding, rules: BindingRules): FieldError[] {
  const own = validateBinding(binding, rules);
  // Upstream checks the binding twice, which clients see.
  const errors = [...own, ...own];
  const isSame = (["apiGroup", "kind", "name"] as const).every(
    (field) => binding.roleRef[field] === old.roleRef[field],
  );
  if (!isSame) Place.root("roleRef", errors).invalid(printRoleRef(binding.roleRef), "cannot change roleRef");
  return errors;
}

/** As Go prints it. */
const printRoleRef = ({ apiGroup: APIGroup = "", kind: Kind, name: Name }: RoleRef) => ({ APIGroup, Kind, Name });

function printSubjects({ subjects = [] }: Binding, kind: string): string {
  const names = subjects.filter((subject) => subject.kind === kind);
  return names
    .map(({ name, namespace = "" }) => (kind === "ServiceAccount" ? `${namespace}/${name}` : name))
    .join(", ");
}

/** `what`: the kind as upstream names it in the descriptions. */
export const bindingColumns = (what: string, roleDescription: string): readonly Column<Binding>[] => [
  {
    name: "Role",
    type: "string",
    description: roleDescription,
    of: ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`,
  },
  ageColumn,
  ...["User", "Group", "ServiceAccount"].map((kind) => ({
    name: `${kind}s`,
    type: "string",
    priority: 1,
    description: `${kind}s in the ${what}`,
    of: (binding: Binding) => printSubjects(binding, kind),
  })),
];
