/** AuthorizationConfiguration files: read strictly, defaulted and validated in upstream's words. */
import { statSync } from "node:fs";
import path from "node:path";
import { printDuration } from "#base";
import {
  ConfigurationError,
  decodeConfiguration,
  type FieldError,
  FieldPath,
  fieldError,
  isDns1123Subdomain,
  printFieldErrors,
  type ShapeValue,
  shape,
} from "#machinery";
import { type CompileExpression, compileAt, type Expression } from "../expressions.ts";

const webhookShape = shape("WebhookConfiguration", {
  authorizedTTL: "duration",
  cacheAuthorizedRequests: "bool?",
  unauthorizedTTL: "duration",
  cacheUnauthorizedRequests: "bool?",
  timeout: "duration",
  subjectAccessReviewVersion: "string",
  matchConditionSubjectAccessReviewVersion: "string",
  failurePolicy: "string",
  connectionInfo: shape("WebhookConnectionInfo", { type: "string", kubeConfigFile: "string?" }),
  matchConditions: [shape("WebhookMatchCondition", { expression: "string" })],
});

const kind = {
  kind: "AuthorizationConfiguration",
  apiVersions: ["v1", "v1beta1", "v1alpha1"].map((version) => `apiserver.config.k8s.io/${version}`),
  shape: shape("AuthorizationConfiguration", {
    authorizers: [
      shape("AuthorizerConfiguration", { type: "string", name: "string", webhook: { optional: webhookShape } }),
    ],
  }),
} as const;

/** In upstream's order, which messages show. */
export const authorizationModes = ["ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"] as const;
export type AuthorizationMode = (typeof authorizationModes)[number];

export interface WebhookConfiguration {
  readonly kubeconfigFile: string;
  readonly version: string;
  readonly timeoutMs: number;
  /** 0: not kept. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly failurePolicy: "NoOpinion" | "Deny";
  readonly conditions: readonly Expression[];
}

export type AuthorizerConfiguration =
  | { readonly type: Exclude<AuthorizationMode, "Webhook"> }
  | { readonly type: "Webhook"; readonly name: string; readonly webhook: WebhookConfiguration };

const defaultAuthorizedTtlMs = 5 * 60_000;
const defaultUnauthorizedTtlMs = 30_000;
const timeoutMsMax = 30_000;
const conditionsMax = 64;

/** Throws with everything that is wrong. `required`: types that must stay, because a running server has them. */
export async function parseAuthorizationConfiguration(
  text: string,
  { compile, required = [] }: { compile: CompileExpression; required?: readonly AuthorizationMode[] },
): Promise<readonly AuthorizerConfiguration[]> {
  const given = text === "" ? { authorizers: [] } : await decode(text);
  const errors: FieldError[] = [];
  const root = FieldPath.none.child("authorizers");
  if (given.authorizers.length === 0)
    errors.push(fieldError.required(root, "at least one authorization mode must be defined"));
  const seen = { types: new Set<string>(), names: new Set<string>() };
  const read = given.authorizers.flatMap((each, position) => {
    const found = readAuthorizer(each, { at: root.index(position), errors, seen, compile });
    return found ? [found] : [];
  });
  if (errors.length > 0) throw new ConfigurationError(printFieldErrors(errors));
  const problems = given.authorizers.flatMap(({ type, name }) =>
    type === "Webhook" || name === type.toLowerCase()
      ? []
      : [`expected name ${type.toLowerCase()} for authorizer ${type} instead of ${name}`],
  );
  const missing = required.filter((type) => !seen.types.has(type)).sort();
  if (missing.length > 0) problems.push(`missing required types: [${missing.join(" ")}]`);
  if (problems.length > 0)
    throw new ConfigurationError(problems.length === 1 ? problems.join() : `[${problems.join(", ")}]`);
  return read;
}

async function decode(text: string) {
  try {
    return await decodeConfiguration(text, kind);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(`failed to load AuthorizationConfiguration from file: ${error.message}`);
  }
}

type GivenAuthorizer = ShapeValue<typeof kind.shape>["authorizers"][number];
type GivenWebhook = ShapeValue<typeof webhookShape>;

interface Reading {
  readonly at: FieldPath;
  readonly errors: FieldError[];
  readonly seen: { readonly types: Set<string>; readonly names: Set<string> };
  readonly compile: CompileExpression;
}

function readAuthorizer(given: GivenAuthorizer, reading: Reading): AuthorizerConfiguration | undefined {
  const { at, errors, seen } = reading;
  const { type, name, webhook } = given;
  const mode = authorizationModes.find((each) => each === type);
  if (type === "") errors.push(fieldError.required(at.child("type")));
  else if (!mode) errors.push(fieldError.notSupported(at.child("type"), type, authorizationModes));
  else if (seen.types.has(type) && type !== "Webhook") errors.push(fieldError.duplicate(at.child("type"), type));
  else {
    seen.types.add(type);
    checkName(name, reading);
    if (mode !== "Webhook") {
      if (webhook)
        errors.push(fieldError.invalid(at.child("webhook"), "non-null", "may only be specified when type=Webhook"));
      return { type: mode };
    }
    if (webhook) return { type: mode, name, webhook: readWebhook(webhook, reading) };
    errors.push(fieldError.required(at.child("webhook"), "required when type=Webhook"));
  }
  return undefined;
}

function checkName(name: string, { at, errors, seen }: Reading): void {
  const path = at.child("name");
  const invalid = isDns1123Subdomain(name);
  if (name === "") errors.push(fieldError.required(path));
  else if (seen.names.has(name)) errors.push(fieldError.duplicate(path, name));
  else if (invalid.length > 0)
    errors.push(fieldError.invalid(path, name, `authorizer name is invalid: ${invalid.join(", ")}`));
  seen.names.add(name);
}

function readWebhook(given: GivenWebhook, reading: Reading): WebhookConfiguration {
  const { at, errors } = reading;
  const authorizedTtlMs = given.authorizedTTL || defaultAuthorizedTtlMs;
  const unauthorizedTtlMs = given.unauthorizedTTL || defaultUnauthorizedTtlMs;
  const { timeout, failurePolicy, matchConditions } = given;
  if (timeout === 0) errors.push(fieldError.required(at.child("timeout")));
  else if (timeout > timeoutMsMax || timeout < 0)
    errors.push(fieldError.invalid(at.child("timeout"), printDuration(timeout), "must be > 0s and <= 30s"));
  for (const [field, ttl] of [
    ["authorizedTTL", authorizedTtlMs],
    ["unauthorizedTTL", unauthorizedTtlMs],
  ] as const)
    if (ttl < 0) errors.push(fieldError.invalid(at.child(field), printDuration(ttl), "must be > 0s"));
  checkChoice(given.subjectAccessReviewVersion, ["v1", "v1beta1"], {
    at: at.child("subjectAccessReviewVersion"),
    errors,
  });
  const conditionVersion = at.child("matchConditionSubjectAccessReviewVersion");
  if (given.matchConditionSubjectAccessReviewVersion !== "")
    checkChoice(given.matchConditionSubjectAccessReviewVersion, ["v1"], { at: conditionVersion, errors });
  else if (matchConditions.length > 0)
    errors.push(fieldError.required(conditionVersion, "required if match conditions are specified"));
  checkChoice(failurePolicy, ["NoOpinion", "Deny"], { at: at.child("failurePolicy"), errors });
  checkConnection(given.connectionInfo, { at: at.child("connectionInfo"), errors });
  return {
    kubeconfigFile: given.connectionInfo.kubeConfigFile ?? "",
    version: given.subjectAccessReviewVersion,
    timeoutMs: timeout,
    authorizedTtlMs: given.cacheAuthorizedRequests === false ? 0 : authorizedTtlMs,
    unauthorizedTtlMs: given.cacheUnauthorizedRequests === false ? 0 : unauthorizedTtlMs,
    failurePolicy: failurePolicy === "Deny" ? "Deny" : "NoOpinion",
    conditions: readConditions(matchConditions, reading),
  };
}

interface Checking {
  readonly at: FieldPath;
  readonly errors: FieldError[];
}

function checkChoice(value: string, choices: readonly string[], { at, errors }: Checking): void {
  if (value === "") errors.push(fieldError.required(at));
  else if (!choices.includes(value)) errors.push(fieldError.notSupported(at, value, choices));
}

function checkConnection({ type, kubeConfigFile }: GivenWebhook["connectionInfo"], { at, errors }: Checking) {
  const file = at.child("kubeConfigFile");
  const invalid = (detail: string) => void errors.push(fieldError.invalid(file, kubeConfigFile, detail));
  // It is what an API server inside of another cluster would use; this one has no such account.
  if (type === "InClusterConfig")
    return void errors.push(
      fieldError.forbidden(at.child("type"), "InClusterConfig is not possible for an API server"),
    );
  if (type !== "KubeConfigFile")
    return checkChoice(type, ["InClusterConfig", "KubeConfigFile"], { at: at.child("type"), errors });
  if (!kubeConfigFile) return void errors.push(fieldError.required(file));
  if (!path.isAbsolute(kubeConfigFile)) return invalid("must be an absolute path");
  const found = statSync(kubeConfigFile, { throwIfNoEntry: false });
  if (!found) return invalid(`error loading file: stat ${kubeConfigFile}: no such file or directory`);
  if (!found.isFile()) invalid("must be a regular file");
}

function readConditions(
  conditions: GivenWebhook["matchConditions"],
  { at, errors, compile }: Reading,
): readonly Expression[] {
  const list = at.child("matchConditions");
  if (conditions.length > conditionsMax) {
    errors.push(fieldError.tooMany(list, conditions.length, conditionsMax));
    return [];
  }
  const seen = new Set<string>();
  return conditions.flatMap(({ expression }, position) => {
    const field = list.index(position).child("expression");
    if (expression.trim() === "") errors.push(fieldError.required(field));
    else if (seen.has(expression)) errors.push(fieldError.duplicate(field, expression));
    else {
      seen.add(expression);
      const compiled = compileAt(field, expression, { compile, errors, scope: "request", returns: "bool" });
      if (compiled) return [compiled];
    }
    return [];
  });
}
