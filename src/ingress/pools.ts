/** Connections to the backends that are in use: one pool for each port of a Service that somebody asked for, changed with its endpoints. */
import type { EndpointSlice, IngressBackend, Service } from "#api";
import type { InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";
import { Balancer } from "./balance.ts";
import { createHttp1Backend } from "./backend-http1.ts";
import { createHttp2Backend } from "./backend-http2.ts";
import type { Backend } from "./exchange.ts";
import { safeLookup } from "./lookup.ts";
import type { Route } from "./routes.ts";
import { type Endpoint, type Problem, resolveBackend, serviceKey, type Upstream } from "./upstream.ts";

export interface Pool {
  /** What it was made of last. */
  readonly upstream: Upstream;
  readonly balancer: Balancer;
  backendOf(endpoint: Endpoint): Backend;
}

export interface Pools {
  /** Where a route leads now. */
  of(route: Route): Pool | Problem;
  synced(): Promise<unknown>;
  close(): void;
}

const serviceLabel = "kubernetes.io/service-name";
const index = "ingress-service";

export function createPools(informers: InformerSet): Pools {
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  slices.addIndex(index, (slice) => {
    const key = ownerOf(slice);
    return key ? [key] : [];
  });
  /** By Service, then by the backend as Ingresses name it. */
  const pools = new Map<string, Map<string, { readonly route: Route; pool: OwnPool | Problem }>>();

  const look = ({ backend }: Route, key: string): Upstream | Problem =>
    resolveBackend(backend, { service: services.get(key), slices: slices.by(index, key) });
  const refresh = (key: string | undefined): void => {
    const known = key === undefined ? undefined : pools.get(key);
    if (!known || key === undefined) return;
    if (!services.get(key)) pools.delete(key); // those who ask for it again get a new one
    for (const entry of known.values()) entry.pool = renewed(entry.pool, look(entry.route, key));
  };
  const refreshService = ({ metadata }: DeepReadonly<Service>) => refresh(`${metadata.namespace}/${metadata.name}`);
  const refreshSlice = (slice: DeepReadonly<EndpointSlice>) => refresh(ownerOf(slice));
  const stop = [
    services.addHandler({ added: refreshService, updated: refreshService, deleted: refreshService }),
    slices.addHandler({
      added: refreshSlice,
      updated(slice, old) {
        refreshSlice(slice);
        if (ownerOf(old) !== ownerOf(slice)) refreshSlice(old);
      },
      deleted: refreshSlice,
    }),
  ];
  return {
    of(route) {
      const key = serviceKey(route.namespace, route.backend) ?? "";
      const id = portId(route.backend);
      const known = pools.get(key)?.get(id);
      if (known) return known.pool;
      const pool = renewed(undefined, look(route, key));
      if ("problem" in pool && !services.get(key)) return pool; // names that nobody has aren't kept
      const ofService = pools.get(key) ?? new Map();
      ofService.set(id, { route, pool });
      pools.set(key, ofService);
      return pool;
    },
    synced: () => Promise.all([services.synced(), slices.synced()]),
    close() {
      for (const each of stop) each();
      for (const entries of pools.values()) for (const { pool } of entries.values()) renewed(pool, { problem: "over" });
      pools.clear();
    },
  };
}

function ownerOf({ metadata }: DeepReadonly<EndpointSlice>): string | undefined {
  const name = metadata.labels?.[serviceLabel];
  return name && `${metadata.namespace}/${name}`;
}

const portId = ({ service }: DeepReadonly<IngressBackend>): string =>
  service?.port?.name ? `name ${service.port.name}` : `number ${service?.port?.number}`;

class OwnPool implements Pool {
  upstream: Upstream;
  readonly balancer = new Balancer();
  readonly #backends = new Map<string, Backend>();

  constructor(upstream: Upstream) {
    this.upstream = upstream;
    this.balancer.update(upstream);
  }

  /** Those that are gone finish what they have. */
  update(upstream: Upstream): void {
    this.upstream = upstream;
    this.balancer.update(upstream);
    const wanted = new Set(upstream.endpoints.map(({ id }) => id));
    for (const [id, backend] of this.#backends) {
      if (wanted.has(id)) continue;
      backend.retire();
      this.#backends.delete(id);
    }
  }

  backendOf(endpoint: Endpoint): Backend {
    let backend = this.#backends.get(endpoint.id);
    if (!backend) {
      const { protocol, isExternal } = this.upstream;
      const create = protocol === "h2c" || protocol === "h2" ? createHttp2Backend : createHttp1Backend;
      const isSecure = protocol === "https" || protocol === "h2";
      backend = create(endpoint, { isSecure, ...(isExternal && { lookup: safeLookup }) });
      this.#backends.set(endpoint.id, backend);
    }
    return backend;
  }
}

function renewed(old: OwnPool | Problem | undefined, upstream: Upstream | Problem): OwnPool | Problem {
  const pool = old && "balancer" in old ? old : undefined;
  if ("problem" in upstream) {
    pool?.update({ protocol: "http", endpoints: [], affinityMs: 0, isExternal: false });
    return upstream;
  }
  const isSame = pool?.upstream.protocol === upstream.protocol && pool.upstream.isExternal === upstream.isExternal;
  if (pool && isSame) {
    pool.update(upstream);
    return pool;
  }
  pool?.update({ ...pool.upstream, endpoints: [] });
  return new OwnPool(upstream);
}
