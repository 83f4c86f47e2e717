/** What validating and mutating webhooks have in common. Follows apis/admissionregistration/validation. */
import {
  type FieldError,
  FieldPath,
  isDns1035Label,
  isFullyQualifiedName,
  type KubernetesObject,
  validateLabelSelector as findFaults,
} from "#machinery";
import { semanticEqual } from "../equality.ts";
import { Place } from "../place.ts";
import { validateLabelSelector } from "../selectors.ts";
import type { MutatingWebhook, ValidatingWebhook } from "../types.d.ts";
import { validateMatchConditions } from "./match-conditions.ts";
import { defaultRules, validateRule } from "./rules.ts";
import { validateClientConfig } from "./webhook-client.ts";

export type Webhook = ValidatingWebhook & Pick<MutatingWebhook, "reinvocationPolicy">;

export interface WebhookConfiguration extends KubernetesObject {
  webhooks?: Webhook[];
}

const timeoutSeconds = 10;
const timeoutSecondsMax = 30;
const servicePort = 443;

export function defaultWebhooks({ webhooks = [] }: WebhookConfiguration): void {
  for (const hook of webhooks) {
    hook.failurePolicy ??= "Fail";
    hook.matchPolicy ??= "Equivalent";
    hook.namespaceSelector ??= {};
    hook.objectSelector ??= {};
    hook.timeoutSeconds ??= timeoutSeconds;
    defaultRules(hook.rules);
    if (hook.clientConfig?.service) hook.clientConfig.service.port ??= servicePort;
  }
}

/** Faults that an older release has let in, and that may stay if the stored object has them. */
interface WebhookTolerance {
  readonly sideEffects: boolean;
  readonly unknownVersions: boolean;
  readonly repeatedNames: boolean;
  readonly selectorValues: boolean;
  /** They didn't change. */
  readonly matchConditions: boolean;
  readonly storedExpressions: ReadonlySet<string>;
}

const noTolerance: WebhookTolerance = {
  sideEffects: false,
  unknownVersions: false,
  repeatedNames: false,
  selectorValues: false,
  matchConditions: false,
  storedExpressions: new Set(),
};

const failurePolicies = ["Fail", "Ignore"];
const matchPolicies = ["Equivalent", "Exact"];
const reinvocationPolicies = ["IfNeeded", "Never"];
const noSideEffects = ["None", "NoneOnDryRun"];
const allSideEffects = ["None", "NoneOnDryRun", "Some", "Unknown"];
const reviewVersions = ["v1", "v1beta1"];

function toleranceOf({ webhooks = [] }: WebhookConfiguration, old: WebhookConfiguration): WebhookTolerance {
  const before = old.webhooks ?? [];
  const names = before.map(({ name }) => name);
  const conditionsOf = (hooks: readonly Webhook[]) => hooks.map(({ matchConditions = [] }) => matchConditions);
  return {
    sideEffects: before.some(({ sideEffects }) => !noSideEffects.includes(sideEffects)),
    unknownVersions: before.some(
      ({ admissionReviewVersions: versions }) =>
        (versions?.length ?? 0) > 0 && !versions?.some((version) => reviewVersions.includes(version)),
    ),
    repeatedNames: new Set(names).size < names.length,
    selectorValues: before.some(({ namespaceSelector, objectSelector }) =>
      [namespaceSelector, objectSelector].some((selector) => findFaults(selector, FieldPath.none).length > 0),
    ),
    matchConditions: semanticEqual(conditionsOf(webhooks), conditionsOf(before)),
    storedExpressions: new Set(conditionsOf(before).flatMap((each) => each.map(({ expression }) => expression))),
  };
}

export function validateWebhooks(
  { webhooks = [] }: WebhookConfiguration,
  tolerate: WebhookTolerance = noTolerance,
): FieldError[] {
  const root = Place.root("webhooks");
  const names = new Set<string>();
  webhooks.forEach((hook, i) => {
    const at = root.index(i);
    validateWebhook(hook, at, tolerate);
    validateReviewVersions(hook.admissionReviewVersions ?? [], at.child("admissionReviewVersions"), tolerate);
    if (tolerate.repeatedNames || !hook.name) return;
    if (names.has(hook.name)) at.child("name").duplicate(hook.name);
    names.add(hook.name);
  });
  return root.errors;
}

export const validateWebhooksUpdate = (now: WebhookConfiguration, old: WebhookConfiguration): FieldError[] =>
  validateWebhooks(now, toleranceOf(now, old));

function validateOneOf(value: string | undefined, at: Place, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value)) at.notSupported(value, allowed);
}

function validateWebhook(hook: Webhook, at: Place, tolerate: WebhookTolerance): void {
  const { name = "", sideEffects, timeoutSeconds: timeout } = hook;
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, isFullyQualifiedName(name));
  hook.rules?.forEach((rule, i) => {
    validateRule(rule, at.child("rules").index(i));
  });
  validateOneOf(hook.failurePolicy, at.child("failurePolicy"), failurePolicies);
  validateOneOf(hook.matchPolicy, at.child("matchPolicy"), matchPolicies);
  const allowed = tolerate.sideEffects ? allSideEffects : noSideEffects;
  if (sideEffects === undefined || sideEffects === null) {
    at.child("sideEffects").required(`must specify one of ${allowed.join(", ")}`);
  } else validateOneOf(sideEffects, at.child("sideEffects"), allowed);
  if (timeout !== undefined && (timeout > timeoutSecondsMax || timeout < 1)) {
    const range = `the timeout value must be between 1 and ${timeoutSecondsMax} seconds`;
    at.child("timeoutSeconds").invalid(timeout, range);
  }
  const selectorOptions = { anyValue: tolerate.selectorValues };
  validateLabelSelector(hook.namespaceSelector, at.child("namespaceSelector"), selectorOptions);
  validateLabelSelector(hook.objectSelector, at.child("objectSelector"), selectorOptions);
  validateOneOf(hook.reinvocationPolicy, at.child("reinvocationPolicy"), reinvocationPolicies);
  validateClientConfig(hook.clientConfig ?? {}, at.child("clientConfig"));
  if (tolerate.matchConditions) return;
  const options = { params: false, stored: tolerate.storedExpressions };
  validateMatchConditions(hook.matchConditions, at.child("matchConditions"), options);
}

function validateReviewVersions(versions: readonly string[], at: Place, tolerate: WebhookTolerance): void {
  const known = reviewVersions.join(", ");
  if (versions.length === 0) {
    at.required(`must specify one of ${known}`);
    return;
  }
  versions.forEach((version, i) => {
    if (versions.indexOf(version) < i) at.index(i).invalid(version, "duplicate version");
    else at.index(i).invalidEach(version, isDns1035Label(version));
  });
  if (!tolerate.unknownVersions && !versions.some((version) => reviewVersions.includes(version))) {
    at.invalid(versions, `must include at least one of ${known}`);
  }
}

/** The generation counts the changes of webhooks. */
export function prepareChangedWebhooks(now: WebhookConfiguration, old: WebhookConfiguration): void {
  if (semanticEqual(now.webhooks, old.webhooks)) return;
  now.metadata = { ...now.metadata, generation: (old.metadata?.generation ?? 0) + 1 };
}
