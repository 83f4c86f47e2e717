/**
 * Keeps etcd at what Services and their endpoints say. A change marks the keys it may have changed; what is marked goes into transactions, one
 * after another, until etcd is known to have it. Nothing is lost while etcd is away, because a mark stays until then and what is written is
 * read from the present wish, not from a log.
 *
 * What is in etcd is read at the start only (records of Services that went meanwhile go), and when etcd turns out to be another one.
 * There is no lease: when this ends, the servers that read the records go on answering as before, as with kube2sky.
 */
import type { EndpointSlice, Service } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import type { Informer, InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";
import { type Etcd, type EtcdHeader, type EtcdWrite, writesMax } from "./etcd.ts";
import { isOurValue, isPointerTo, keyOfName, type SkyPlace, skyRecords } from "./skydns.ts";

export interface SinkOptions extends SkyPlace {
  readonly informers: InformerSet;
  readonly etcd: Etcd;
  readonly clock: Clock;
  readonly log: Logger;
}

const serviceLabel = "kubernetes.io/service-name";
const index = "sink-service";
const retry = { initialMs: 100, maxMs: 10_000, jitter: 0.2 };

export async function runSink(options: SinkOptions, signal: AbortSignal): Promise<void> {
  const { informers, etcd, clock, log, ...place } = options;
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  slices.addIndex(index, (slice) => (serviceOf(slice) === undefined ? [] : [serviceOf(slice) ?? ""]));
  const wish = new Wish(place, services, slices);
  /** What etcd has, as far as is known. */
  const known = new Map<string, string>();
  /** Keys that etcd may have otherwise than wished. */
  const marked = new Set<string>();
  let seen: EtcdHeader | undefined;
  let wake: () => void = () => undefined;

  const refresh = (service: string) => {
    for (const key of wish.refresh(service)) marked.add(key);
    if (marked.size > 0) wake();
  };
  const onService = ({ metadata }: DeepReadonly<Service>) => refresh(`${metadata.namespace}/${metadata.name}`);
  const onSlice = (slice: DeepReadonly<EndpointSlice>) => {
    const service = serviceOf(slice);
    if (service !== undefined && wish.isHeadless(service)) refresh(service);
  };

  async function readAll(): Promise<void> {
    known.clear();
    for (const domain of place.domains) {
      const own = `${keyOfName(domain, place.prefix)}/`;
      await etcd.range(own, (key, value) => void (isOurValue(value) && known.set(key, value)));
    }
    seen = await etcd.range(
      `${place.prefix}/arpa/`,
      (key, value) => void (isPointerTo(place.domains[0], value) && known.set(key, value)),
    );
    for (const key of [...known.keys(), ...wish.keys()]) marked.add(key);
    log.info("records in etcd", { there: known.size });
  }

  /** One transaction. */
  async function writeSome(): Promise<void> {
    const writes: EtcdWrite[] = [];
    for (const key of marked) {
      const value = wish.value(key);
      if (value === known.get(key)) marked.delete(key);
      else writes.push([key, value]);
      if (writes.length === writesMax) break;
    }
    if (writes.length === 0) return;
    const header = await etcd.write(writes);
    for (const [key, value] of writes) {
      if (value === undefined) known.delete(key);
      else known.set(key, value);
      if (wish.value(key) === value) marked.delete(key);
    }
    const isOther = seen && (header.clusterId !== seen.clusterId || header.revision < seen.revision);
    seen = isOther ? undefined : header;
    if (isOther) log.warn("this is another etcd than before; it is read anew");
  }

  const stops: (() => void)[] = [];
  const ended = new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
  await Promise.race([Promise.all([services.synced(), slices.synced()]), ended]);
  // Late handlers are told of all that is there.
  if (!signal.aborted)
    stops.push(
      services.addHandler({ added: onService, updated: onService, deleted: onService }),
      slices.addHandler({ added: onSlice, updated: onSlice, deleted: onSlice }),
    );
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (!seen) await readAll();
      while (marked.size > 0 && seen && !signal.aborted) await writeSome();
      if (failures > 0) log.info("etcd is there again");
      failures = 0;
      if (!seen) continue;
      const woken = new Promise<void>((done) => {
        wake = done;
      });
      if (marked.size === 0) await Promise.race([woken, ended]);
    } catch (error) {
      failures++;
      if (failures === 1) log.error("etcd can't be written; it is tried again", { error: (error as Error).message });
      await Promise.race([new Promise<void>((done) => clock.after(backoffMs(failures, retry), done)), ended]);
    }
  }
  for (const stop of stops) stop();
}

const serviceOf = ({ metadata }: DeepReadonly<EndpointSlice>): string | undefined => {
  const name = metadata.labels?.[serviceLabel];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
};

/** What etcd should have. */
class Wish {
  readonly #place: SkyPlace;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #records = new Map<string, string>();
  /** By key, by Service. */
  readonly #pointers = new Map<string, Map<string, string>>();
  readonly #keys = new Map<string, { readonly records: readonly string[]; readonly pointers: readonly string[] }>();

  constructor(place: SkyPlace, services: Informer<Service>, slices: Informer<EndpointSlice>) {
    this.#place = place;
    this.#services = services;
    this.#slices = slices;
  }

  isHeadless(service: string): boolean {
    return this.#services.get(service)?.spec?.clusterIP === "None";
  }

  /** Of several Services that an address belongs to the first by name. */
  value(key: string): string | undefined {
    const record = this.#records.get(key);
    if (record !== undefined) return record;
    const owners = this.#pointers.get(key);
    if (!owners) return undefined;
    return owners.size === 1 ? owners.values().next().value : owners.get([...owners.keys()].sort()[0] ?? "");
  }

  keys(): string[] {
    return [...this.#records.keys(), ...this.#pointers.keys()];
  }

  /** Keys that may have changed. */
  refresh(name: string): Set<string> {
    const before = this.#keys.get(name);
    const changed = new Set<string>();
    for (const key of before?.records ?? []) {
      this.#records.delete(key);
      changed.add(key);
    }
    for (const key of before?.pointers ?? []) {
      const owners = this.#pointers.get(key);
      owners?.delete(name);
      if (owners?.size === 0) this.#pointers.delete(key);
      changed.add(key);
    }
    this.#keys.delete(name);
    const service = this.#services.get(name);
    if (!service) return changed;
    const slices = service.spec?.clusterIP === "None" ? this.#slices.by(index, name) : [];
    const { records, pointers } = skyRecords(service, slices, this.#place);
    for (const [key, value] of records) {
      this.#records.set(key, value);
      changed.add(key);
    }
    for (const [key, value] of pointers) {
      const owners = this.#pointers.get(key) ?? new Map<string, string>();
      this.#pointers.set(key, owners.set(name, value));
      changed.add(key);
    }
    this.#keys.set(name, { records: [...records.keys()], pointers: [...pointers.keys()] });
    return changed;
  }
}
