/**
 * OpenAPI of extension servers: the version 2 document is downloaded, cut to what the API service is about and put together with ours when
 * someone asks; of version 3 only the index is kept, the documents themselves are asked for by whoever wants one.
 * Follows kube-aggregator's openapi and openapiv3 controllers. Documents rest as text: they are read once in a long time.
 */
import type { Clock, Logger } from "#base";
import type { ApiServiceEntry, ApiServiceIndex } from "./api-service-index.ts";
import type { Backends } from "./backends.ts";
import { Polled } from "./polled.ts";
import { type Json, onlyPaths, swaggerToV3 } from "./swagger.ts";

const refreshMs = 60_000;
const retry = { initialMs: refreshMs, maxMs: 3_600_000 };
const timeoutMs = 60_000;
/** Without a group of its own: extension servers let everyone read what they publish. */
const user = { name: "system:aggregator" };

interface Kept {
  /** Version 2, as it came: etag of theirs, and the cut document as text. */
  readonly v2?: { readonly etag: string; readonly text: string };
  /** Version 3: path to URL with hash. Undefined: they have none, `v2` is converted. */
  readonly index?: Readonly<Record<string, { serverRelativeURL: string }>>;
}

export class RemoteOpenApi {
  readonly #index: ApiServiceIndex;
  readonly #backends: Backends;
  readonly #log: Logger;
  readonly #polled: Polled;
  readonly #kept = new Map<string, Kept>();
  #generation = 0;

  constructor({ index, backends, clock, log }: RemoteOpenApiOptions) {
    this.#index = index;
    this.#backends = backends;
    this.#log = log;
    this.#polled = new Polled({ clock, periodMs: refreshMs, retry, fetch: (name) => this.#fetch(name) });
  }

  /** Moves with everything below. */
  get generation(): number {
    return this.#generation;
  }

  /** Version 2, in the order in which they are put together. */
  documentsV2(): Json[] {
    const groups = new Map<string, number>();
    const entries = [...this.#index.remotes()];
    for (const { group, groupPriority } of entries) groups.set(group, Math.max(groupPriority, groups.get(group) ?? 0));
    entries.sort(
      (a, b) =>
        (a.group === b.group
          ? b.versionPriority - a.versionPriority
          : (groups.get(b.group) ?? 0) - (groups.get(a.group) ?? 0)) || (a.name < b.name ? -1 : 1),
    );
    return entries.flatMap(({ name }) => {
      const { v2 } = this.#kept.get(name) ?? {};
      return v2 ? [JSON.parse(v2.text) as Json] : [];
    });
  }

  /** Version 3: what there is, and who has it. */
  *paths(): Iterable<{ path: string; url: string; entry: ApiServiceEntry }> {
    for (const entry of this.#index.remotes()) {
      const kept = this.#kept.get(entry.name);
      if (kept?.index)
        for (const [path, { serverRelativeURL: url }] of Object.entries(kept.index)) yield { path, url, entry };
      else if (kept?.v2) {
        const path = pathOf(entry);
        yield { path, url: `/openapi/v3/${path}?hash=${kept.v2.etag.replaceAll('"', "")}`, entry };
      }
    }
  }

  /** Version 3, made of version 2 for those who have nothing newer. */
  converted(entry: ApiServiceEntry): Json | undefined {
    const { v2, index } = this.#kept.get(entry.name) ?? {};
    return v2 && !index ? swaggerToV3(JSON.parse(v2.text) as Json) : undefined;
  }

  update(name: string): void {
    this.#polled.wake(name);
  }

  forget(name: string): void {
    this.#polled.forget(name);
    if (this.#kept.delete(name)) this.#generation++;
  }

  close(): void {
    this.#polled.close();
  }

  async #fetch(name: string): Promise<void> {
    const entry = this.#index.get(name);
    if (!entry?.remote) return this.forget(name);
    // There will be an event when it is.
    if (!entry.available) return;
    try {
      const before = this.#kept.get(name) ?? {};
      const v2 = await this.#fetchV2(entry, before);
      const index = await this.#fetchIndex(entry);
      if (!this.#index.get(name)?.remote) return;
      const next: Kept = { ...(v2 && { v2 }), ...(index && { index }) };
      if (v2 === before.v2 && JSON.stringify(index) === JSON.stringify(before.index)) return;
      this.#kept.set(name, next);
      this.#generation++;
    } catch (error) {
      this.#log.warn("the OpenAPI of an extension server can't be had", { name, error });
      throw error;
    }
  }

  /** Undefined: it publishes none. */
  async #fetchV2(entry: ApiServiceEntry, { v2: before }: Kept): Promise<Kept["v2"]> {
    const etag = before?.etag;
    const headers = { accept: "application/json", ...(etag && { "if-none-match": etag }) };
    const answer = await this.#backends.ask(entry, { path: "/openapi/v2", user, headers, timeoutMs });
    if (answer.status === 304) return before;
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`/openapi/v2: status ${answer.status}`);
    const prefix = `/${pathOf(entry)}/`;
    const document = onlyPaths(JSON.parse(answer.body.toString("utf8")) as Json, (path) => path.startsWith(prefix));
    const text = JSON.stringify(document);
    if (text === before?.text) return before;
    return { etag: answer.headers.etag ?? "", text };
  }

  async #fetchIndex(entry: ApiServiceEntry): Promise<Kept["index"]> {
    const answer = await this.#backends.ask(entry, { path: "/openapi/v3", user, timeoutMs });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`/openapi/v3: status ${answer.status}`);
    return (JSON.parse(answer.body.toString("utf8")) as { paths?: Kept["index"] }).paths ?? {};
  }
}

export interface RemoteOpenApiOptions {
  readonly index: ApiServiceIndex;
  readonly backends: Backends;
  readonly clock: Clock;
  readonly log: Logger;
}

const pathOf = ({ group, version }: ApiServiceEntry): string =>
  group === "" ? `api/${version}` : `apis/${group}/${version}`;
