/**
 * What is behind the `kubernetes` Service: all servers that are alive. Each holds a key of the store that goes when the server doesn't renew it;
 * whoever sees one come or go brings the endpoints in line. Upstream's reconciler `lease`, which looks every ten seconds instead.
 */
import type { Endpoints, EndpointSlice } from "#api";
import { isIpv6Text } from "#api";
import type { Clock, Logger } from "#base";
import { type DeepReadonly, jsonEqual } from "#machinery";
import type { Store } from "#store";
import type { RegistryCore } from "../registry/core.ts";
import { createOwn, type OwnObject, readOwn, removeOwn, updateOwn } from "./write-own.ts";

export const serverPrefix = "/registry/masterleases/";
const ttlSeconds = 15;
const renewMs = 10_000;
const retryMs = 5_000;
const skipMirror = "endpointslice.kubernetes.io/skip-mirror";

export interface EndpointReconcilerOptions {
  readonly core: RegistryCore;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this server. */
  readonly address: string;
  readonly port: number;
}

const endpointsAt: OwnObject = {
  group: "",
  version: "v1",
  resource: "endpoints",
  namespace: "default",
  name: "kubernetes",
};
const sliceAt: OwnObject = { ...endpointsAt, group: "discovery.k8s.io", resource: "endpointslices" };

export class EndpointReconciler {
  readonly #options: EndpointReconcilerOptions;
  #lease = 0;
  #stopping = false;
  #cancelRenewal: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelWatch: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #queued = false;

  constructor(options: EndpointReconcilerOptions) {
    this.#options = options;
  }

  /** Resolves when this server is among the endpoints. */
  async start(): Promise<void> {
    const { store, log } = this.#options;
    await this.#publish();
    this.#cancelWatch = store.watch({
      start: serverPrefix,
      end: `${serverPrefix.slice(0, -1)}0`,
      onEvents: () => this.trigger(),
      onEnd: (reason) => log.debug("servers that come and go are no longer seen", { reason }),
    });
    await this.#enqueue();
    this.#renewLater();
  }

  /** Something may have changed. */
  trigger(): void {
    if (!this.#stopping) void this.#enqueue();
  }

  /** Takes this server out. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#cancelRenewal?.();
    this.#cancelRetry?.();
    this.#cancelWatch?.();
    await this.#running;
    const { store, address } = this.#options;
    await store.transact({ compare: [], operations: [{ type: "delete", key: serverPrefix + address }] });
    await this.#reconcile();
    if (this.#lease !== 0) await store.revokeLease(this.#lease);
  }

  async #publish(): Promise<void> {
    const { store, address } = this.#options;
    this.#lease = await store.grantLease(ttlSeconds);
    const value = Buffer.from(
      JSON.stringify({
        kind: "Endpoints",
        apiVersion: "v1",
        metadata: {},
        subsets: [{ addresses: [{ ip: address }] }],
      }),
    );
    const operation = { type: "put", key: serverPrefix + address, value, lease: this.#lease } as const;
    await store.transact({ compare: [], operations: [operation] });
  }

  #renewLater(): void {
    this.#cancelRenewal = this.#options.clock.after(renewMs, () => {
      void this.#renew().finally(() => {
        if (!this.#stopping) this.#renewLater();
      });
    });
  }

  async #renew(): Promise<void> {
    const { store, log, address } = this.#options;
    try {
      const { items } = await store.range({ start: serverPrefix + address, keysOnly: true });
      if (items.length === 0) await this.#publish();
      else await store.keepLeaseAlive(this.#lease).catch(() => this.#publish()); // it ran out: the machine slept
    } catch (error) {
      if (!this.#stopping) log.warn("this server could not say that it is alive", { error });
    }
  }

  /** One after the other; what comes while one is under way is done by the next. */
  #enqueue(): Promise<void> {
    if (this.#queued) return this.#running;
    this.#queued = true;
    this.#running = this.#running.then(async () => {
      this.#queued = false;
      try {
        await this.#reconcile();
      } catch (error) {
        if (this.#stopping) return;
        this.#options.log.warn("the endpoints of the kubernetes service could not be brought in line", { error });
        this.#cancelRetry?.();
        this.#cancelRetry = this.#options.clock.after(retryMs, () => this.trigger());
      }
    });
    return this.#running;
  }

  async #reconcile(): Promise<void> {
    const { store, port } = this.#options;
    const end = `${serverPrefix.slice(0, -1)}0`;
    const { items } = await store.range({ start: serverPrefix, end, keysOnly: true });
    const addresses = items.map(({ key }) => key.slice(serverPrefix.length)).sort();
    if (addresses.length === 0 && !this.#stopping)
      throw new Error(
        "no API server IP addresses were listed in storage, refusing to erase all endpoints for the kubernetes Service",
      );
    const ports = [{ name: "https", port, protocol: "TCP" }];
    await this.#bringEndpoints(addresses, ports);
    await this.#bringSlice(addresses, ports);
  }

  async #bringEndpoints(addresses: readonly string[], ports: readonly object[]): Promise<void> {
    const found = await readOwn<Endpoints>(this.#options, endpointsAt);
    if (!found && this.#stopping) return;
    const subsets = addresses.length === 0 ? [] : [{ addresses: addresses.map((ip) => ({ ip })), ports }];
    const labels = { ...found?.metadata.labels, [skipMirror]: "true" };
    if (found && jsonEqual(found.subsets ?? [], subsets) && found.metadata.labels?.[skipMirror] === "true") return;
    const object = { metadata: { ...found?.metadata, name: "kubernetes", namespace: "default", labels }, subsets };
    if (found) await updateOwn(this.#options, endpointsAt, object);
    else await createOwn(this.#options, endpointsAt, object);
  }

  async #bringSlice(addresses: readonly string[], ports: readonly object[]): Promise<void> {
    const found = await readOwn<EndpointSlice>(this.#options, sliceAt);
    if (!found && this.#stopping) return;
    const addressType = addresses.length > 0 && addresses.every(isIpv6Text) ? "IPv6" : "IPv4";
    const wanted = sliceOf(addresses, { ports, addressType });
    const sameType = !found || addresses.length === 0 || found.addressType === addressType;
    if (found && sameType && isAs(found, wanted)) return;
    // The type of a slice can't change.
    if (!sameType) await removeOwn(this.#options, sliceAt);
    if (!found || !sameType) await createOwn(this.#options, sliceAt, wanted);
    else
      await updateOwn(this.#options, sliceAt, {
        ...wanted,
        addressType: found.addressType,
        metadata: { ...found.metadata, ...wanted.metadata },
      });
  }
}

type WantedSlice = ReturnType<typeof sliceOf>;

function sliceOf(
  addresses: readonly string[],
  { ports, addressType }: { ports: readonly object[]; addressType: "IPv4" | "IPv6" },
) {
  const fitting = addresses.filter((address) => isIpv6Text(address) === (addressType === "IPv6"));
  return {
    metadata: { name: "kubernetes", namespace: "default", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType,
    endpoints: fitting.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: fitting.length === 0 ? [] : ports,
  };
}

function isAs(found: DeepReadonly<EndpointSlice>, { endpoints, ports, metadata }: WantedSlice): boolean {
  return (
    jsonEqual(found.endpoints ?? [], endpoints) &&
    jsonEqual(found.ports ?? [], ports) &&
    jsonEqual(found.metadata.labels ?? {}, metadata.labels)
  );
}
