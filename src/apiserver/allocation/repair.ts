/**
 * Keeps addresses and node ports in step with the Services that have them. The store's own events say what to look at, all of it is looked at
 * once at the start: upstream goes through everything every three minutes.
 */
import { setImmediate } from "node:timers/promises";
import type { IPAddress, Service } from "#api";
import type { Clock, Logger } from "#base";
import { type DeepReadonly, isStatusError } from "#machinery";
import type { Store, StoreEvent } from "#store";
import type { RegistryCore } from "../registry/core.ts";
import { create } from "../registry/create.ts";
import { removeOne } from "../registry/delete.ts";
import { internalCall } from "../registry/internal-call.ts";
import type { StoredKind } from "../resource.ts";
import { addressLabels, type Holder } from "./ip-address.ts";
import { portKey, portPrefix, type PortTable } from "./port-table.ts";
import { RepairEvents } from "./record-event.ts";
import { type AddressState, type Repair, repairIpAddress, repairService } from "./repair-addresses.ts";
import { repairPorts } from "./repair-ports.ts";
import { nodePortsOf } from "./service-ports.ts";
import type { ServiceRanges } from "./service-ranges.ts";

const addressController = "ipallocator-repair-controller";
const portController = "portallocator-repair-controller";
/** A change is looked at after this long: what belongs to it may come right behind. */
const settleMs = 100;
/** What failed is tried again. */
const retryMs = 5_000;
/** Ports that nobody has are looked at again, as upstream does every time. */
const leakMs = 3 * 60_000;
/** Objects checked between two turns of the event loop. */
const turnObjectsMax = 100;

export interface RepairOptions {
  readonly core: RegistryCore;
  readonly store: Store;
  readonly ranges: ServiceRanges;
  readonly ports: PortTable;
  readonly clock: Clock;
  readonly log: Logger;
  readonly hostname: string;
}

/** Answers a function that ends it. */
export function startRepair(options: RepairOptions): () => Promise<void> {
  const { core, store, ports, clock, log } = options;
  const services = storedKind(core, "", "services");
  const addresses = storedKind(core, "networking.k8s.io", "ipaddresses");
  const recorder = new RepairEvents(options);
  /** Ports with the key of the Service that has it, or had. */
  const dirty = { services: new Set<string>(), addresses: new Set<string>(), ports: new Map<number, string>() };
  let leaks: ReadonlyMap<number, number> = new Map();
  let everything = true;
  let closed = false;
  let cancelTimer: (() => void) | undefined;
  let due = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;

  const schedule = (afterMs: number) => {
    const at = clock.now() + afterMs;
    if (closed || at >= due) return;
    cancelTimer?.();
    due = at;
    cancelTimer = clock.after(afterMs, () => {
      due = Number.POSITIVE_INFINITY;
      running = (running ?? Promise.resolve()).then(pass);
    });
  };

  const pass = async (): Promise<void> => {
    if (closed) return;
    const all = everything;
    const taken = { services: [...dirty.services], addresses: [...dirty.addresses], ports: [...dirty.ports] };
    everything = false;
    dirty.services.clear();
    dirty.addresses.clear();
    dirty.ports.clear();
    try {
      await checkAddresses(all ? undefined : taken);
      if (all || leaks.size > 0 || (await anyMisplaced(taken.ports))) await checkPorts();
    } catch (error) {
      if (closed) return;
      log.error("addresses and ports of services could not be checked", { error });
      everything = true;
      schedule(retryMs);
    }
  };

  const checkAddresses = async (taken: { services: string[]; addresses: string[] } | undefined) => {
    const { storage } = core;
    const [serviceCache, addressCache] = [await storage.cache(services), await storage.cache(addresses)];
    const state: AddressState = {
      ranges: await options.ranges.current(),
      // Both are caches of their kind.
      service: (namespace, name) =>
        serviceCache.get(`${namespace}/${name}`)?.decoded() as DeepReadonly<Service> | undefined,
      address: (name) => addressCache.get(name)?.decoded() as DeepReadonly<IPAddress> | undefined,
    };
    let count = 0;
    for (const key of taken?.services ?? serviceCache.all().map((object) => object.key)) {
      const service = serviceCache.get(key)?.decoded() as DeepReadonly<Service> | undefined;
      const { name = "", namespace = "" } = service?.metadata ?? {};
      if (service)
        for (const repair of repairService(service, state)) await apply(repair, service, { namespace, name });
      if (++count % turnObjectsMax === 0) await setImmediate();
    }
    for (const key of taken?.addresses ?? addressCache.all().map((object) => object.key)) {
      const address = state.address(key);
      if (address)
        for (const repair of repairIpAddress(address, state, clock.now())) await apply(repair, address, undefined);
      if (++count % turnObjectsMax === 0) await setImmediate();
    }
  };

  const apply = async (repair: Repair, regarding: DeepReadonly<Service | IPAddress>, holder: Holder | undefined) => {
    switch (repair.type) {
      case "event":
        log.warn("repairing cluster addresses", { reason: repair.reason, note: repair.note });
        return recorder.record({ controller: addressController, regarding, ...repair });
      case "write":
        if (holder) await writeAddress(repair.address, holder);
        return;
      case "delete":
        return deleteAddress(repair.address);
      case "look-again":
        dirty.addresses.add(regarding.metadata.name ?? "");
        schedule(repair.afterMs);
    }
  };

  const place = { group: "networking.k8s.io", version: "v1", resource: "ipaddresses", namespace: "" } as const;
  const deleteAddress = async (name: string) => {
    const call = internalCall(core, { ...place, name, verb: "delete", now: clock.now() });
    await removeOne(core, call, { name, namespace: "", options: {} }).catch((error: unknown) => {
      if (!isStatusError(error, "NotFound")) throw error;
    });
  };
  const writeAddress = async (name: string, holder: Holder) => {
    await deleteAddress(name);
    const object = {
      metadata: { name, labels: addressLabels(name) },
      spec: { parentRef: { resource: "services", ...holder } },
    };
    const now = clock.now();
    await create(core, internalCall(core, { ...place, name: "", verb: "create", object, now })).catch(
      (error: unknown) => {
        // Somebody was faster; the next look tells who.
        if (!isStatusError(error, "AlreadyExists")) throw error;
      },
    );
  };

  /** What was written with its Service is in order: only the rest is a reason to go through all of them. */
  const anyMisplaced = async (changed: readonly (readonly [port: number, holder: string])[]): Promise<boolean> => {
    if (changed.length === 0) return false;
    const [cache, used] = [await core.storage.cache(services), await ports.used()];
    return changed.some(([port, holder]) => {
      const service = cache.get(holder)?.decoded() as DeepReadonly<Service> | undefined; // of that kind
      return nodePortsOf(service?.spec).has(port) !== used.has(port);
    });
  };

  const checkPorts = async () => {
    const cache = await core.storage.cache(services);
    const found = repairPorts({
      range: ports.range,
      reserved: await ports.used(),
      services: cache.all().map((object) => object.glance() as DeepReadonly<Service>), // of that kind
      leaks,
    });
    leaks = found.leaks;
    for (const { service, reason, note } of found.events) {
      log.warn("repairing node ports", { reason, note });
      await recorder.record({
        controller: portController,
        regarding: service,
        reason,
        action: "PortAllocation",
        note,
      });
    }
    for (const { port, service } of found.take) {
      const { name, namespace } = service.metadata;
      await store.transact({
        compare: [{ key: portKey(port), modRevision: 0 }],
        operations: [{ type: "put", key: portKey(port), value: Buffer.from(`${namespace}/${name}`) }],
      });
    }
    for (const port of found.release) {
      log.warn("a node port that no service has is given back", { port });
      await store.transact({ compare: [], operations: [{ type: "delete", key: portKey(port) }] });
    }
    if (leaks.size > 0) schedule(leakMs);
  };

  const follow = (prefix: string, mark: (key: string, event: StoreEvent) => void) =>
    store.watch({
      start: prefix,
      end: `${prefix.slice(0, -1)}0`,
      onEvents(events) {
        for (const event of events) mark(event.item.key.slice(prefix.length), event);
        schedule(settleMs);
      },
      onEnd(reason) {
        if (reason.detail.code !== "closed") log.warn("repairs of services are blind", { reason });
      },
    });
  const cancels = [
    follow(services.prefix, (key) => dirty.services.add(key)),
    follow(addresses.prefix, (key, { type, previous }) => {
      dirty.addresses.add(key);
      // Who had it may want it back.
      const holder = type === "delete" && previous ? holderOf(previous.value) : undefined;
      if (holder !== undefined) dirty.services.add(holder);
    }),
    follow(portPrefix, (key, { type, item, previous }) => {
      const value = type === "put" ? item.value : (previous?.value ?? new Uint8Array());
      dirty.ports.set(Number(key), Buffer.from(value).toString("utf8"));
    }),
  ];
  schedule(settleMs);
  return async () => {
    closed = true;
    for (const cancel of cancels) cancel();
    cancelTimer?.();
    await running;
  };
}

function storedKind(core: RegistryCore, group: string, resource: string): StoredKind {
  const kind = core.table.stored(group, resource);
  if (!kind) throw new Error(`${resource} is a built-in kind`);
  return kind;
}

/** The key of the Service that an IPAddress was of; undefined: of something else. */
function holderOf(value: Uint8Array): string | undefined {
  try {
    const { spec }: IPAddress = JSON.parse(Buffer.from(value).toString("utf8"));
    const { resource, namespace, name } = spec?.parentRef ?? {};
    return resource === "services" ? `${namespace}/${name}` : undefined;
  } catch {
    return undefined; // what can't be read is told elsewhere
  }
}
