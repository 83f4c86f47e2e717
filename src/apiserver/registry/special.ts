/** Kinds and subresources that are more than a view of a stored object, in one list. */
import type { Clock } from "#base";
import type { Store } from "#store";
import { definitionHooks } from "../custom/definition-deletion.ts";
import { bindPod, bindPodOfBody } from "./binding.ts";
import { componentStatuses } from "./component-statuses.ts";
import type { KindHooks } from "./core.ts";
import { EventLeases } from "./event-leases.ts";
import { evictPod } from "./eviction.ts";
import { finalizeNamespace, namespaceHooks } from "./namespaces.ts";
import type { CallHandler } from "./registry.ts";

export interface SpecialOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly services: KindHooks;
  readonly eventSeconds: number;
}

/** By `group/resource`. */
export function specialHooks(options: SpecialOptions): ReadonlyMap<string, KindHooks> {
  const leases = new EventLeases(options);
  return new Map<string, KindHooks>([
    ["/namespaces", namespaceHooks],
    ["apiextensions.k8s.io/customresourcedefinitions", definitionHooks],
    ["/services", options.services],
    ["/events", { lease: () => leases.lease() }],
  ]);
}

/** By `group/resource/subresource/verb`. */
export function specialHandlers({ store }: Pick<SpecialOptions, "store">): ReadonlyMap<string, CallHandler> {
  return new Map<string, CallHandler>([
    ["/namespaces/finalize/*", finalizeNamespace],
    ["/pods/binding/*", bindPod],
    ["/pods/eviction/*", evictPod],
    ["/bindings//create", bindPodOfBody],
    ["/componentstatuses//*", componentStatuses(store)],
  ]);
}
