/**
 * The reviews: resources that can only be created and are never stored; the answer is the body with its status filled in.
 * TokenReview, SelfSubjectReview and the SubjectAccessReview family.
 */
import type {
  FieldSelectorAttributes,
  LocalSubjectAccessReview,
  RequestUser,
  SelfSubjectAccessReview,
  SelfSubjectReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
  TokenReview,
} from "#api";
import {
  type FieldError,
  FieldPath,
  type FieldRequirement,
  fieldError,
  parseFieldSelector,
  SelectorError,
  statusError,
} from "#machinery";
import type { Attributes, Authorizer } from "../security.ts";
import type { TokenAuthenticator } from "./authenticate.ts";
import { aggregate, type Rbac } from "./rbac.ts";
import type { PolicyRule } from "./rules.ts";
import { compactRules } from "./rules-list.ts";

export interface ReviewContext {
  readonly user: RequestUser;
  /** Of the URL; "" for cluster-scoped paths. */
  readonly namespace: string;
}

export type Review<T> = (body: T, context: ReviewContext) => Promise<T>;

/** By `group/resource`. */
export interface ReviewsOptions {
  readonly tokens: TokenAuthenticator;
  readonly rbac: Rbac;
  readonly authorizer: Authorizer;
}

export function createReviews({ tokens, rbac, authorizer }: ReviewsOptions) {
  return {
    "authentication.k8s.io/tokenreviews": tokenReview(tokens),
    "authentication.k8s.io/selfsubjectreviews": selfSubjectReview,
    "authorization.k8s.io/subjectaccessreviews": subjectAccessReview(authorizer),
    "authorization.k8s.io/localsubjectaccessreviews": localReview(authorizer),
    "authorization.k8s.io/selfsubjectaccessreviews": selfReview(authorizer),
    "authorization.k8s.io/selfsubjectrulesreviews": rulesReview(rbac),
  };
}

const spec = FieldPath.root("spec");

function tokenReview(tokens: TokenAuthenticator): Review<TokenReview> {
  return async (body) => {
    if (!body.spec.token) throw statusError.badRequest("token is required for TokenReview in authentication");
    const result = tokens(body.spec.token, body.spec.audiences);
    if (!("user" in result)) {
      const invalid = "invalid bearer token";
      return { ...body, status: { user: {}, error: result.why ? `[${invalid}, ${result.why}]` : invalid } };
    }
    return { ...body, status: { authenticated: true, user: printUser(result.user), audiences: [...result.audiences] } };
  };
}

const selfSubjectReview: Review<SelfSubjectReview> = async (body, { user }) => ({
  ...body,
  status: { userInfo: printUser(user) },
});

function printUser(user: RequestUser) {
  const extra = Object.entries(user.extra).map(([key, values]) => [key, [...values]] as [string, string[]]);
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    groups: [...user.groups],
    ...(extra.length > 0 ? { extra: Object.fromEntries(extra) } : {}),
  };
}

function subjectAccessReview(authorizer: Authorizer): Review<SubjectAccessReview> {
  return async (body) => {
    refuse([...checkSpec(body.spec, true), ...checkMetadata(body.metadata, false)]);
    return { ...body, status: await decide(authorizer, body.spec, userOf(body.spec)) };
  };
}

function localReview(authorizer: Authorizer): Review<LocalSubjectAccessReview> {
  return async (body, { namespace }) => {
    const errors = [...checkSpec(body.spec, true), ...checkMetadata(body.metadata, true)];
    const asked = body.spec.resourceAttributes;
    if (asked && (asked.namespace ?? "") !== namespace)
      errors.push(
        fieldError.invalid(
          spec.child("resourceAttributes", "namespace"),
          asked.namespace ?? "",
          "must match metadata.namespace",
        ),
      );
    if (body.spec.nonResourceAttributes)
      errors.push(
        fieldError.invalid(
          spec.child("nonResourceAttributes"),
          body.spec.nonResourceAttributes,
          "disallowed on this kind of request",
        ),
      );
    refuse(errors);
    return { ...body, status: await decide(authorizer, body.spec, userOf(body.spec)) };
  };
}

function selfReview(authorizer: Authorizer): Review<SelfSubjectAccessReview> {
  return async (body, { user }) => {
    refuse([...checkSpec(body.spec, false), ...checkMetadata(body.metadata, false)]);
    return { ...body, status: await decide(authorizer, body.spec, user) };
  };
}

function rulesReview(rbac: Rbac): Review<SelfSubjectRulesReview> {
  return async (body, { user }) => {
    if (!body.spec.namespace) throw statusError.badRequest("no namespace on request");
    const { rules, errors } = rbac.rulesFor(user, body.spec.namespace);
    const all = rules.map(({ rule }) => rule);
    return {
      ...body,
      spec: {},
      status: {
        resourceRules: compactRules(all.filter((rule) => rule.resources?.length)).map(resourceRule),
        nonResourceRules: all
          .filter((rule) => rule.nonResourceURLs?.length)
          .map((rule) => ({ verbs: [...(rule.verbs ?? [])], nonResourceURLs: [...(rule.nonResourceURLs ?? [])] })),
        incomplete: errors.length > 0,
        ...(errors.length > 0 ? { evaluationError: aggregate(errors) } : {}),
      },
    };
  };
}

const resourceRule = (rule: PolicyRule) => ({
  verbs: [...(rule.verbs ?? [])],
  apiGroups: [...(rule.apiGroups ?? [])],
  resources: [...(rule.resources ?? [])],
  ...(rule.resourceNames?.length ? { resourceNames: [...rule.resourceNames] } : {}),
});

function userOf(asked: SubjectAccessReviewSpec): RequestUser {
  return { name: asked.user ?? "", uid: asked.uid ?? "", groups: asked.groups ?? [], extra: asked.extra ?? {} };
}

async function decide(
  authorizer: Authorizer,
  asked: Pick<SubjectAccessReviewSpec, "resourceAttributes" | "nonResourceAttributes">,
  user: RequestUser,
): Promise<SubjectAccessReviewStatus> {
  const { resourceAttributes: resource, nonResourceAttributes: path } = asked;
  const attributes: Attributes = {
    user,
    verb: resource?.verb ?? path?.verb ?? "",
    resourceRequest: resource !== undefined,
    path: path?.path ?? "",
    apiGroup: resource?.group ?? "",
    apiVersion: resource?.version ?? "",
    resource: resource?.resource ?? "",
    subresource: resource?.subresource ?? "",
    namespace: resource?.namespace ?? "",
    name: resource?.name ?? "",
    ...(resource?.fieldSelector && { fieldSelector: requirementsOf(resource.fieldSelector) }),
  };
  const { allowed, reason } = await authorizer.authorize(attributes);
  return { allowed, ...(reason ? { reason } : {}) };
}

/** Requirements that can't be expressed as equalities limit nothing, so they count as absent; so does text that doesn't parse. */
function requirementsOf({ rawSelector, requirements }: FieldSelectorAttributes): FieldRequirement[] {
  if (requirements?.length)
    return requirements.flatMap(({ key, operator, values }) =>
      values?.length === 1 && (operator === "In" || operator === "NotIn")
        ? [{ field: key, operator: operator === "In" ? "=" : "!=", value: values[0] ?? "" }]
        : [],
    );
  try {
    return [...parseFieldSelector(rawSelector ?? "").requirements];
  } catch (error) {
    if (error instanceof SelectorError) return [];
    throw error;
  }
}

function checkSpec(asked: SubjectAccessReviewSpec, subject: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (asked.resourceAttributes && asked.nonResourceAttributes)
    errors.push(
      fieldError.invalid(
        spec.child("nonResourceAttributes"),
        asked.nonResourceAttributes,
        "cannot be specified in combination with resourceAttributes",
      ),
    );
  if (!asked.resourceAttributes && !asked.nonResourceAttributes)
    errors.push(
      fieldError.invalid(
        spec.child("resourceAttributes"),
        "null",
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      ),
    );
  if (subject && !asked.user && !asked.groups?.length)
    errors.push(fieldError.invalid(spec.child("user"), "", "at least one of user or group must be specified"));
  return errors;
}

/** A review is about nothing that has a name. */
function checkMetadata(metadata: object | undefined, local: boolean): FieldError[] {
  const more = Object.keys(metadata ?? {}).filter((key) => key !== "managedFields" && !(local && key === "namespace"));
  if (more.length === 0) return [];
  const detail = local ? "must be empty except for namespace" : "must be empty";
  return [fieldError.invalid(FieldPath.root("metadata"), metadata, detail)];
}

function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw statusError.invalid({ group: "authorization.k8s.io", kind: "" }, "", errors);
}
