/**
 * Attribute-based access control as of Kubernetes 1.0: a file with one policy a line, as an object of `abac.authorization.kubernetes.io/v1beta1`
 * or bare, as it was before there were versions. Whatever one of them grants is allowed.
 */
import type { RequestUser } from "#api";
import { DecodeError, JsonSyntaxError, parseJson } from "#machinery";
import type { Attributes } from "../../security.ts";
import { everyone } from "../groups.ts";
import type { PolicyRule } from "../rules.ts";
import type { RulesAuthorizer } from "./chain.ts";

export interface AbacPolicy {
  readonly user: string;
  readonly group: string;
  readonly readonly: boolean;
  readonly apiGroup: string;
  readonly resource: string;
  readonly namespace: string;
  readonly nonResourcePath: string;
}

const groupVersion = "abac.authorization.kubernetes.io/v1beta1";
const names = ["user", "group", "apiGroup", "resource", "namespace", "nonResourcePath"] as const;

/** Throws with the line's number. `file` stands in the message. */
export function parseAbacPolicies(text: string, file: string): readonly AbacPolicy[] {
  const policies: AbacPolicy[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    try {
      policies.push(readPolicy(trimmed));
    } catch (error) {
      if (!(error instanceof JsonSyntaxError || error instanceof DecodeError)) throw error;
      throw new Error(`error reading policy file ${file}, line ${index + 1}: ${line}: ${error.message}`);
    }
  }
  return policies;
}

function readPolicy(line: string): AbacPolicy {
  const value = parseJson(line);
  if (!isObject(value)) throw new DecodeError("json: cannot unmarshal into Go value of type abac.Policy");
  const { apiVersion, kind } = value;
  if (apiVersion === groupVersion && kind === "Policy") {
    const spec = value.spec ?? {};
    if (!isObject(spec))
      throw new DecodeError("json: cannot unmarshal into Go struct field Policy.spec of type v1beta1.PolicySpec");
    const policy = readFields(spec, "Policy.spec.");
    const anybody = policy.user === "*" || policy.group === "*";
    return anybody ? { ...policy, user: "", group: everyone.authenticated } : policy;
  }
  return fromOldest(readFields(value, "Policy."));
}

/** Before there were versions, what wasn't said meant everything. */
function fromOldest(policy: AbacPolicy): AbacPolicy {
  const { user, group, namespace, resource } = policy;
  const unnamed = user === "" && group === "";
  const anybody = user === "*" || group === "*";
  return {
    ...policy,
    user: anybody ? "" : user,
    group: anybody || unnamed ? everyone.authenticated : group,
    namespace: namespace || "*",
    resource: resource || "*",
    apiGroup: "*",
    nonResourcePath: namespace === "" && resource === "" ? "*" : "",
  };
}

function readFields(fields: Record<string, unknown>, path: string): AbacPolicy {
  const read = <T extends string | boolean>(name: string, zero: T): T => {
    const value = fields[name] ?? zero;
    if (typeof value === typeof zero) return value as T; // the same type as the zero
    const have = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
    const want = typeof zero === "boolean" ? "bool" : "string";
    throw new DecodeError(`json: cannot unmarshal ${have} into Go struct field ${path}${name} of type ${want}`);
  };
  const texts = Object.fromEntries(names.map((name) => [name, read(name, "")]));
  return { ...(texts as Record<(typeof names)[number], string>), readonly: read("readonly", false) };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function createAbacAuthorizer(policies: readonly AbacPolicy[]): RulesAuthorizer {
  return {
    authorize(attributes) {
      const granted = policies.some((policy) => isAbout(policy, attributes.user) && grants(policy, attributes));
      return granted ? { allowed: true, reason: "" } : { allowed: false, reason: "No policy matched." };
    },
    rulesFor(user, namespace) {
      const own = policies.filter(
        (policy) => isAbout(policy, user) && (policy.namespace === "*" || policy.namespace === namespace),
      );
      return { rules: own.flatMap(rulesOf), incomplete: false };
    },
  };
}

/** A policy that names neither user nor group is about nobody. */
function isAbout({ user, group }: AbacPolicy, { name, groups }: RequestUser): boolean {
  if (user === "" && group === "") return false;
  return (user === "" || user === "*" || user === name) && (group === "" || group === "*" || groups.includes(group));
}

const readVerbs = new Set(["get", "list", "watch"]);

function grants(policy: AbacPolicy, attributes: Attributes): boolean {
  if (policy.readonly && !readVerbs.has(attributes.verb)) return false;
  const fits = (pattern: string, value: string) => pattern === "*" || pattern === value;
  if (attributes.resourceRequest)
    return (
      fits(policy.namespace, attributes.namespace) &&
      fits(policy.resource, attributes.resource) &&
      fits(policy.apiGroup, attributes.apiGroup)
    );
  const pattern = policy.nonResourcePath;
  if (fits(pattern, attributes.path)) return true;
  return pattern.endsWith("*") && attributes.path.startsWith(pattern.replace(/\*+$/, ""));
}

function rulesOf(policy: AbacPolicy): PolicyRule[] {
  const verbs = policy.readonly ? ["get", "list", "watch"] : ["*"];
  const { apiGroup, resource, nonResourcePath } = policy;
  return [
    ...(resource ? [{ verbs, apiGroups: [apiGroup], resources: [resource] }] : []),
    ...(nonResourcePath ? [{ verbs, nonResourceURLs: [nonResourcePath] }] : []),
  ];
}
