/**
 * All that the server does about the addresses of Services, in one part: the ranges and ports they are given from, the `kubernetes` Service
 * and who is behind it, what says that this server lives, and repairs.
 */
import { type ClusterFamilies, defineServiceKind, type Kind, parseCidr } from "#api";
import type { Clock, Logger } from "#base";
import type { Store } from "#store";
import type { Lookup } from "../admission/chain.ts";
import type { WatchCaches } from "../cache/watch-caches.ts";
import { ensureKubernetesService, keepKubernetesService } from "../kubernetes-service.ts";
import { EndpointReconciler } from "../peers/endpoint-reconciler.ts";
import { keepIdentityLease } from "../peers/identity-lease.ts";
import type { KindHooks, RegistryCore } from "../registry/core.ts";
import type { ResourceTable } from "../resource.ts";
import { AddressRange } from "./address-range.ts";
import { ensureDefaultRange } from "./default-range.ts";
import { defaultPortRange, type PortRange } from "./port-range.ts";
import { PortTable } from "./port-table.ts";
import { RepairEvents } from "./record-event.ts";
import { startRepair } from "./repair.ts";
import { serviceAllocator } from "./service-allocator.ts";
import { ServiceRanges } from "./service-ranges.ts";

export interface ServiceNetworkOptions {
  /** `10.96.0.0/16`, or two of different families behind a comma; the first one is the default. */
  readonly serviceCidr: string;
  readonly nodePorts?: PortRange | undefined;
  /** Where pods reach this server; absent: it isn't among the endpoints of the `kubernetes` Service. */
  readonly advertiseAddress?: string | undefined;
  /** Of the `kubernetes` Service, before it is known where the server listens. */
  readonly securePort?: number | undefined;
  /** Of the `kubernetes` Service; 0: it has none. */
  readonly serviceNodePort?: number | undefined;
  /** How the servers share the endpoints of the `kubernetes` Service: `none` leaves them to others. */
  readonly endpointReconciler?: "lease" | "none" | undefined;
  /** Of this machine; absent: the server doesn't say by a Lease that it lives. */
  readonly hostname?: string | undefined;
}

export interface ServiceNetworkDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
  readonly lookup: Lookup;
}

const securePortDefault = 6443;

/** Throws an Error in upstream's words. */
export function parseServiceRanges(text: string): string[] {
  const cidrs = text.split(",").map((each) => each.trim());
  const flag = "--service-cluster-ip-range";
  if (cidrs.some((cidr) => !parseCidr(cidr))) throw new Error(`${flag} must contain at least one valid cidr`);
  if (cidrs.length > 2) throw new Error(`${flag} must not contain more than two entries`);
  const ranges = cidrs.map((cidr) => new AddressRange(cidr));
  if (ranges.length === 2 && ranges[0]?.family === ranges[1]?.family)
    throw new Error(`${flag}[0] and ${flag}[1] must be of different IP family`);
  return ranges.map((range) => range.text);
}

/** Where pods find the servers: the first address of the first range. */
export const kubernetesAddress = (serviceCidr: string): string =>
  new AddressRange(parseServiceRanges(serviceCidr)[0] ?? "").first();

export function familiesOf(serviceCidr: string): ClusterFamilies {
  const [first, ...rest] = parseServiceRanges(serviceCidr).map((cidr) => new AddressRange(cidr).family);
  return [first ?? "IPv4", ...rest];
}

/** The kinds, with Services as this cluster has them. */
export function withServiceFamilies(kinds: readonly Kind[], families: ClusterFamilies): readonly Kind[] {
  if (families.length === 1 && families[0] === "IPv4") return kinds;
  const isService = ({ group, resource }: Kind) => group === "" && resource === "services";
  const services = defineServiceKind(families) as unknown as Kind; // handed Services only, like every kind in this list
  return kinds.map((kind) => (isService(kind) ? services : kind));
}

export class ServiceNetwork {
  readonly hooks: KindHooks;
  readonly #options: ServiceNetworkOptions;
  readonly #dependencies: ServiceNetworkDependencies;
  readonly #cidrs: readonly string[];
  readonly #ranges: ServiceRanges;
  readonly #ports: PortTable;
  /** In the order of their beginning. */
  readonly #stops: (() => void | Promise<void>)[] = [];

  constructor(options: ServiceNetworkOptions, dependencies: ServiceNetworkDependencies) {
    const { store, table, caches, lookup, clock } = dependencies;
    this.#options = options;
    this.#dependencies = dependencies;
    this.#cidrs = parseServiceRanges(options.serviceCidr);
    this.#ranges = new ServiceRanges({ table, caches });
    this.#ports = new PortTable(store, options.nodePorts ?? defaultPortRange);
    const families = familiesOf(options.serviceCidr);
    this.hooks = serviceAllocator({ families, ports: this.#ports, ranges: this.#ranges, clock, lookup });
  }

  /** What every cluster has. */
  async prepare(core: RegistryCore): Promise<void> {
    await this.#ensureRange(core);
    await this.#ensureService(core, this.#options.securePort || securePortDefault);
  }

  /** The server listens: it joins the others. */
  async start(core: RegistryCore, port: number): Promise<void> {
    const { advertiseAddress, endpointReconciler = "lease", hostname } = this.#options;
    const { store, clock, log, table } = this.#dependencies;
    // Pods couldn't reach a loopback address, and endpoints must not hold one.
    const address = advertiseAddress && !/^(127\.|::1$)/.test(advertiseAddress) ? advertiseAddress : undefined;
    let reconciler: EndpointReconciler | undefined;
    if (address && endpointReconciler === "lease") {
      reconciler = new EndpointReconciler({ core, store, clock, log, address, port });
      await reconciler.start();
    }
    const restoreEndpoints = async () => reconciler?.trigger();
    const endKeeping = keepKubernetesService({ store, log }, [
      { kind: table.stored("networking.k8s.io", "servicecidrs"), restore: () => this.#ensureRange(core) },
      { kind: table.stored("", "services"), restore: () => this.#ensureService(core, port) },
      { kind: table.stored("", "endpoints"), restore: restoreEndpoints },
      { kind: table.stored("discovery.k8s.io", "endpointslices"), restore: restoreEndpoints },
    ]);
    this.#stops.push(async () => reconciler?.stop(), endKeeping);
    this.#stops.push(
      startRepair({ core, store, ranges: this.#ranges, ports: this.#ports, clock, log, hostname: hostname ?? "" }),
    );
    if (hostname) {
      const peerAddress = address && (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
      this.#stops.push(keepIdentityLease({ core, clock, log, hostname, peerAddress }));
    }
  }

  /** Leaves the others; what fails is told, because the rest of the server closes all the same. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) {
      try {
        await stop();
      } catch (error) {
        this.#dependencies.log.warn("the server could not take itself out of the cluster", { error });
      }
    }
    this.#ports.close();
  }

  #ensureRange(core: RegistryCore): Promise<void> {
    const { clock, log } = this.#dependencies;
    const events = new RepairEvents({ core, clock, log, hostname: this.#options.hostname ?? "" });
    return ensureDefaultRange({ core, clock, log, events, cidrs: this.#cidrs });
  }

  #ensureService(core: RegistryCore, port: number): Promise<void> {
    const [cidr = ""] = this.#cidrs;
    const { serviceNodePort: nodePort = 0 } = this.#options;
    return ensureKubernetesService({ core, clock: this.#dependencies.clock, cidr, port, nodePort });
  }
}
