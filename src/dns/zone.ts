/**
 * What the records are made from: services and their endpoints, kept from informers and looked up by name and by address.
 * Nothing is copied; the maps only point into the informers' objects.
 */
import type { EndpointSlice, Service } from "#api";
import type { Informer, InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";

/** One that takes traffic: ready, or of a Service that publishes those that aren't. */
export interface ZoneEndpoint {
  readonly address: string;
  /** In lower case, as names are compared. */
  readonly hostname: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface Zone {
  service(namespace: string, name: string): DeepReadonly<Service> | undefined;
  endpoints(namespace: string, name: string): ZoneEndpoint[];
  serviceByAddress(address: string): DeepReadonly<Service> | undefined;
  /** Endpoints at this address with the names of their Services. */
  endpointsByAddress(address: string): { namespace: string; service: string; hostname: string }[];
  hasNamespace(namespace: string): boolean;
  /** Unix seconds of the last change. */
  serial(): number;
  /** Where the server answers, for clusters without a DNS Service. */
  readonly ownAddresses: readonly string[];
}

export interface LiveZone {
  readonly zone: Zone;
  synced(): Promise<void>;
  hasSynced(): boolean;
  /** Tells the Service (`namespace/name`) of which something changed. Answers a function that ends it. */
  onChange(listener: (owner: string) => void): () => void;
}

const serviceLabel = "kubernetes.io/service-name";
type SeenSlice = DeepReadonly<EndpointSlice>;

export function createZone(informers: InformerSet, ownAddresses: readonly string[] = []): LiveZone {
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  const namespaces = informers.of("v1/namespaces");
  services.addIndex("dns-address", (service) =>
    (service.spec?.clusterIPs ?? [service.spec?.clusterIP ?? ""]).filter(isAddress),
  );
  slices.addIndex("dns-service", (slice) => (slice.metadata.labels?.[serviceLabel] ? [ownerOf(slice)] : []));
  slices.addIndex("dns-address", (slice) => (slice.endpoints ?? []).flatMap(({ addresses }) => addresses));
  let changedMs = Date.now();
  const listeners = new Set<(owner: string) => void>();
  const changed = (owner: string) => {
    changedMs = Date.now();
    for (const listener of listeners) listener(owner);
  };
  const changedService = ({ metadata: { namespace, name } }: DeepReadonly<Service>) => changed(`${namespace}/${name}`);
  const changedSlice = (slice: SeenSlice) => changed(ownerOf(slice));
  services.addHandler({ added: changedService, updated: changedService, deleted: changedService });
  slices.addHandler({
    added: changedSlice,
    updated(slice, old) {
      changedSlice(slice);
      if (ownerOf(old) !== ownerOf(slice)) changedSlice(old);
    },
    deleted: changedSlice,
  });
  const all = [services, slices, namespaces];
  return {
    zone: {
      ...zoneOf(services, slices),
      ...{ hasNamespace: (name) => namespaces.get(name) !== undefined, ownAddresses },
      serial: () => Math.floor(changedMs / 1000),
    },
    synced: async () => {
      await Promise.all(all.map((each) => each.synced()));
    },
    hasSynced: () => all.every((each) => each.hasSynced()),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

const ownerOf = ({ metadata }: SeenSlice) => `${metadata.namespace}/${metadata.labels?.[serviceLabel] ?? ""}`;

function zoneOf(
  services: Informer<Service>,
  slices: Informer<EndpointSlice>,
): Omit<Zone, "hasNamespace" | "serial" | "ownAddresses"> {
  const publishesAll = (owner: string) => services.get(owner)?.spec?.publishNotReadyAddresses === true;
  const endpointsIn = (slice: SeenSlice) => {
    const owner = ownerOf(slice);
    return endpointsOf(slice, publishesAll(owner)).map((endpoint) => ({ owner, endpoint }));
  };
  return {
    service: (namespace, name) => services.get(`${namespace}/${name}`),
    endpoints(namespace, name) {
      const owner = `${namespace}/${name}`;
      const all = publishesAll(owner);
      return slices.by("dns-service", owner).flatMap((slice) => endpointsOf(slice, all));
    },
    serviceByAddress: (address) => services.by("dns-address", address)[0],
    endpointsByAddress: (address) =>
      slices
        .by("dns-address", address)
        .filter(({ metadata }) => metadata.labels?.[serviceLabel])
        .flatMap(endpointsIn)
        .filter(({ endpoint }) => endpoint.address === address)
        .map(({ owner, endpoint: { hostname } }) => {
          const [namespace = "", service = ""] = owner.split("/");
          return { namespace, service, hostname };
        }),
  };
}

/** `all`: those that aren't ready, too. */
export function endpointsOf(slice: SeenSlice, all = false): ZoneEndpoint[] {
  // A port without a number stands for all: nothing that SRV could say.
  const ports = (slice.ports ?? []).flatMap(({ name = "", port, protocol = "TCP" }) =>
    port ? [{ name, port, protocol }] : [],
  );
  return (slice.endpoints ?? []).flatMap(({ addresses, hostname, conditions }) =>
    all || conditions?.ready !== false
      ? addresses.map((address) => ({ address, hostname: hostname?.toLowerCase() || dashed(address), ports }))
      : [],
  );
}

/** The name of an endpoint without hostname: its address with dashes, as a label that doesn't end in one. */
export const dashed = (address: string): string => {
  const name = address.toLowerCase().replaceAll(/[.:]/g, "-");
  return name.endsWith("-") ? `${name}0` : name;
};

const isAddress = (text: string) => text !== "" && text !== "None";
