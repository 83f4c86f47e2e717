/**
 * The reviews: resources that can only be created and are never stored; the answer is the body with its status filled in.
 * TokenReview, SelfSubjectReview and the SubjectAccessReview family.
 */
import type {
  LocalSubjectAccessReview,
  NonResourceAttributes,
  RequestUser,
  SelfSubjectAccessReview,
  SelfSubjectReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
  TokenReview,
} from "#api";
import { type FieldError, FieldPath, fieldError, formatTime, statusError } from "#machinery";
import type { Authorizer } from "../security.ts";
import type { TokenAuthenticator } from "./authn/token-chain.ts";
import type { RulesAuthorizer } from "./authz/chain.ts";
import { type AskedAttributes, askedAttributes, checkSelectors } from "./review-attributes.ts";
import type { PolicyRule } from "./rules.ts";

export interface ReviewContext {
  readonly user: RequestUser;
  /** Of the URL; "" for cluster-scoped paths. */
  readonly namespace: string;
}

export type Review<T> = (body: T, context: ReviewContext) => Promise<T>;

/** By `group/resource`. */
export interface ReviewsOptions {
  readonly tokens: TokenAuthenticator;
  readonly authorizer: RulesAuthorizer;
}

export function createReviews({ tokens, authorizer }: ReviewsOptions) {
  return {
    "authentication.k8s.io/tokenreviews": tokenReview(tokens),
    "authentication.k8s.io/selfsubjectreviews": selfSubjectReview,
    "authorization.k8s.io/subjectaccessreviews": subjectAccessReview(authorizer),
    "authorization.k8s.io/localsubjectaccessreviews": localReview(authorizer),
    "authorization.k8s.io/selfsubjectaccessreviews": selfReview(authorizer),
    "authorization.k8s.io/selfsubjectrulesreviews": rulesReview(authorizer),
  };
}

const spec = FieldPath.root("spec");

function tokenReview(tokens: TokenAuthenticator): Review<TokenReview> {
  return async (body) => {
    if (!body.spec.token) throw statusError.badRequest("token is required for TokenReview in authentication");
    const { audiences } = body.spec;
    const result = await tokens.authenticate(body.spec.token, audiences?.length ? audiences : undefined);
    if (!("user" in result)) {
      const reasons = [...new Set(["invalid bearer token", ...result.reasons])];
      return {
        ...body,
        status: { user: {}, error: reasons.length === 1 ? reasons.join() : `[${reasons.join(", ")}]` },
      };
    }
    return { ...body, status: { authenticated: true, user: printUser(result.user), audiences: [...result.audiences] } };
  };
}

const selfSubjectReview: Review<SelfSubjectReview> = async (body, { user }) => ({
  ...body,
  metadata: { ...body.metadata, creationTimestamp: formatTime(Date.now()) },
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
          printPath(body.spec.nonResourceAttributes),
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

function rulesReview(authorizer: RulesAuthorizer): Review<SelfSubjectRulesReview> {
  return async (body, { user }) => {
    if (!body.spec.namespace) throw statusError.badRequest("no namespace on request");
    const { rules, incomplete, error } = authorizer.rulesFor(user, body.spec.namespace);
    return {
      ...body,
      spec: {},
      status: {
        resourceRules: rules.filter((rule) => rule.resources?.length).map(resourceRule),
        nonResourceRules: rules
          .filter((rule) => rule.nonResourceURLs?.length)
          .map((rule) => ({ verbs: [...(rule.verbs ?? [])], nonResourceURLs: [...(rule.nonResourceURLs ?? [])] })),
        incomplete,
        ...(error === undefined ? {} : { evaluationError: error }),
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
  asked: AskedAttributes,
  user: RequestUser,
): Promise<SubjectAccessReviewStatus> {
  const { attributes, errors } = askedAttributes(asked, user);
  const { allowed, denied, reason, error } = await authorizer.authorize(attributes);
  const evaluationError = [...(error === undefined ? [] : [error]), ...errors].join("; ");
  return {
    allowed,
    ...(denied ? { denied } : {}),
    ...(reason ? { reason } : {}),
    ...(evaluationError ? { evaluationError } : {}),
  };
}

/** As Go's struct. */
const printPath = ({ path = "", verb = "" }: NonResourceAttributes) => ({ Path: path, Verb: verb });

function checkSpec(asked: SubjectAccessReviewSpec, subject: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if (asked.resourceAttributes && asked.nonResourceAttributes)
    errors.push(
      fieldError.invalid(
        spec.child("nonResourceAttributes"),
        printPath(asked.nonResourceAttributes),
        "cannot be specified in combination with resourceAttributes",
      ),
    );
  if (!asked.resourceAttributes && !asked.nonResourceAttributes)
    errors.push(
      fieldError.invalid(
        spec.child("resourceAttributes"),
        null,
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      ),
    );
  if (subject && !asked.user && !asked.groups?.length)
    errors.push(fieldError.invalid(spec.child("user"), "", "at least one of user or group must be specified"));
  return [...errors, ...checkSelectors(asked.resourceAttributes)];
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
