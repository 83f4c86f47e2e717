/** What the store and the caches above it do, under upstream's names (storage/etcd3/metrics, storage/cacher/metrics). */
import type { Counter, Histogram, MetricRegistry } from "#base";
import type { GroupResource } from "#machinery";
import type { Store } from "#store";
import type { WatchCaches } from "../cache/watch-caches.ts";

export type StoreOperation = "create" | "update" | "delete" | "get" | "list";

const bounds = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const kind = ["group", "resource"] as const;
const operation = ["operation", ...kind] as const;

export class StorageMetrics {
  readonly #duration;
  readonly #total;
  readonly #errors;
  /** By kind and operation: a text is made for none of them again. */
  readonly #known = new WeakMap<GroupResource, Map<StoreOperation, { duration: Histogram; total: Counter }>>();

  constructor(registry: MetricRegistry) {
    this.#duration = registry.histogram("etcd_request_duration_seconds", "Time the store took, whichever it is.", {
      bounds,
      labels: operation,
    });
    this.#total = registry.counter("etcd_requests_total", "Requests to the store.", operation);
    this.#errors = registry.counter("etcd_request_errors_total", "Requests to the store that failed.", operation);
  }

  observe(what: StoreOperation, of: GroupResource, elapsedMs: number): void {
    const series = this.#known
      .getOrInsertComputed(of, () => new Map())
      .getOrInsertComputed(what, () => {
        const labels = [what, of.group, of.resource] as const;
        return { duration: this.#duration.with(...labels), total: this.#total.with(...labels) };
      });
    series.duration.observe(elapsedMs / 1000);
    series.total.inc();
  }

  failed(what: StoreOperation, { group, resource }: GroupResource): void {
    this.#errors.with(what, group, resource).inc();
  }
}

/** What is known anyway: read when someone asks. */
export function collectStorage(
  registry: MetricRegistry,
  { store, caches }: { store: Store; caches: WatchCaches },
): void {
  const gauge = (name: string, help: string) => registry.gauge(name, help, kind);
  const counter = (name: string, help: string) => registry.counter(name, help, kind);
  const old = registry.gauge("apiserver_storage_objects", "Objects of a kind.", ["resource"]);
  const gauges = {
    objects: gauge("apiserver_resource_objects", "Objects of a kind."),
    bytes: gauge("apiserver_resource_size_estimate_bytes", "Bytes of all objects of a kind."),
    revision: gauge("apiserver_watch_cache_resource_version", "Revision that a watch cache has come to."),
  };
  const counters = {
    received: counter("apiserver_watch_cache_events_received_total", "Events that came to a watch cache."),
    dispatched: counter("apiserver_watch_cache_events_dispatched_total", "Events that a watch cache passed on."),
    initializations: counter("apiserver_watch_cache_initializations_total", "Times a watch cache was filled."),
    terminated: counter("apiserver_terminated_watchers_total", "Watchers cut off because they were too slow."),
    listed: counter("apiserver_cache_list_total", "Lists answered from a watch cache."),
    fetched: counter("apiserver_cache_list_fetched_objects_total", "Objects looked at for lists."),
    returned: counter("apiserver_cache_list_returned_objects_total", "Objects in answers to lists."),
  };
  const size = registry.gauge("apiserver_storage_size_bytes", "Bytes of the store.", ["storage_cluster_id"]);
  registry.onCollect(async () => {
    for (const family of [old, ...Object.values(gauges), ...Object.values(counters)]) family.clear();
    for (const { kind: of, size: objects, bytes, stats } of caches.loaded()) {
      const labels = [of.group, of.resource] as const;
      // Versions of a custom kind have caches of their own, over the same objects.
      gauges.objects.with(...labels).set(objects);
      gauges.bytes.with(...labels).set(bytes);
      gauges.revision.with(...labels).set(caches.revision);
      old.with(of.group === "" ? of.resource : `${of.resource}.${of.group}`).set(objects);
      for (const [name, family] of Object.entries(counters))
        family.with(...labels).inc(stats[name as keyof typeof counters]); // its keys
    }
    size.with("etcd-0").set((await store.size()).bytes);
  });
}
