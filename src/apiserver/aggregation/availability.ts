/**
 * Keeps the condition `Available` of API services: what is served here is, what others serve is when its Service leads to someone who
 * answers. Events only say whom to look at; beside them everyone is asked every 30 s, as the way there has no events.
 * Follows kube-aggregator's local and remote availability controllers.
 */
import type { APIService, Service } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import { type DeepReadonly, formatTime, isStatusError, semanticEqual } from "#machinery";
import { follow } from "../cache/follow.ts";
import type { Lookup } from "../admission/chain.ts";
import type { RegistryCore } from "../registry/core.ts";
import { internalCall } from "../registry/internal-call.ts";
import { update } from "../registry/update.ts";
import type { AggregatorMetrics } from "./aggregator-metrics.ts";
import type { ApiServiceEntry, ApiServiceIndex } from "./api-service-index.ts";
import { judgeService, localVerdict, passedVerdict, type Verdict, withVerdict } from "./availability-rules.ts";
import type { Backends } from "./backends.ts";
import { printAddress } from "./service-address.ts";

const resyncMs = 30_000;
const retry = { initialMs: 5, maxMs: 30_000 };
/** Of one question. */
const probeMs = 5_000;
/** A Service may lead to several; one that answers is enough. */
const attempts = 5;

export interface AvailabilityOptions {
  readonly core: RegistryCore;
  readonly lookup: Lookup;
  readonly index: ApiServiceIndex;
  readonly metrics: AggregatorMetrics;
  readonly backends: Backends;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Availability {
  readonly #options: AvailabilityOptions;
  readonly #busy = new Set<string>();
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, () => void>();
  #ends: (() => void)[] = [];
  #closed = false;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  /** Called once, when there is the first API service of others. */
  async start(): Promise<void> {
    const { core, lookup, index, log } = this.#options;
    this.#ends.push(
      index.listen((names) => {
        for (const name of names) this.#wake(name);
      }),
    );
    for (const { name } of index.all()) this.#wake(name);
    const { storage } = core;
    const watch = async (kind: ReturnType<Lookup["kind"]>, serviceOf: (key: string, name: string) => string) => {
      const touched = new Set<string>();
      const end = await follow(
        { storage, kind, log },
        {
          reset: () => this.#wakeService(() => true),
          changed: (key, object) => touched.add(serviceOf(key, object?.labels()["kubernetes.io/service-name"] ?? "")),
          flush: () => {
            this.#wakeService((service) => touched.has(service) || touched.has(""));
            touched.clear();
          },
        },
      );
      if (this.#closed) end();
      else this.#ends.push(end);
    };
    await watch(lookup.kind("", "services"), (key) => key);
    // Of a slice that is gone nobody knows the Service any more: all are looked at.
    const ofSlice = (key: string, service: string) =>
      service === "" ? "" : `${key.slice(0, key.indexOf("/"))}/${service}`;
    await watch(lookup.kind("discovery.k8s.io", "endpointslices"), ofSlice);
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #wakeService(concerns: (service: string) => boolean): void {
    for (const { name, remote } of this.#options.index.remotes())
      if (remote && concerns(`${remote.namespace}/${remote.name}`)) this.#wake(name);
  }

  #wake(name: string): void {
    if (this.#closed) return;
    if (this.#busy.has(name)) {
      this.#again.add(name);
      return;
    }
    this.#timers.get(name)?.();
    this.#timers.delete(name);
    const entry = this.#options.index.get(name);
    // Nearly all: nothing to look up.
    const settled = entry && !entry.remote && entry.available && entry.reason === localVerdict.reason;
    if (!entry || settled) this.#failures.delete(name);
    else {
      this.#busy.add(name);
      void this.#run(entry);
    }
  }

  async #run(entry: ApiServiceEntry): Promise<void> {
    const { name, remote } = entry;
    const { clock, log } = this.#options;
    let waitMs = remote ? resyncMs : undefined;
    try {
      const passed = await this.#sync(entry);
      if (passed) this.#failures.delete(name);
      else waitMs = this.#retryMs(name);
    } catch (error) {
      if (!isStatusError(error, "NotFound") && !isStatusError(error, "Conflict")) {
        if (!this.#closed) log.warn("the availability of an API service is not known", { name, error });
        waitMs = this.#retryMs(name);
      }
    }
    this.#busy.delete(name);
    if (this.#again.delete(name)) return this.#wake(name);
    if (this.#closed || waitMs === undefined) return;
    this.#timers.set(
      name,
      clock.after(waitMs, () => this.#wake(name)),
    );
  }

  #retryMs(name: string): number {
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    return backoffMs(failures, retry);
  }

  /** False: asked, and no answer. */
  async #sync(entry: ApiServiceEntry): Promise<boolean> {
    const { remote } = entry;
    if (!remote) {
      await this.#write(entry, localVerdict);
      return true;
    }
    const { lookup, backends } = this.#options;
    const service = await lookup.get<Service>(lookup.kind("", "services"), remote.namespace, remote.name);
    const slices = service ? await backends.slices(remote) : [];
    const verdict = judgeService(remote, { service, slices });
    if (verdict) {
      await this.#write(entry, verdict);
      return true;
    }
    // A bundle that can't be read says nothing about the server behind: it's told where it is used.
    backends.of(entry);
    const why = await this.#probe(entry);
    await this.#write(
      entry,
      why === undefined ? passedVerdict : { status: "False", reason: "FailedDiscoveryCheck", message: why },
    );
    return why === undefined;
  }

  /** Undefined: someone answered. Upstream asks five times at once; here the others are asked when the first doesn't answer. */
  async #probe(entry: ApiServiceEntry): Promise<string | undefined> {
    const first = await this.#ask(entry);
    if (first === undefined) return undefined;
    const others = await Promise.all(Array.from({ length: attempts - 1 }, () => this.#ask(entry)));
    return others.includes(undefined) ? undefined : (others.at(-1) ?? first);
  }

  async #ask(entry: ApiServiceEntry): Promise<string | undefined> {
    const { backends } = this.#options;
    const { group, version } = entry;
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    let url = "";
    try {
      const address = await backends.address(entry);
      url = `https://${printAddress(address)}${path}`;
      const user = { name: "system:kube-aggregator", groups: ["system:masters"] };
      const { status } = await backends.ask(entry, { address, path, user, timeoutMs: probeMs });
      if (status >= 200 && status <= 299) return undefined;
      return `failing or missing response from ${url}: bad status from ${url}: ${status}`;
    } catch (error) {
      const { message } = error as Error; // of Backends
      return url === "" ? message : `failing or missing response from ${url}: Get ${JSON.stringify(url)}: ${message}`;
    }
  }

  async #write({ name }: ApiServiceEntry, verdict: Verdict): Promise<void> {
    const { core, lookup, clock, log, metrics } = this.#options;
    const at = { group: "apiregistration.k8s.io", version: "v1", resource: "apiservices" } as const;
    const found = await lookup.get<APIService>(lookup.kind(at.group, at.resource), "", name);
    if (!found || this.#closed) return;
    const conditions = withVerdict(found.status?.conditions ?? [], verdict, formatTime(clock.now()));
    if (semanticEqual(conditions, found.status?.conditions)) return;
    log.debug("an API service changed", { name, ...verdict });
    const object: DeepReadonly<APIService> = { ...found, status: { ...found.status, conditions } };
    const write = { ...at, verb: "update", namespace: "", name, subresource: "status", object } as const;
    await update(core, internalCall(core, { ...write, now: clock.now() }), "status");
    const before = found.status?.conditions?.find(({ type }) => type === "Available");
    if (before?.status === "True" && verdict.status !== "True") metrics.lost(name, verdict.reason ?? "UnknownReason");
  }
}
