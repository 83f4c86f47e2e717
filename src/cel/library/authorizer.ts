/**
 * `authorizer.group("apps").resource("deployments").check("create").allowed()`: questions to whoever decides what a user
 * may do (apiserver/pkg/cel/library/authz.go). Evaluation is synchronous and answers may take time, so a question whose
 * answer isn't there throws PendingChecks; evaluateAsync waits and evaluates again, and then finds the answer. An
 * expression can afford two checks of 350,000 cost units, so little is repeated.
 */

import { nameIsDnsLabel, nameIsDnsSubdomain } from "#machinery";
import type { Implementation, Library } from "../functions.ts";
import { type CelType, objectType } from "../types.ts";
import { CelError, CelObject, type CelValue, noSuchOverload, type Result } from "../values.ts";

export interface AuthorizerUser {
  readonly name: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What is asked; empty texts are not set. */
export interface AuthorizerAttributes {
  readonly user: AuthorizerUser;
  readonly verb: string;
  /** Of requests for anything but resources. */
  readonly path: string;
  readonly resourceRequest: boolean;
  readonly apiGroup: string;
  /** `*` for resources. */
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** As texts; whoever decides parses them. */
  readonly fieldSelector: string;
  readonly labelSelector: string;
}

export interface AuthorizerDecision {
  readonly decision: "allow" | "deny" | "none";
  readonly reason?: string;
  readonly error?: string;
}

/** Who is asked; may answer at once. What goes wrong is part of the decision, a rejection ends the evaluation. */
export type Authorize = (attributes: AuthorizerAttributes) => AuthorizerDecision | Promise<AuthorizerDecision>;

export interface AuthorizerOptions {
  readonly user: AuthorizerUser;
  readonly authorize: Authorize;
}

/** Which resource the request is about, for the variable `authorizer.requestResource`. */
export interface RequestResource {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** An answer has to be waited for. */
export class PendingChecks extends Error {
  readonly answered: Promise<unknown>;
  constructor(answered: Promise<unknown>) {
    super("an authorization check has no answer yet: evaluate with evaluateAsync");
    this.answered = answered;
  }
}

const packageName = "kubernetes.authorization";
const typeNamed = (name: string): CelType => objectType(`${packageName}.${name}`);
export const authorizerType = typeNamed("Authorizer");
const pathCheckType = typeNamed("PathCheck");
const groupCheckType = typeNamed("GroupCheck");
export const resourceCheckType = typeNamed("ResourceCheck");
const decisionType = typeNamed("Decision");

/** Asks each question once; shared by all values that come from one authorizer. */
class Questions {
  readonly #authorize: Authorize;
  readonly #answers = new Map<string, AuthorizerDecision | Promise<void>>();
  constructor(authorize: Authorize) {
    this.#authorize = authorize;
  }
  ask(attributes: AuthorizerAttributes): AuthorizerDecision {
    const key = JSON.stringify(attributes);
    const known = this.#answers.get(key) ?? this.#authorize(attributes);
    if (!(known instanceof Promise)) {
      this.#answers.set(key, known);
      return known;
    }
    const answered = known.then((decision) => {
      if (decision) this.#answers.set(key, decision);
    });
    this.#answers.set(key, answered);
    throw new PendingChecks(answered);
  }
}

/** Values that only have functions; they never equal anything. */
abstract class Opaque extends CelObject {
  equals(_other: CelValue): boolean | CelError {
    return noSuchOverload;
  }
}

class Authorizer extends Opaque {
  readonly type = authorizerType;
  readonly user: AuthorizerUser;
  readonly questions: Questions;
  constructor(user: AuthorizerUser, questions: Questions) {
    super();
    this.user = user;
    this.questions = questions;
  }
}

class PathCheck extends Opaque {
  readonly type = pathCheckType;
  readonly authorizer: Authorizer;
  readonly path: string;
  constructor(authorizer: Authorizer, path: string) {
    super();
    this.authorizer = authorizer;
    this.path = path;
  }
}

class GroupCheck extends Opaque {
  readonly type = groupCheckType;
  readonly authorizer: Authorizer;
  readonly group: string;
  constructor(authorizer: Authorizer, group: string) {
    super();
    this.authorizer = authorizer;
    this.group = group;
  }
}

type ResourceParts = Pick<
  AuthorizerAttributes,
  "resource" | "subresource" | "namespace" | "name" | "fieldSelector" | "labelSelector"
>;

const noParts: ResourceParts = {
  resource: "",
  subresource: "",
  namespace: "",
  name: "",
  fieldSelector: "",
  labelSelector: "",
};

class ResourceCheck extends Opaque {
  readonly type = resourceCheckType;
  readonly group: GroupCheck;
  readonly parts: ResourceParts;
  constructor(group: GroupCheck, parts: ResourceParts) {
    super();
    this.group = group;
    this.parts = parts;
  }
}

class Decision extends Opaque {
  readonly type = decisionType;
  readonly answer: AuthorizerDecision;
  constructor(answer: AuthorizerDecision) {
    super();
    this.answer = answer;
  }
}

/** The variable `authorizer`. */
export function createAuthorizer({ user, authorize }: AuthorizerOptions): CelObject {
  return new Authorizer(user, new Questions(authorize));
}

/** The variable `authorizer.requestResource`, given what `createAuthorizer` made. */
export function createResourceCheck(authorizer: CelObject, { group, ...resource }: RequestResource): CelObject {
  if (!(authorizer instanceof Authorizer)) throw new Error("createResourceCheck: not made by createAuthorizer");
  return new ResourceCheck(new GroupCheck(authorizer, group), { ...noParts, ...resource });
}

const isBlank = (text: string): boolean => text.trim() === "";

function serviceAccount(authorizer: Authorizer, namespace: string, name: string): Result {
  if (nameIsDnsSubdomain(name, false).length > 0) return new CelError("Invalid service account name");
  if (nameIsDnsLabel(namespace, false).length > 0) return new CelError("Invalid service account namespace");
  const user = {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
  };
  return new Authorizer(user, authorizer.questions);
}

function checkPath({ authorizer, path }: PathCheck, verb: string): Result {
  const { user, questions } = authorizer;
  const nothing = { ...noParts, apiGroup: "", apiVersion: "" };
  return new Decision(questions.ask({ user, verb, path, resourceRequest: false, ...nothing }));
}

function checkResource({ group, parts }: ResourceCheck, verb: string): Result {
  const { user, questions } = group.authorizer;
  const attributes = { user, verb, path: "", resourceRequest: true, apiGroup: group.group, apiVersion: "*", ...parts };
  return new Decision(questions.ask(attributes));
}

const part =
  (name: keyof ResourceParts): Implementation =>
  (check: ResourceCheck, value: string) =>
    new ResourceCheck(check.group, { ...check.parts, [name]: value });

const [authorizerName, pathName, groupName, resourceName, decisionName] = [
  authorizerType,
  pathCheckType,
  groupCheckType,
  resourceCheckType,
  decisionType,
].map((type) => type.name);

const setsPart = (id: string, name: keyof ResourceParts) => ({
  [`${id} .(${resourceName}, string) ${resourceName}`]: part(name),
});

const tells = (id: string, type: string, of: (answer: AuthorizerDecision) => boolean | string) => ({
  [`${id} .(${decisionName}) ${type}`]: ((decision: Decision) => of(decision.answer)) as Implementation,
});

export const authorizerLibrary: Library = {
  since: 27,
  functions: {
    path: {
      [`authorizer_path .(${authorizerName}, string) ${pathName}`]: (authorizer: Authorizer, path: string) =>
        isBlank(path) ? new CelError("path must not be empty") : new PathCheck(authorizer, path),
    },
    group: {
      [`authorizer_group .(${authorizerName}, string) ${groupName}`]: (authorizer: Authorizer, group: string) =>
        new GroupCheck(authorizer, group),
    },
    serviceAccount: {
      [`authorizer_serviceaccount .(${authorizerName}, string, string) ${authorizerName}`]: serviceAccount,
    },
    resource: {
      [`groupcheck_resource .(${groupName}, string) ${resourceName}`]: (group: GroupCheck, resource: string) =>
        isBlank(resource)
          ? new CelError("resource must not be empty")
          : new ResourceCheck(group, { ...noParts, resource }),
    },
    subresource: setsPart("resourcecheck_subresource", "subresource"),
    namespace: setsPart("resourcecheck_namespace", "namespace"),
    name: setsPart("resourcecheck_name", "name"),
    fieldSelector: setsPart("authorizer_fieldselector", "fieldSelector"),
    labelSelector: setsPart("authorizer_labelselector", "labelSelector"),
    check: {
      [`pathcheck_check .(${pathName}, string) ${decisionName}`]: checkPath,
      [`resourcecheck_check .(${resourceName}, string) ${decisionName}`]: checkResource,
    },
    errored: tells("decision_errored", "bool", ({ error }) => error !== undefined),
    error: tells("decision_error", "string", ({ error }) => error ?? ""),
    allowed: tells("decision_allowed", "bool", ({ decision }) => decision === "allow"),
    reason: tells("decision_reason", "string", ({ reason }) => reason ?? ""),
  },
};
