/**
 * Which flow schema a request belongs to: the first, by precedence, that matches its user and what it asks for. Who a schema is about is
 * found out once for each user and kept; for a request only the rules of those few are left to look at. Follows upstream's
 * flowcontrol/rule.go.
 */
import type { FlowcontrolV1Subject, FlowSchema, NonResourcePolicyRule, RequestUser, ResourcePolicyRule } from "#api";
import type { DeepReadonly } from "#machinery";
import type { Target } from "../request-target.ts";

export interface Digest {
  readonly user: RequestUser;
  readonly verb: string;
  readonly target: Target;
  /** As in the URL. */
  readonly path: string;
}

type Matcher = (digest: Digest) => boolean;

/** A flow schema made ready. */
export interface CompiledSchema {
  readonly name: string;
  readonly rules: readonly { readonly about: (user: RequestUser) => boolean; readonly matches: Matcher }[];
}

/** Users whose schemas are remembered; more of them at a time are looked at anew. */
const usersMax = 4_096;

export class Classifier<S extends CompiledSchema> {
  /** By matching precedence; the last one takes what matches nothing. */
  readonly #schemas: readonly S[];
  readonly #byUser = new Map<string, { groups: readonly string[]; candidates: readonly Candidate<S>[] }>();

  constructor(schemas: readonly S[]) {
    this.#schemas = schemas;
  }

  classify(digest: Digest): S {
    for (const { schema, matchers } of this.#candidates(digest.user))
      for (const matches of matchers) if (matches(digest)) return schema;
    return this.#schemas.at(-1)!; // there is always the catch-all
  }

  #candidates(user: RequestUser): readonly Candidate<S>[] {
    const known = this.#byUser.get(user.name);
    if (known && sameTexts(known.groups, user.groups)) return known.candidates;
    const candidates = this.#schemas.flatMap((schema) => {
      const matchers = schema.rules.filter(({ about }) => about(user)).map(({ matches }) => matches);
      return matchers.length > 0 ? [{ schema, matchers }] : [];
    });
    if (this.#byUser.size >= usersMax) this.#byUser.clear();
    this.#byUser.set(user.name, { groups: user.groups, candidates });
    return candidates;
  }
}

interface Candidate<S> {
  readonly schema: S;
  readonly matchers: readonly Matcher[];
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const compileRules = ({ spec }: DeepReadonly<FlowSchema>): CompiledSchema["rules"] =>
  (spec?.rules ?? []).map(({ subjects, resourceRules = [], nonResourceRules = [] }) => {
    const resource = resourceRules.map(matchResource);
    const path = nonResourceRules.map(matchPath);
    return {
      about: (user) => subjects.some((subject) => isAbout(subject, user)),
      matches: (digest) => (digest.target.type === "resource" ? resource : path).some((rule) => rule(digest)),
    };
  });

const accountPrefix = "system:serviceaccount:";

function isAbout(
  { kind, user, group, serviceAccount }: DeepReadonly<FlowcontrolV1Subject>,
  asking: RequestUser,
): boolean {
  switch (kind) {
    case "User":
      return user !== undefined && (user.name === "*" || user.name === asking.name);
    case "Group":
      return group !== undefined && (group.name === "*" || asking.groups.includes(group.name));
    case "ServiceAccount": {
      if (!serviceAccount) return false;
      const prefix = `${accountPrefix}${serviceAccount.namespace}:`;
      if (serviceAccount.name === "*") return asking.name.startsWith(prefix);
      return asking.name === prefix + serviceAccount.name;
    }
    default:
      return false;
  }
}

/** Undefined: all. */
function setOf(texts: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return texts?.length === 1 && texts[0] === "*" ? undefined : new Set(texts);
}

function matchResource(rule: DeepReadonly<ResourcePolicyRule>): Matcher {
  const verbs = setOf(rule.verbs);
  const resources = setOf(rule.resources);
  const groups = setOf(rule.apiGroups);
  const namespaces = setOf(rule.namespaces);
  const { clusterScope = false } = rule;
  return ({ verb, target }) => {
    if (target.type !== "resource") return false;
    if (verbs && !verbs.has(verb)) return false;
    const { resource, subresource, group, namespace } = target;
    if (resources && !resources.has(subresource === "" ? resource : `${resource}/${subresource}`)) return false;
    if (groups && !groups.has(group)) return false;
    if (namespace === "") return clusterScope;
    return !namespaces || namespaces.has(namespace);
  };
}

function matchPath({ verbs: wanted, nonResourceURLs: urls }: DeepReadonly<NonResourcePolicyRule>): Matcher {
  const verbs = setOf(wanted);
  return ({ verb, path }) => {
    if (verbs && !verbs.has(verb)) return false;
    return urls.some((url) => {
      if (url === "*" || url === path) return true;
      const prefix = url.endsWith("*") ? url.slice(0, -1) : url;
      return path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
    });
  };
}
