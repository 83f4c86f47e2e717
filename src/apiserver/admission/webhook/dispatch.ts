/** What both sorts of webhooks share: who is asked about a request, in which version, and one question and its answer. */
import { randomUUID } from "node:crypto";
import { type DeepReadonly, type KubernetesObject, statusError } from "#machinery";
import type { Resource, ResourceTable } from "../../resource.ts";
import type { AdmissionRequest, Lookup } from "../chain.ts";
import { authorizerVariables } from "../policy/authorizer.ts";
import { conditionsMet } from "../policy/conditions.ts";
import type { Subject } from "../policy/evaluate.ts";
import { askedAs, nameOf, namespaceMatches, namespaceOf, shownAs } from "../requested.ts";
import type { Authorizer } from "../../security.ts";
import { CallError, type WebhookClient } from "./client.ts";
import { WebhookCallError } from "./errors.ts";
import type { Hook } from "./hooks.ts";
import { objectMatches, ruleMatches } from "./match.ts";
import {
  encodeReview,
  PatchTextError,
  type ReviewAnswer,
  ReviewError,
  type ReviewVersion,
  readReview,
  reviewVersions,
} from "./review.ts";

/** Upstream's default. */
const timeoutSecondsDefault = 10;

export interface DispatchContext {
  readonly authorizer: Authorizer;
  readonly table: ResourceTable;
  readonly client: WebhookClient;
  readonly lookup: Lookup;
}

/** A webhook that is to be asked, in the version that its rules name. */
export interface Invocation {
  readonly hook: Hook;
  readonly resource: Resource;
}

/** Undefined: it isn't to be asked. Throws a StatusError when that can't be told. */
export async function invocationOf(
  context: DispatchContext,
  hook: Hook,
  request: AdmissionRequest,
): Promise<Invocation | undefined> {
  const { webhook } = hook;
  if (!objectMatches(hook.objects, request)) return undefined;
  const resource = matchedResource(context.table, webhook, request);
  if (!resource || !(await namespaceMatches(context.lookup, hook.namespaces, request))) return undefined;
  if (hook.conditions.length === 0) return { hook, resource };
  const { conditions } = hook;
  const { failurePolicy } = webhook;
  const subject: Subject = {
    request,
    resource,
    object: await shownAs(resource, request.object),
    old: await shownAs(resource, request.old),
    namespace: undefined,
    params: undefined,
    authorizer: authorizerVariables(request, context.authorizer),
  };
  const { met, error } = await conditionsMet(subject, { conditions, failurePolicy });
  if (error !== undefined) throw statusError.forbidden(request.resource, nameOf(request), error);
  return met ? { hook, resource } : undefined;
}

/** The request's own resource, or for the match policy Equivalent the version of it that a rule names. */
function matchedResource(
  table: ResourceTable,
  { rules = [], matchPolicy }: Hook["webhook"],
  request: AdmissionRequest,
): Resource | undefined {
  const { resource } = request;
  const own = askedAs(request, resource);
  if (rules.some((rule) => ruleMatches(rule, own))) return resource;
  if (matchPolicy === "Exact" || !resource.stored) return undefined;
  const { prefix } = resource.stored;
  const others = [...table.all()].filter(({ stored }) => stored?.prefix === prefix);
  for (const rule of rules)
    for (const other of others) if (other !== resource && ruleMatches(rule, askedAs(request, other))) return other;
  return undefined;
}

export interface Question {
  readonly invocation: Invocation;
  readonly request: AdmissionRequest;
  /** As the webhook is to see them. */
  readonly object: DeepReadonly<KubernetesObject> | undefined;
  readonly old: DeepReadonly<KubernetesObject> | undefined;
  readonly mutating: boolean;
}

/** Rejects with a WebhookCallError, or a StatusError that no failure policy forgives. */
export async function ask({ client, lookup }: DispatchContext, question: Question): Promise<ReviewAnswer> {
  const { invocation, request, mutating } = question;
  const { webhook } = invocation.hook;
  const { name, sideEffects } = webhook;
  if (request.dryRun && sideEffects !== "None" && sideEffects !== "NoneOnDryRun")
    throw statusError.badRequest(`admission webhook ${JSON.stringify(name)} does not support dry run`);
  const version = webhook.admissionReviewVersions.find(isKnownVersion);
  if (!version)
    throw new WebhookCallError(
      name,
      "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)",
    );
  const uid = randomUUID();
  const body = encodeReview(version, reviewOf(uid, question));
  const timeoutSeconds = webhook.timeoutSeconds ?? timeoutSecondsDefault;
  try {
    const text = await client.post({ client: webhook.clientConfig, body, timeoutSeconds }, lookup);
    const answer = readReview(text, { uid, version, mutating });
    request.warnings.push(...answer.warnings);
    for (const [key, value] of Object.entries(answer.auditAnnotations))
      request.audit?.annotate(`${name}/${key}`, value);
    return answer;
  } catch (error) {
    if (error instanceof CallError) throw new WebhookCallError(name, `failed to call webhook: ${error.message}`);
    if (error instanceof ReviewError)
      throw new WebhookCallError(name, `received invalid webhook response: ${error.message}`);
    if (error instanceof PatchTextError) throw statusError.internal(error.message);
    throw error;
  }
}

const isKnownVersion = (version: string): version is ReviewVersion =>
  (reviewVersions as readonly string[]).includes(version);

function reviewOf(uid: string, { invocation, request, object, old }: Question) {
  const { resource: own, operation, subresource, user, dryRun } = request;
  const { resource } = invocation;
  return {
    uid,
    kind: kindOf(resource, object),
    resource: { group: resource.group, version: resource.version, resource: resource.resource },
    subresource,
    requestKind: kindOf(own, request.object),
    requestResource: { group: own.group, version: own.version, resource: own.resource },
    name: nameOf(request),
    namespace: namespaceOf(request),
    operation,
    user,
    object,
    old,
    dryRun,
    options: operation === "CONNECT" ? undefined : request.options,
  };
}

/** Bodies of subresources say themselves what they are. */
function kindOf(resource: Resource, object: DeepReadonly<KubernetesObject> | undefined) {
  const { group, version, kind } = resource;
  if (object?.kind === undefined || object.kind === kind || object.apiVersion === undefined)
    return { group, version, kind };
  const [first = "", second] = object.apiVersion.split("/");
  return { group: second === undefined ? "" : first, version: second ?? first, kind: object.kind };
}
