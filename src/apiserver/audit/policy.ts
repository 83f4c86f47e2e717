/**
 * The audit policy: which requests are written down, and how much of each. The first rule that matches decides; none is the same as `None`.
 * Follows upstream's audit/policy and apis/audit/validation.
 */
import {
  type Configuration,
  ConfigurationError,
  decodeConfiguration,
  type FieldError,
  FieldPath,
  fieldError,
  nameIsDnsSubdomain,
  printFieldErrors,
  shape,
} from "#machinery";
import type { Attributes } from "../security.ts";
import { type Level, levels, type Stage, stages } from "./event.ts";

const groupResources = shape("GroupResources", {
  group: "string",
  resources: ["string"],
  resourceNames: ["string"],
});

const policyRule = shape("PolicyRule", {
  level: "string",
  users: ["string"],
  userGroups: ["string"],
  verbs: ["string"],
  resources: [groupResources],
  namespaces: ["string"],
  nonResourceURLs: ["string"],
  omitStages: ["string"],
  omitManagedFields: "bool?",
});

const policyKind = {
  kind: "Policy",
  apiVersions: ["audit.k8s.io/v1"],
  shape: shape("Policy", {
    metadata: "any",
    rules: [policyRule],
    omitStages: ["string"],
    omitManagedFields: "bool",
  }),
} as const;

type PolicyFile = Configuration<(typeof policyKind)["shape"]["fields"]>;
type Rule = PolicyFile["rules"][number];

/** What the policy says about one request. */
export interface Verdict {
  readonly level: Level;
  readonly omitStages: ReadonlySet<Stage>;
  readonly omitManagedFields: boolean;
}

/** The user is missing when nobody could say who it is. */
export type AuditedAttributes = Omit<Attributes, "user"> & { readonly user: Attributes["user"] | undefined };

export interface AuditPolicy {
  verdictOn(attributes: AuditedAttributes): Verdict;
}

/** Throws an Error whose message says what is wrong. Fields it doesn't know are told to `warn` and otherwise left alone, as upstream does. */
export async function parseAuditPolicy(text: string, warn: (text: string) => void): Promise<AuditPolicy> {
  const policy = await decode(text, warn);
  const errors = validate(policy);
  if (errors.length > 0) throw new ConfigurationError(printFieldErrors(errors));
  if (policy.rules.length === 0) throw new ConfigurationError("loaded illegal policy with 0 rules");
  const rules = policy.rules.map((rule) => ({
    matches: matcherOf(rule),
    verdict: verdictOf(policy, rule.level as Level, rule), // validated
  }));
  const otherwise = verdictOf(policy, "None", undefined);
  return {
    verdictOn: (attributes) => rules.find(({ matches }) => matches(attributes))?.verdict ?? otherwise,
  };
}

function decode(text: string, warn: (text: string) => void): Promise<PolicyFile> {
  return decodeConfiguration(text, {
    ...policyKind,
    lenient: (complaint) => warn(`Audit policy contains errors, falling back to lenient decoding: ${complaint}`),
  }).catch((error: unknown) => {
    throw error instanceof ConfigurationError ? new ConfigurationError(`failed decoding: ${error.message}`) : error;
  });
}

function verdictOf(policy: PolicyFile, level: Level, rule: Rule | undefined): Verdict {
  return {
    level,
    omitStages: new Set([...policy.omitStages, ...(rule?.omitStages ?? [])] as Stage[]), // validated
    omitManagedFields: rule?.omitManagedFields ?? policy.omitManagedFields,
  };
}

function validate({ rules, omitStages }: PolicyFile): FieldError[] {
  return [
    ...validateStages(omitStages, FieldPath.root("omitStages")),
    ...rules.flatMap((rule, i) => validateRule(rule, FieldPath.root("rules").index(i))),
  ];
}

function validateRule({ level, nonResourceURLs, resources, namespaces, omitStages }: Rule, at: FieldPath) {
  const errors: FieldError[] = [];
  if (level === "") errors.push(fieldError.required(at.child("level")));
  else if (!(levels as readonly string[]).includes(level))
    errors.push(fieldError.notSupported(at.child("level"), level, levels));
  nonResourceURLs.forEach((url, i) => {
    const place = at.child("nonResourceURLs").index(i);
    if (url === "*") return;
    if (!url.startsWith("/"))
      errors.push(fieldError.invalid(place, url, "non-resource URL rules must begin with a '/' character"));
    if (url.slice(0, -1).includes("*"))
      errors.push(
        fieldError.invalid(place, url, "non-resource URL wildcards '*' must be the final character of the rule"),
      );
  });
  for (const { group, resources: names, resourceNames } of resources) {
    const place = at.child("resources");
    const wrong = group === "" || group === "*" ? [] : nameIsDnsSubdomain(group, false);
    if (wrong.length > 0) errors.push(fieldError.invalid(place.child("group"), group, wrong.join(",")));
    if (resourceNames.length > 0 && names.length === 0)
      errors.push(
        fieldError.invalid(
          place.child("resourceNames"),
          resourceNames,
          "using resourceNames requires at least one resource",
        ),
      );
  }
  errors.push(...validateStages(omitStages, at.child("omitStages")));
  if (nonResourceURLs.length > 0 && (resources.length > 0 || namespaces.length > 0))
    errors.push(
      fieldError.invalid(
        at.child("nonResourceURLs"),
        nonResourceURLs,
        "rules cannot apply to both regular resources and non-resource URLs",
      ),
    );
  return errors;
}

function validateStages(omitted: readonly string[], at: FieldPath): FieldError[] {
  return omitted.flatMap((stage, i) =>
    (stages as readonly string[]).includes(stage)
      ? []
      : [fieldError.invalid(at.index(i), stage, `allowed stages are ${stages.join(",")}`)],
  );
}

type Matcher = (attributes: AuditedAttributes) => boolean;

function matcherOf(rule: Rule): Matcher {
  const [users, groups, verbs] = [new Set(rule.users), new Set(rule.userGroups), new Set(rule.verbs)];
  const rest = restMatcher(rule);
  return (attributes) => {
    const { user, verb } = attributes;
    if (users.size > 0 && !(user && users.has(user.name))) return false;
    if (groups.size > 0 && !user?.groups.some((group) => groups.has(group))) return false;
    if (verbs.size > 0 && !verbs.has(verb)) return false;
    return rest(attributes);
  };
}

function restMatcher({ namespaces, resources, nonResourceURLs }: Rule): Matcher {
  if (namespaces.length > 0 || resources.length > 0) {
    return (attributes) =>
      attributes.resourceRequest &&
      (namespaces.length === 0 || namespaces.includes(attributes.namespace)) &&
      (resources.length === 0 || resources.some((each) => resourceMatches(each, attributes)));
  }
  if (nonResourceURLs.length === 0) return () => true;
  return ({ resourceRequest, path }) => !resourceRequest && nonResourceURLs.some((spec) => pathMatches(path, spec));
}

function pathMatches(path: string, spec: string): boolean {
  return spec === "*" || spec === path || (spec.endsWith("*") && path.startsWith(spec.replace(/\*+$/, "")));
}

function resourceMatches({ group, resources, resourceNames }: Rule["resources"][number], of: AuditedAttributes) {
  if (group !== "*" && group !== of.apiGroup) return false;
  if (resources.length === 0) return true;
  if (resourceNames.length > 0 && !resourceNames.includes(of.name)) return false;
  const { resource, subresource } = of;
  const whole = subresource === "" ? resource : `${resource}/${subresource}`;
  return resources.some(
    (each) =>
      each === whole || each === "*" || (subresource !== "" && each === `*/${subresource}`) || each === `${resource}/*`,
  );
}
