/**
 * Keeps what is served in step with the definitions that are stored: names, conditions, resources, and the objects of a definition that
 * goes. Level-triggered: events only say which definition to look at. Follows the controllers of apiextensions-apiserver (naming,
 * establishing, apiapproval, finalizer, discovery), which here are one loop, so that a definition is served right after it was created.
 */
import {
  type CustomResourceDefinition,
  conditionIsTrue,
  type DefinitionCondition,
  findCondition,
  removeCondition,
  setCondition,
} from "#api";
import type { Clock, Logger } from "#base";
import { cloneJson, type DeepReadonly, isStatusError, semanticEqual } from "#machinery";
import { Selection } from "../cache/selection.ts";
import type { ResourceCache } from "../cache/resource-cache.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Watcher } from "../cache/watcher-index.ts";
import { breathe } from "../registry/breathe.ts";
import type { RegistryCore } from "../registry/core.ts";
import { internalCall } from "../registry/internal-call.ts";
import { update } from "../registry/update.ts";
import { approvalCondition } from "./approval.ts";
import type { ConversionWebhooks } from "./conversion-webhook.ts";
import { cleanupFinalizer } from "./definition-deletion.ts";
import { InstalledKinds } from "./installed-kinds.ts";
import { type Remaining, removeInstances } from "./instances.ts";
import { looseCondition, looseType } from "./loose-schema.ts";
import { planNames } from "./names.ts";
import { withoutSchemas } from "./resources.ts";

type Definition = DeepReadonly<CustomResourceDefinition>;

/** After a failure that was nobody's conflict. */
const retryMs = 1_000;
/** Then it is said that objects of a definition that goes are still there. */
const patienceMs = 60_000;

interface Going {
  readonly definition: Definition;
  /** The same with the names that it gets. */
  readonly next: CustomResourceDefinition;
}

const begunAt = ({ metadata }: Definition): number => Date.parse(metadata.deletionTimestamp ?? "");

const at = { group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" } as const;

export interface DefinitionsOptions {
  readonly core: RegistryCore;
  readonly webhooks: ConversionWebhooks;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Definitions {
  readonly #options: DefinitionsOptions;
  readonly #installed: InstalledKinds;
  readonly #queue = new Set<string>();
  readonly #cancels = new Set<() => void>();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: DefinitionsOptions) {
    this.#options = options;
    this.#installed = new InstalledKinds(options.core, options.webhooks);
  }

  /** Resolves when everything that is stored is served. */
  async start(): Promise<void> {
    const cache = await this.#cache();
    if (!cache || this.#closed) return;
    const remove = this.#watch(cache);
    this.#cancels.add(remove);
    for (const object of cache.all()) this.#queue.add(object.name);
    for (const name of this.#installed.names()) this.#queue.add(name);
    await this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  async #cache(): Promise<ResourceCache | undefined> {
    const { table, storage } = this.#options.core;
    const kind = table.stored(at.group, at.resource);
    return kind && storage.cache(kind);
  }

  #watch(cache: ResourceCache): () => void {
    const watcher: Watcher = {
      selection: new Selection({ kind: cache.kind, namespace: "" }),
      accept: ({ object, previous }) => {
        const name = object?.name ?? previous?.name;
        if (name !== undefined) this.#queue.add(name);
      },
      flush: () => this.#background(this.#wake()),
      end: () => {
        remove();
        this.#cancels.delete(remove);
        // The caches began anew: what was missed is unknown.
        if (!this.#closed) this.#background(this.start());
      },
    };
    const remove = cache.watchers.add(watcher);
    return remove;
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.log.error("custom resource definitions", { error }));
  }

  /** One at a time: names are given away in the order of the queue. */
  #wake(): Promise<void> {
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #drain(): Promise<void> {
    for (;;) {
      const [name] = this.#queue;
      if (name === undefined || this.#closed) return;
      this.#queue.delete(name);
      try {
        await this.#sync(name);
      } catch (error) {
        // Someone changed or removed it: there will be an event.
        if (isStatusError(error, "Conflict") || isStatusError(error, "NotFound")) continue;
        this.#options.log.error("a custom resource definition could not be handled", { name, error });
        this.#later(name);
      }
    }
  }

  #later(name: string): void {
    const cancel = this.#options.clock.after(retryMs, () => {
      this.#cancels.delete(cancel);
      this.#queue.add(name);
      this.#background(this.#wake());
    });
    this.#cancels.add(cancel);
  }

  async #sync(name: string): Promise<void> {
    const cache = await this.#cache();
    const object = cache?.get(name);
    if (!cache || !object) {
      this.#installed.remove(name);
      this.#reconsider(name, cache);
      return;
    }
    const definition = object.decoded() as Definition; // of that kind
    // Schemas are large when decoded, and nobody looks at a definition twice.
    object.release();
    const others = inGroup(cache, definition);
    const { acceptedNames, namesAccepted, established } = planNames(definition, others);
    const { metadata, status } = definition;
    // The rest is shared: schemas are large, and whoever writes `next` copies it.
    const next = { ...definition, metadata: cloneJson(metadata) } as CustomResourceDefinition;
    next.status = {
      ...(cloneJson(status) as typeof next.status),
      acceptedNames: cloneJson(acceptedNames) as NonNullable<typeof next.status>["acceptedNames"] & {},
    };
    if (definition.metadata.deletionTimestamp !== undefined) return this.#terminate(object, { definition, next });
    const conditions = [namesAccepted, established, approvalCondition(definition), await looseCondition(definition)];
    for (const condition of conditions) if (condition) setCondition(next, condition, this.#options.clock.now());
    if (!conditions[3] && findCondition(next, looseType)) removeCondition(next, looseType);
    // Served before anyone can read that it is.
    if (established.status === "True") this.#installed.put(object, definition, acceptedNames);
    if (semanticEqual(next.status, definition.status)) return;
    await this.#write(next, object.body.length);
    if (!semanticEqual(acceptedNames, definition.status?.acceptedNames)) this.#reconsider(name, cache);
  }

  /** Names that became free may have been wanted. */
  #reconsider(name: string, cache: ResourceCache | undefined): void {
    const group = name.slice(name.indexOf(".") + 1);
    for (const object of cache?.all() ?? []) {
      const definition = summaryOf(object);
      if (definition.spec.group === group && !conditionIsTrue(definition, "NamesAccepted"))
        this.#queue.add(object.name);
    }
  }

  async #terminate(object: StoredObject, going: Going): Promise<void> {
    const { definition, next } = going;
    const { core, clock } = this.#options;
    const overlaps = this.#installed.overlapsBuiltIn(definition);
    const serve = () => this.#installed.terminate(object, definition);
    if (!definition.metadata.finalizers?.includes(cleanupFinalizer)) {
      // Somebody else still holds it.
      if (!overlaps && conditionIsTrue(definition, "Established")) serve();
      if (!semanticEqual(next, definition)) await this.#write(next, object.body.length);
      return;
    }
    const reason = (reason: string, message: string): DefinitionCondition => ({
      type: "Terminating",
      status: "False",
      reason,
      message,
    });
    if (overlaps) {
      const why = "instances overlap with built-in resources in storage";
      return this.#conclude(going, reason("OverlappingBuiltInResource", why), true);
    }
    if (!conditionIsTrue(definition, "Established"))
      return this.#conclude(going, reason("NeverEstablished", "resource was never established"), true);
    const begun = { ...reason("InstanceDeletionInProgress", "CustomResource deletion is in progress"), status: "True" };
    const current = findCondition(definition, "Terminating")?.reason;
    // Said before it is done. The write is an event, which comes back here.
    if (current === "InstanceDeletionPending") return this.#conclude(going, begun, false);
    const kind = serve();
    const left = await removeInstances({ core, kind, now: clock.now() }).catch(async (error: unknown) => {
      const message = (error as Error).message; // nothing else is thrown
      await this.#conclude(going, { ...reason("InstanceDeletionFailed", message), status: "True" }, false);
      throw error;
    });
    if (!left) return this.#conclude(going, reason("InstanceDeletionCompleted", "removed all instances"), true);
    this.#await(object.name, left);
    if (current !== "InstanceDeletionInProgress" && current !== "InstanceDeletionCheck")
      await this.#conclude(going, begun, false);
    else if (current === "InstanceDeletionInProgress" && clock.now() - begunAt(definition) >= patienceMs) {
      const why = "could not confirm zero CustomResources remaining: context deadline exceeded";
      await this.#conclude(going, { ...reason("InstanceDeletionCheck", why), status: "True" }, false);
    }
  }

  /** Comes back when an object has gone or changed, and when it took too long. */
  #await(name: string, left: Remaining): void {
    const again = () => {
      for (const cancel of cancels) {
        cancel();
        this.#cancels.delete(cancel);
      }
      this.#queue.add(name);
      this.#background(this.#wake());
    };
    const cancels = [left.onChange(again), this.#options.clock.after(patienceMs, again)];
    for (const cancel of cancels) this.#cancels.add(cancel);
  }

  async #conclude({ definition, next }: Going, condition: DefinitionCondition, finished: boolean): Promise<void> {
    setCondition(next, condition, this.#options.clock.now());
    if (finished) {
      const held = (next.metadata.finalizers ?? []).filter((each) => each !== cleanupFinalizer);
      next.metadata.finalizers = held;
      // Nobody who sees that the definition is gone finds its paths.
      if (held.length === 0) this.#installed.remove(definition.metadata.name ?? "");
    }
    if (!semanticEqual(next, definition)) await this.#write(next);
  }

  /** Under the resourceVersion it was read with. */
  /** `valueBytes`: how large it is, about. */
  async #write(definition: CustomResourceDefinition, valueBytes = 0): Promise<void> {
    const { core, clock } = this.#options;
    const { name = "" } = definition.metadata;
    const write = { ...at, verb: "update", namespace: "", name, subresource: "status" } as const;
    const call = internalCall(core, { ...write, object: definition, valueBytes, now: clock.now() });
    await breathe(call);
    // The name under which upstream's controllers in the server write.
    await update(core, { ...call, userAgent: "kube-apiserver" }, "status");
  }
}

/** Of one revision; gone with it. Names and conditions of all definitions are looked at for each new one. */
const summaries = new WeakMap<StoredObject, Definition>();

function summaryOf(object: StoredObject): Definition {
  let summary = summaries.get(object);
  if (!summary) {
    const { metadata, spec, status } = withoutSchemas(object.glance() as Definition); // of that kind
    summary = { metadata: { name: metadata.name ?? "" }, spec, ...(status && { status }) };
    summaries.set(object, summary);
  }
  return summary;
}

function inGroup(cache: ResourceCache, { metadata, spec }: Definition): Definition[] {
  const suffix = `.${spec.group}`;
  return cache
    .all()
    .filter(({ name }) => name.endsWith(suffix) && name !== metadata.name)
    .map(summaryOf)
    .filter((other) => other.spec.group === spec.group);
}
