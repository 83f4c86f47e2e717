/**
 * What extension servers say they have, for the aggregated discovery document: their own aggregated document, or the old list for each
 * version. Who doesn't answer is still there, marked as stale. Follows kube-aggregator's handler_discovery.
 */
import type { Clock, Logger } from "#base";
import type { ApiServiceEntry, ApiServiceIndex } from "./api-service-index.ts";
import type { Backends } from "./backends.ts";
import { Polled } from "./polled.ts";

const refreshMs = 60_000;
const retry = { initialMs: 500, maxMs: refreshMs };
const timeoutMs = 5_000;
const accept = ["v2", "v2beta1"]
  .map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  .join(",");

/** One version of a group in the aggregated document. */
export interface DiscoveredVersion {
  readonly version: string;
  readonly resources?: readonly object[];
  readonly freshness: "Current" | "Stale";
}

interface Kept {
  readonly etag: string;
  /** By `group/version`. */
  readonly versions: ReadonlyMap<string, DiscoveredVersion>;
}

export class RemoteDiscovery {
  readonly #index: ApiServiceIndex;
  readonly #backends: Backends;
  readonly #log: Logger;
  readonly #polled: Polled;
  readonly #versions = new Map<string, DiscoveredVersion>();
  /** By API service: the last whole document, which its tag stands for. */
  readonly #documents = new Map<string, Kept>();
  #generation = 0;

  constructor({ index, backends, clock, log }: RemoteDiscoveryOptions) {
    this.#index = index;
    this.#backends = backends;
    this.#log = log;
    this.#polled = new Polled({ clock, periodMs: refreshMs, retry, fetch: (name) => this.#fetch(name) });
  }

  get generation(): number {
    return this.#generation;
  }

  of({ name, version }: ApiServiceEntry): DiscoveredVersion {
    return this.#versions.get(name) ?? { version, freshness: "Stale" };
  }

  /** An API service of others came, or changed. */
  update(name: string): void {
    this.#polled.wake(name);
  }

  forget(name: string): void {
    this.#polled.forget(name);
    this.#documents.delete(name);
    if (this.#versions.delete(name)) this.#generation++;
  }

  close(): void {
    this.#polled.close();
  }

  async #fetch(name: string): Promise<void> {
    const entry = this.#index.get(name);
    if (!entry?.remote) return this.forget(name);
    try {
      const found = await this.#ask(entry);
      this.#put(entry, { ...found, version: entry.version, freshness: "Current" });
    } catch (error) {
      this.#log.debug("an extension server's discovery can't be had", { name, error });
      this.#put(entry, { version: entry.version, freshness: "Stale" });
      throw error;
    }
  }

  #put({ name }: ApiServiceEntry, found: DiscoveredVersion): void {
    if (!this.#index.get(name)?.remote) return;
    if (JSON.stringify(this.#versions.get(name)) === JSON.stringify(found)) return;
    this.#versions.set(name, found);
    this.#generation++;
  }

  /** Undefined: it answered, and knows nothing of this version. */
  async #ask(entry: ApiServiceEntry): Promise<DiscoveredVersion | undefined> {
    const { name, group, version } = entry;
    const user = { name: "system:kube-aggregator", groups: ["system:masters"] };
    const kept = this.#documents.get(name);
    const headers = { accept, ...(kept?.etag && { "if-none-match": kept.etag }) };
    const key = `${group}/${version}`;
    const answer = await this.#backends.ask(entry, { path: "/apis", user, headers, timeoutMs });
    if (kept && answer.status === 304) return kept.versions.get(key);
    if (answer.status === 503) throw new Error(`status ${answer.status}`);
    if (answer.status === 200 && /as=APIGroupDiscoveryList/.test(answer.headers["content-type"] ?? "")) {
      const versions = readAggregated(parse(answer.body));
      this.#documents.set(name, { etag: answer.headers.etag ?? "", versions });
      return versions.get(key);
    }
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const old = await this.#backends.ask(entry, { path, user, headers: { accept: "application/json" }, timeoutMs });
    if (old.status !== 200) throw new Error(`${path}: status ${old.status}`);
    return { version, resources: readLegacy(parse(old.body)), freshness: "Current" };
  }
}

export interface RemoteDiscoveryOptions {
  readonly index: ApiServiceIndex;
  readonly backends: Backends;
  readonly clock: Clock;
  readonly log: Logger;
}

interface AggregatedDocument {
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly { readonly version: string; readonly resources?: readonly AggregatedResource[] }[];
  }[];
}

interface AggregatedResource {
  readonly responseKind?: object | null;
  readonly subresources?: readonly { readonly responseKind?: object | null }[];
}

export interface LegacyDocument {
  readonly resources?: readonly LegacyResource[];
}

interface LegacyResource {
  readonly name: string;
  readonly singularName?: string;
  readonly namespaced?: boolean;
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly verbs?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
}

function parse<T>(body: Buffer): T {
  return JSON.parse(body.toString("utf8")) as T; // read field by field, all of them optional
}

/** Old clients need a kind wherever one may stand. */
const noKind = { group: "", version: "", kind: "" };

function readAggregated({ items = [] }: AggregatedDocument): ReadonlyMap<string, DiscoveredVersion> {
  const versions = new Map<string, DiscoveredVersion>();
  for (const { metadata, versions: all = [] } of items)
    for (const { version, resources } of all) {
      const whole = resources?.map((each) => ({
        ...each,
        responseKind: each.responseKind ?? noKind,
        ...(each.subresources && {
          subresources: each.subresources.map((sub) => ({ ...sub, responseKind: sub.responseKind ?? noKind })),
        }),
      }));
      const found: DiscoveredVersion = { version, ...(whole && { resources: whole }), freshness: "Current" };
      versions.set(`${metadata?.name ?? ""}/${version}`, found);
    }
  return versions;
}

/** `things` and `things/status` of the old list, as the new one nests them. An empty group means the list's own, to clients too. */
export function readLegacy({ resources = [] }: LegacyDocument): object[] {
  const kindOf = ({ group = "", version = "", kind }: LegacyResource) => ({ group, version, kind });
  const scopeOf = ({ namespaced }: LegacyResource) => (namespaced ? "Namespaced" : "Cluster");
  const found = new Map<string, { scope: string; subresources: object[]; own?: object }>();
  for (const each of resources) {
    if (each.name.includes("/")) continue;
    const { name: resource, singularName: singularResource = "", verbs = [], shortNames = [], categories = [] } = each;
    const more = { ...(shortNames.length > 0 && { shortNames }), ...(categories.length > 0 && { categories }) };
    const own = { resource, responseKind: kindOf(each), scope: scopeOf(each), singularResource, verbs, ...more };
    found.set(resource, { scope: own.scope, subresources: [], own });
  }
  for (const each of resources) {
    const slash = each.name.indexOf("/");
    if (slash < 0) continue;
    const [name, subresource] = [each.name.slice(0, slash), each.name.slice(slash + 1)];
    const scope = scopeOf(each);
    const parent = found.get(name) ?? { scope, subresources: [] };
    found.set(name, parent);
    if (parent.scope !== scope)
      throw new Error(`${name} (${parent.scope}) and ${each.name} (${scope}) are not of the same scope`);
    parent.subresources.push({
      subresource,
      responseKind: each.kind ? kindOf(each) : noKind,
      verbs: each.verbs ?? [],
    });
  }
  return [...found].map(([resource, { scope, subresources, own }]) => ({
    ...(own ?? { resource, responseKind: noKind, scope, singularResource: "", verbs: [] }),
    ...(subresources.length > 0 && { subresources }),
  }));
}
