/** Which handler serves a call: views of stored objects here, everything special by a table of handlers. */
import type { Clock } from "#base";
import { isPathSegmentName, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { UnreadableError } from "../cache/unreadable.ts";
import type { Resource } from "../resource.ts";
import type { ResourceTarget } from "../request-target.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { create } from "./create.ts";
import { remove, removeCollection } from "./delete.ts";
import { corruptError } from "./delete-unreadable.ts";
import { list } from "./list.ts";
import { checkCustomPatch, patch } from "./patch.ts";
import { get, watch } from "./read.ts";
import { scale } from "./scale.ts";
import { strategyOf, update } from "./update.ts";

/** Serves what isn't a view of a stored object: bindings, evictions, tokens, reviews, exec. */
export type CallHandler = (call: Call, core: RegistryCore) => Promise<Answer>;

/** By `group/resource/subresource/verb`; a verb of `*` stands for all. */
export type CallHandlers = ReadonlyMap<string, CallHandler>;

/** Served versions whose use is warned about, in upstream's words. */
const deprecated: ReadonlyMap<string, string> = new Map([
  ["v1 ComponentStatus", "v1 ComponentStatus is deprecated in v1.19+"],
  ["v1 Endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"],
  ...(
    [
      ["coordination.k8s.io/v1beta1 LeaseCandidate", 36],
      ["storagemigration.k8s.io/v1beta1 StorageVersionMigration", 38],
    ] as const
  ).map(([kind, minor]): [string, string] => [
    kind,
    `${kind} is deprecated in v1.${minor}+, unavailable in v1.${minor + 3}+`,
  ]),
]);

export class Registry {
  readonly core: RegistryCore;
  readonly #handlers: CallHandlers;
  readonly #clock: Clock;

  constructor(core: RegistryCore, { handlers, clock }: { handlers: CallHandlers; clock: Clock }) {
    this.core = core;
    this.#handlers = handlers;
    this.#clock = clock;
  }

  async serve(call: Call): Promise<Answer> {
    if (!this.core.unsafeDeletion) return this.#serve(call);
    try {
      return await this.#serve(call);
    } catch (error) {
      throw error instanceof UnreadableError ? corruptError(error, call.resource) : error;
    }
  }

  async #serve(call: Call): Promise<Answer> {
    const { core } = this;
    const { resource, target, verb } = call;
    checkParameters(resource, target);
    const deprecation = deprecated.get(`${resource.groupVersion} ${resource.kind}`);
    if (deprecation !== undefined) {
      const removed = /unavailable in v([0-9.]+)/.exec(deprecation)?.[1];
      call.warnings.push(deprecation);
      call.audit?.annotate("k8s.io/deprecated", "true");
      if (removed) call.audit?.annotate("k8s.io/removed-release", removed);
      call.meter?.deprecated(removed);
    }
    if (resource.custom?.deprecation !== undefined) call.warnings.push(resource.custom.deprecation);
    if (resource.custom) checkCustomView(call);
    const special = this.#special(call);
    if (special) return special(call, core);
    const { subresource } = target;
    if (subresource === "scale") return scale(core, call);
    if (subresource !== "" && !(resource.stored && strategyOf(resource.stored, subresource)))
      throw statusError.unknownPath();
    switch (verb) {
      case "get":
        return get(core, call);
      case "list":
        return list(core, call);
      case "watch":
        return watch(core, call, this.#clock);
      case "create":
        return create(core, call);
      case "update":
        return update(core, call, subresource);
      case "patch":
        return patch(core, call, subresource);
      case "delete":
        return remove(core, call);
      case "deletecollection":
        return removeCollection(core, call);
      default:
        throw statusError.methodNotAllowed();
    }
  }

  #special({ resource, target, verb }: Call): CallHandler | undefined {
    const place = `${resource.group}/${resource.resource}/${target.subresource}`;
    return this.#handlers.get(`${place}/${verb}`) ?? this.#handlers.get(`${place}/*`);
  }
}

/** Upstream's handler of custom resources says in its own words what they don't have. */
function checkCustomView({ resource, target, verb, body }: Call): void {
  const { subresource, name } = target;
  const found = resource.subresources.find((each) => each.name === subresource);
  if (subresource !== "" && !found) throw statusError.notFound(resource, name);
  // What a kind that is going still shows isn't all it serves: finalizers have to come off.
  const verbs = found?.verbs ?? everyVerb;
  if (!verbs.includes(verb)) throw statusError.methodNotSupported(resource, verb);
  if (verb === "patch") checkCustomPatch(body);
  if (name === "" && (verb === "patch" || verb === "update")) throw statusError.badRequest("name must be provided");
}

const everyVerb: readonly string[] = [
  "get",
  "list",
  "watch",
  "create",
  "update",
  "patch",
  "delete",
  "deletecollection",
];

function checkParameters({ namespaced }: Resource, { inNamespace, namespace, name }: ResourceTarget): void {
  if (namespaced && inNamespace && namespace === "" && name !== "")
    throw statusError.badRequest("Namespace parameter required.");
  const wrong = name === "" ? [] : isPathSegmentName(name);
  if (wrong.length > 0)
    throw statusError.badRequest(`Name parameter invalid: ${JSON.stringify(name)}: ${wrong.join(";")}`);
}
