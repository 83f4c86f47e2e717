/**
 * The way of a request, whoever carried it: what is asked for, may this user do it, who serves it. Callers authenticate before and
 * present the answer after; HTTP and the in-memory transport both come through here.
 */
import type { RequestUser } from "#api";
import {
  type FieldRequirement,
  type LabelRequirement,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  statusError,
} from "#machinery";
import type { Aggregation } from "./aggregation/aggregation.ts";
import type { Answer } from "./answer.ts";
import type { Auditor } from "./audit/auditor.ts";
import type { RequestAudit } from "./audit/request-audit.ts";
import { attributesOf } from "./authorize.ts";
import { type PathHandlers, pageNotFound, textAnswer } from "./paths.ts";
import { PlainFailure, plainFailureText } from "./plain-failure.ts";
import type { Query } from "./query.ts";
import type { RequestBody } from "./registry/call.ts";
import type { Registry } from "./registry/registry.ts";
import type { OddTarget, PathTarget, ResourceTarget, Target } from "./request-target.ts";
import type { Resource, ResourceTable } from "./resource.ts";
import type { Attributes, Authorizer } from "./security.ts";
import { forbiddenError } from "./security/forbidden.ts";
import type { ArrivingRequest, RequestMeter, Traffic } from "./traffic.ts";

export interface PipelineOptions {
  readonly table: ResourceTable;
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly paths: PathHandlers;
  readonly aggregation: Aggregation;
  /** Absent: no audit log. */
  readonly audit?: Auditor | undefined;
  readonly traffic: Traffic;
}

export interface PipelineRequest extends ArrivingRequest {
  readonly accept?: string | undefined;
  readonly etag?: string | undefined;
  readonly host?: string;
  readonly audit?: RequestAudit | undefined;
}

export interface CallInput {
  readonly body: RequestBody;
  readonly userAgent: string;
  readonly warnings: string[];
  readonly now: number;
}

/** A request that was let through and has someone who serves it. */
export type Route =
  | { readonly type: "answer"; readonly answer: Answer; readonly meter: RequestMeter }
  | {
      readonly type: "resource";
      /** Whoever writes the answer ends it. */
      readonly meter: RequestMeter;
      readonly resource: Resource;
      readonly verb: string;
      /** May take as long as it takes: watches, exec, proxies. */
      readonly longRunning: boolean;
      /** Speaks for itself, in whatever form: nothing to negotiate. */
      readonly streams: boolean;
      run(input: CallInput): Promise<Answer>;
    };

export class Pipeline {
  readonly #options: PipelineOptions;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  get audit(): Auditor | undefined {
    return this.#options.audit;
  }

  get traffic(): Traffic {
    return this.#options.traffic;
  }

  /** Throws a StatusError: forbidden, not found, method not allowed; or TooManyRequests. */
  async route(request: PipelineRequest): Promise<Route> {
    const { target, query, method } = request;
    const verb = verbOf(method, target, query);
    const arriving = this.#options.traffic.arrive(request, verb, isLongRunning(verb, target));
    const meter = arriving instanceof Promise ? await arriving : arriving;
    try {
      await this.#authorize(request, meter);
      const elsewhere = this.#elsewhere(request, verb);
      if (elsewhere) return { type: "answer", answer: await elsewhere, meter };
      if (target.type === "resource") return this.#resourceRoute(request, target, meter);
      meter.servingPath(target.parts);
      return { type: "answer", answer: await this.#servePath(request, target), meter };
    } catch (error) {
      meter.end(0, 0);
      throw error;
    }
  }

  #resourceRoute(request: PipelineRequest, target: ResourceTarget, meter: RequestMeter): Route {
    const { user, query, method, audit } = request;
    const { verb } = meter;
    const resource = this.#find(target);
    if (!resource) return { type: "answer", answer: this.#nowhere(target.group), meter };
    if (resource.custom && misplaced(resource, target, verb)) return { type: "answer", answer: pageNotFound(), meter };
    checkMethod(resource, target, { verb, method });
    meter.serving(resource);
    return {
      type: "resource",
      meter,
      resource,
      verb,
      longRunning: isLongRunning(verb, target),
      streams: streams.has(target.subresource),
      run: (input) => {
        const answer = this.#options.registry.serve({ ...input, user, verb, resource, target, query, audit, meter });
        return verb === "watch" ? answer.then((found) => meter.watching(found)) : answer;
      },
    };
  }

  async #authorize(request: PipelineRequest, meter: RequestMeter): Promise<void> {
    const { audit, user } = request;
    const attributes = attributesOf(questionOf(request, user));
    const decision = this.#options.authorizer.authorize(attributes);
    const { allowed, reason, error } = decision instanceof Promise ? await decision : decision;
    const broken = !allowed && error !== undefined;
    meter.authorized(broken ? "error" : allowed ? "allowed" : "no-opinion");
    if (audit) {
      if (!broken) audit.annotate("authorization.k8s.io/decision", allowed ? "allow" : "forbid");
      audit.annotate("authorization.k8s.io/reason", broken ? "internal error" : reason);
    }
    if (broken) throw new PlainFailure(error);
    if (!allowed) throw forbiddenError(attributes, reason);
  }

  /** Undefined: served here. */
  #elsewhere({ target, user, query, path }: PipelineRequest, verb: string): Promise<Answer> | undefined {
    const { aggregation } = this.#options;
    let group: string;
    let version: string;
    if (target.type === "resource") ({ group, version } = target);
    else {
      const [root, first = "", second = "", ...more] = target.parts;
      if (target.type === "odd" || root !== "apis" || second === "" || more.length > 0) return undefined;
      [group, version] = [first, second];
    }
    const entry = aggregation.find(group, version);
    // Nothing on the way may turn it into a path that wasn't authorized.
    if (entry && dotSegment.test(path)) return Promise.resolve(pageNotFound());
    const discovery = target.type === "path";
    return entry && aggregation.answer({ entry, user, query, discovery, longRunning: isLongRunning(verb, target) });
  }

  #find({ group, version, resource }: ResourceTarget): Resource | undefined {
    return this.#options.table.find(group, version, resource);
  }

  async #servePath(request: PipelineRequest, target: PathTarget | OddTarget): Promise<Answer> {
    const { method, path, query, user, accept, etag, host = "" } = request;
    const { parts } = target;
    const first = parts[0] === "api" ? 2 : 3;
    if (rooted.has(parts[0] ?? "") && parts.length === first + 1 && unfinished.has(parts[first] ?? ""))
      return unfinishedPath(parts);
    if (target.type === "path") {
      const handler = this.#options.paths.get(parts[0] ?? "");
      const answer = await handler?.({ method, path, parts, query, user, accept, etag, host });
      if (answer) return answer;
    }
    if (parts[0] === "api" && parts.length > 1) throw statusError.unknownPath();
    return parts[0] === "apis" && parts.length > 2 && parts[1] !== "" ? this.#nowhere(parts[1] ?? "") : pageNotFound();
  }

  /** A group that is served answers with a Status, one that isn't with a page. */
  #nowhere(group: string): Answer {
    const { table } = this.#options;
    if (group === "" || (table.hasGroup(group) && !table.isCustomGroup(group))) throw statusError.unknownPath();
    return pageNotFound();
  }
}

const dotSegment = /\/(\.|%2e){1,2}(\/|$)/i;

/** Prefixes of old that need something behind them; upstream's complaint. */
const unfinished = new Set(["watch", "proxy"]);
const rooted = new Set(["api", "apis"]);

function unfinishedPath(parts: readonly string[]): Answer {
  const path = `/${parts.join("/")}`;
  const why = `failed to create RequestInfo: unable to determine kind and namespace from url, ${path}`;
  return textAnswer(500, plainFailureText(path, why));
}

/** What a request asks of the authorizer. Of a path what it means, however it is written. */
function questionOf({ method, target, query, path }: Omit<PipelineRequest, "user">, user: RequestUser) {
  const verb = verbOf(method, target, query);
  return {
    target: selectedTarget(target, verb, query),
    user,
    path: target.type === "resource" || !path.includes("%") ? path : decodeURIComponent(path),
    verb,
    fieldSelector: selectorOf(verb, query),
    labelSelector: labelSelectorOf(verb, query),
  };
}

/** The same for whoever has to ask before the request is on its way (impersonation). */
export const askedAttributes = (request: Omit<PipelineRequest, "user">, user: RequestUser): Attributes =>
  attributesOf(questionOf(request, user));

/** Tells the audit log what is asked for, and by whom if that is known; false: the request must not go on. */
export function auditReceived(
  request: Omit<PipelineRequest, "user">,
  user: RequestUser | undefined,
): boolean | Promise<boolean> {
  const { audit, target } = request;
  if (!audit) return true;
  const question = questionOf(request, nobody);
  const attributes = { ...attributesOf(question), user };
  return audit.received(attributes, { longRunning: isLongRunning(question.verb, target) });
}

const nobody: RequestUser = { name: "", uid: "", groups: [], extra: {} };

export const isLongRunning = (verb: string, target: Target): boolean => {
  if (target.type === "resource") return verb === "watch" || streams.has(target.subresource);
  return target.parts[0] === "debug" && target.parts[1] === "pprof";
};

/** Discovery names one verb for each, whatever they take. */
function streamMethods(subresource: string): readonly string[] {
  if (subresource === "log") return ["GET"];
  if (subresource !== "proxy") return ["GET", "POST"];
  return ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
}

const streams = new Set(["exec", "attach", "portforward", "proxy", "log"]);

const verbs: Readonly<Record<string, string>> = {
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
  GET: "get",
  HEAD: "get",
};

export function verbOf(method: string, target: Target, query: Query): string {
  if (target.type !== "resource") return method.toLowerCase();
  const verb = verbs[method] ?? "";
  const collection = target.name === "";
  if (verb === "delete" && collection) return "deletecollection";
  if (verb !== "get" || target.subresource !== "") return verb;
  if (target.legacyWatch || (collection && query.boolean("watch"))) return "watch";
  return collection ? "list" : "get";
}

/** A list or watch of one name is authorized as being about that name, as upstream does. */
function selectedTarget(target: Target, verb: string, query: Query): Target {
  if (target.type !== "resource" || target.name !== "" || !collectionVerbs.has(verb)) return target;
  const name = selectorOf(verb, query)?.find(
    ({ field, operator }) => field === "metadata.name" && operator === "=",
  )?.value;
  return name ? { ...target, name } : target;
}

const collectionVerbs = new Set(["list", "watch", "deletecollection"]);

function selectorOf(verb: string, query: Query): readonly FieldRequirement[] | undefined {
  if (!collectionVerbs.has(verb) || !query.has("fieldSelector")) return undefined;
  try {
    return parseFieldSelector(query.get("fieldSelector")).requirements;
  } catch (error) {
    // The registry refuses it in its own words.
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

function labelSelectorOf(verb: string, query: Query): readonly LabelRequirement[] | undefined {
  if (!collectionVerbs.has(verb) || !query.has("labelSelector")) return undefined;
  try {
    return parseLabelSelector(query.get("labelSelector")).requirements;
  } catch (error) {
    // As above.
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

const misplaced = ({ namespaced }: Resource, { inNamespace, name }: ResourceTarget, verb: string): boolean =>
  namespaced ? !inNamespace && (name !== "" || (verb !== "list" && verb !== "watch")) : inNamespace;

/** Routes that don't exist are not found; routes that exist for other methods don't allow this one. */
function checkMethod(
  resource: Resource,
  target: ResourceTarget,
  { verb, method }: { verb: string; method: string },
): void {
  const { name, subresource, namespace, inNamespace, rest, legacyWatch } = target;
  if (legacyWatch && subresource !== "") throw statusError.unknownPath();
  if (resource.custom) {
    // The registry speaks for the others.
    if (legacyWatch && verb !== "watch") throw statusError.methodNotAllowed();
    return;
  }
  const isNamespace = resource.group === "" && resource.resource === "namespaces";
  if (inNamespace && !resource.namespaced && !isNamespace) throw statusError.unknownPath();
  if (resource.namespaced && !inNamespace && name !== "") throw statusError.unknownPath();
  if (rest !== "" && !streams.has(subresource)) throw statusError.unknownPath();
  if (subresource !== "") {
    const found = resource.subresources.find((each) => each.name === subresource);
    if (!found) throw statusError.unknownPath();
    const methods = streams.has(subresource) && found.verbs.includes("get") ? streamMethods(subresource) : undefined;
    if (methods ? !methods.includes(method) : method === "HEAD" || !found.verbs.includes(verb))
      throw statusError.methodNotAllowed();
    return;
  }
  if (method === "HEAD") throw statusError.methodNotAllowed();
  const everywhere = resource.namespaced && namespace === "" && !inNamespace;
  if (everywhere && verb !== "list" && verb !== "watch") throw statusError.methodNotAllowed();
  if (name !== "" && verb === "create") throw statusError.methodNotAllowed();
  if (name === "" && (verb === "update" || verb === "patch")) throw statusError.methodNotAllowed();
  if (legacyWatch && method !== "GET") throw statusError.methodNotAllowed();
  if (!resource.verbs.includes(verb)) throw statusError.methodNotAllowed();
}
