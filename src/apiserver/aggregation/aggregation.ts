/**
 * Versions of groups that others serve behind this server: API services, as the pipeline, discovery and OpenAPI see them.
 * Follows k8s.io/kube-aggregator. What it costs who has none: one map that is empty.
 */
import { assert, type Logger, type MetricRegistry } from "#base";
import type { Answer } from "../answer.ts";
import { type GroupVersion, printGroupVersion, type ResourceTable } from "../resource.ts";
import { type ApiServiceEntry, ApiServiceIndex } from "./api-service-index.ts";
import { Autoregister } from "./autoregister.ts";
import { AggregatorMetrics } from "./aggregator-metrics.ts";
import { aggregatedOrder, legacyOrder, type ServedGroup } from "./group-order.ts";
import type { ProxyRequest } from "./proxy.ts";
import type { RemoteApis, RemoteApisOptions } from "./remote-apis.ts";
import type { DiscoveredVersion } from "./remote-discovery.ts";
import type { Json } from "./swagger.ts";

const own: GroupVersion = { group: "apiregistration.k8s.io", version: "v1", groupPriority: 20_000, versionPriority: 0 };

export interface AggregationOptions extends Omit<RemoteApisOptions, "index" | "metrics"> {
  readonly metrics: MetricRegistry;
}

/** A version of a group, wherever it is served. */
export interface ShownVersion extends GroupVersion {
  /** By others. */
  readonly remote?: ApiServiceEntry;
}

export class Aggregation {
  readonly #options: AggregationOptions;
  readonly #table: ResourceTable;
  readonly #log: Logger;
  readonly #index = new ApiServiceIndex();
  readonly #autoregister: Autoregister;
  readonly #metrics: AggregatorMetrics;
  #remote: RemoteApis | undefined;
  #loading: Promise<void> | undefined;
  #end = (): void => undefined;
  #closed = false;

  constructor(options: AggregationOptions) {
    this.#options = options;
    this.#table = options.core.table;
    this.#log = options.log;
    this.#metrics = new AggregatorMetrics(options.metrics, this.#index);
    this.#autoregister = new Autoregister({ ...options, index: this.#index });
    this.#index.listen(() => this.#look());
  }

  /** Resolves when it is known which versions others serve; custom kinds are served already. */
  async start(): Promise<void> {
    const { core, log } = this.#options;
    const kind = core.table.stored(own.group, "apiservices");
    assert(kind, "API services are a built-in kind");
    const end = await this.#index.follow({ storage: core.storage, kind, log });
    if (this.#closed) return end();
    this.#end = end;
    this.#autoregister.start();
    await this.#loading;
  }

  close(): void {
    this.#closed = true;
    this.#end();
    this.#autoregister.close();
    this.#remote?.close();
  }

  /** Moves with everything that discovery shows. */
  get generation(): string {
    return `${this.#table.generation} ${this.#index.generation} ${this.#remote?.discovery.generation}`;
  }

  /** Who serves this version in our stead. */
  find(group: string, version: string): ApiServiceEntry | undefined {
    return this.#index.remote(group, version);
  }

  async answer(request: ProxyRequest): Promise<Answer> {
    await this.#loading;
    assert(this.#remote, "whoever serves an API is known once it is found");
    return this.#remote.answer(request);
  }

  /** For /apis and /apis/GROUP: what there are API services for. */
  legacyGroups(): ServedGroup<ShownVersion>[] {
    return [{ group: own.group, versions: [own] }, ...legacyOrder(this.#registered())];
  }

  /** For the aggregated document: what is served here and what others serve. */
  aggregatedGroups(): ServedGroup<ShownVersion>[] {
    const remote = [...this.#index.remotes()].map(shown);
    const taken = new Set(remote.map(keyOf));
    const local = this.#table.groupVersions().filter((each) => !taken.has(keyOf(each)) && each.group !== own.group);
    return aggregatedOrder<ShownVersion>([own, ...local, ...remote]);
  }

  discovered(entry: ApiServiceEntry): DiscoveredVersion {
    return this.#remote?.discovery.of(entry) ?? { version: entry.version, freshness: "Stale" };
  }

  get openApi(): RemoteOpenApiView {
    return this.#remote?.openApi ?? noOpenApi;
  }

  #registered(): ShownVersion[] {
    const rows = new Map<string, ShownVersion>();
    // A definition is shown at once, its API service a moment later; with it goes the other way.
    for (const each of this.#table.groupVersions()) if (each.custom) rows.set(keyOf(each), each);
    for (const entry of this.#index.all()) {
      const row = shown(entry);
      if (row.remote || entry.automanaged !== "true" || rows.has(keyOf(row))) rows.set(keyOf(row), row);
    }
    return [...rows.values()];
  }

  #look(): void {
    if (this.#remote || this.#loading || this.#closed) return;
    const needed = [...this.#index.all()].some(({ remote, available }) => remote || !available);
    if (needed) this.#loading = this.#load();
  }

  async #load(): Promise<void> {
    const { RemoteApis } = await import("./remote-apis.ts");
    if (this.#closed) return;
    this.#remote = new RemoteApis({ ...this.#options, index: this.#index, metrics: this.#metrics });
    this.#remote.start().catch((error: unknown) => this.#log.error("extension servers can't be followed", { error }));
  }
}

/** What OpenAPI asks. */
export interface RemoteOpenApiView {
  readonly generation: number;
  documentsV2(): Json[];
  paths(): Iterable<{ path: string; url: string; entry: ApiServiceEntry }>;
  converted(entry: ApiServiceEntry): Json | undefined;
}

const noOpenApi: RemoteOpenApiView = {
  generation: 0,
  documentsV2: () => [],
  paths: () => [],
  converted: () => undefined,
};

const shown = (entry: ApiServiceEntry): ShownVersion => {
  const { group, version, groupPriority, versionPriority, remote } = entry;
  return { group, version, groupPriority, versionPriority, ...(remote && { remote: entry }) };
};

const keyOf = ({ group, version }: GroupVersion): string => printGroupVersion(group, version);
