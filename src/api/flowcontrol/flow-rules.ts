/** Which requests a flow schema is about: subjects, and rules that stars may stand in. Follows apis/flowcontrol/validation. */
import { nameIsDnsLabel, nameIsDnsSubdomain } from "#machinery";
import type { Place } from "../place.ts";
import type {
  FlowcontrolV1Subject,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  ServiceAccountSubject,
} from "../types.d.ts";

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

export function validateFlowRules(rules: PolicyRulesWithSubjects, at: Place): void {
  const { resourceRules = [], nonResourceRules = [] } = rules;
  const subjects = rules.subjects ?? [];
  if (subjects.length === 0) at.child("subjects").required("subjects must contain at least one value");
  subjects.forEach((subject, i) => {
    validateSubject(subject, at.child("subjects").index(i));
  });
  if (resourceRules.length + nonResourceRules.length === 0) {
    at.required("at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  resourceRules.forEach((rule, i) => {
    validateResourceRule(rule, at.child("resourceRules").index(i));
  });
  nonResourceRules.forEach((rule, i) => {
    validatePathRule(rule, at.child("nonResourceRules").index(i));
  });
}

/** Kinds, and the field of each. */
const subjectFields = { ServiceAccount: "serviceAccount", User: "user", Group: "group" } as const;
const subjectKinds = ["Group", "ServiceAccount", "User"];

function validateSubject(subject: FlowcontrolV1Subject, at: Place): void {
  const { kind = "" } = subject;
  if (!subjectKinds.includes(kind)) {
    at.child("kind").notSupported(kind, subjectKinds);
    return;
  }
  const own = subjectFields[kind as keyof typeof subjectFields]; // it is one of the kinds
  const place = at.child(own);
  const value = subject[own];
  if (!value) place.required(`${own} is required when subject kind is '${kind}'`);
  else if (kind === "ServiceAccount")
    validateAccount(value as ServiceAccountSubject, place); // by the field
  else if (!value.name) place.child("name").required();
  // In upstream's order, which differs from that of the kinds.
  for (const other of ["ServiceAccount", "User", "Group"] as const) {
    const field = subjectFields[other];
    if (other === kind || !subject[field]) continue;
    at.child(field).forbidden(`${field} is forbidden when subject kind is not '${other}'`);
  }
}

function validateAccount({ name = "", namespace = "" }: ServiceAccountSubject, at: Place): void {
  if (name === "") at.child("name").required();
  else if (name !== "*") at.child("name").invalidEach(name, nameIsDnsSubdomain(name, false));
  if (namespace === "") at.child("namespace").required("must specify namespace for service account");
  else at.child("namespace").invalidEach(namespace, nameIsDnsLabel(namespace, false));
}

function validateVerbs(wanted: readonly string[], at: Place): void {
  if (wanted.length === 0) at.required("verbs must contain at least one value");
  else if (wanted.includes("*")) validateStar(wanted, at, "verbs");
  else if (!wanted.every((verb) => verbs.includes(verb))) at.notSupported(wanted, verbs);
}

/** A star stands for all, so nothing else can stand beside it. */
function validateStar(list: readonly string[], at: Place, what: string): void {
  if (list.includes("*") && list.length > 1) at.invalid(list, `if '*' is present, must not specify other ${what}`);
}

function validateResourceRule(rule: ResourcePolicyRule, at: Place): void {
  validateVerbs(rule.verbs ?? [], at.child("verbs"));
  const apiGroups = rule.apiGroups ?? [];
  if (apiGroups.length === 0) at.child("apiGroups").required("resource rules must supply at least one api group");
  validateStar(apiGroups, at.child("apiGroups"), "api groups");
  const resources = rule.resources ?? [];
  if (resources.length === 0) at.child("resources").required("resource rules must supply at least one resource");
  validateStar(resources, at.child("resources"), "resources");
  const { clusterScope = false } = rule;
  const namespaces = rule.namespaces ?? [];
  const place = at.child("namespaces");
  if (namespaces.length === 0 && !clusterScope) {
    place.required("resource rules that are not cluster scoped must supply at least one namespace");
  } else if (namespaces.includes("*")) validateStar(namespaces, place, "namespaces");
  else {
    namespaces.forEach((namespace, i) => {
      for (const message of nameIsDnsLabel(namespace, false)) {
        place.index(i).invalid(namespace, `each member of this list must be '*' or a DNS-1123 label; ${message}`);
      }
    });
  }
}

function validatePathRule(rule: NonResourcePolicyRule, at: Place): void {
  validateVerbs(rule.verbs ?? [], at.child("verbs"));
  const paths = rule.nonResourceURLs ?? [];
  const place = at.child("nonResourceURLs");
  if (paths.length === 0) place.required("nonResourceURLs must contain at least one value");
  else if (paths.includes("*")) validateStar(paths, place, "non-resource URLs");
  else {
    paths.forEach((path, i) => {
      const why = whyNoPath(path);
      if (why !== undefined) place.index(i).invalid(path, why);
    });
  }
}

function whyNoPath(path: string): string | undefined {
  if (path === "") return "must not be empty";
  if (path === "/") return undefined;
  if (!path.startsWith("/")) return "must start with slash";
  if (path.includes(" ")) return "must not contain white-space";
  if (path.includes("//")) return "must not contain double slash";
  const star = path.indexOf("*");
  return star < 0 || (star === path.length - 1 && path.endsWith("/*"))
    ? undefined
    : "wildcard can only do suffix matching";
}
