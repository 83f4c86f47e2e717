/**
 * What the records are made from: services and their endpoints, kept from informers and looked up by name and by address.
 * Nothing is copied; the indexes only point into the informers' objects.
 */
import type { EndpointSlice, Service } from "#api";
import type { InformerSet } from "#client";
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
type SeenService = DeepReadonly<Service>;

export function createZone(informers: InformerSet, ownAddresses: readonly string[] = []): LiveZone {
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  const namespaces = informers.of("v1/namespaces");
  // An informer's indexes would hold a map for each of their values: most of what a Service costs here.
  const servicesAt = new KeyIndex();
  const slicesAt = new KeyIndex();
  const slicesOf = new KeyIndex();
  let changedMs = Date.now();
  const listeners = new Set<(owner: string) => void>();
  const changed = (owner: string) => {
    changedMs = Date.now();
    for (const listener of listeners) listener(owner);
  };
  const addressesOf = ({ spec }: SeenService) => (spec?.clusterIPs ?? [spec?.clusterIP ?? ""]).filter(isAddress);
  const putService = (service: SeenService, change: "add" | "drop") => {
    const key = keyOf(service);
    for (const address of addressesOf(service)) servicesAt[change](address, key);
    changed(key);
  };
  const putSlice = (slice: SeenSlice, change: "add" | "drop") => {
    const key = keyOf(slice);
    const owner = ownerOf(slice);
    if (owner === undefined) return;
    slicesOf[change](owner, key);
    for (const { addresses } of slice.endpoints ?? []) for (const each of addresses) slicesAt[change](each, key);
    changed(owner);
  };
  const handlerOf = <T>(put: (object: T, change: "add" | "drop") => void) => ({
    added: (object: T) => put(object, "add"),
    updated(object: T, old: T) {
      put(old, "drop");
      put(object, "add");
    },
    deleted: (object: T) => put(object, "drop"),
  });
  services.addHandler(handlerOf(putService));
  slices.addHandler(handlerOf(putSlice));

  const endpoints = (namespace: string, name: string) => {
    const owner = `${namespace}/${name}`;
    const all = services.get(owner)?.spec?.publishNotReadyAddresses === true;
    return slicesOf.get(owner).flatMap((key) => endpointsOf(slices.get(key), all));
  };
  const informed = [services, slices, namespaces];
  return {
    zone: {
      ...{ ownAddresses, endpoints, serial: () => Math.floor(changedMs / 1000) },
      hasNamespace: (name) => namespaces.get(name) !== undefined,
      service: (namespace, name) => services.get(`${namespace}/${name}`),
      serviceByAddress: (address) => services.get(servicesAt.get(address)[0] ?? ""),
      endpointsByAddress(address) {
        const owners = new Set(slicesAt.get(address).map((key) => ownerOf(slices.get(key)) ?? ""));
        return [...owners].flatMap((owner) => {
          const [namespace = "", service = ""] = owner.split("/");
          const here = endpoints(namespace, service).filter((endpoint) => endpoint.address === address);
          return here.map(({ hostname }) => ({ namespace, service, hostname }));
        });
      },
    },
    synced: async () => {
      await Promise.all(informed.map((each) => each.synced()));
    },
    hasSynced: () => informed.every((each) => each.hasSynced()),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Keys of objects by a value of theirs. A value has one key mostly, which then is no list. */
class KeyIndex {
  readonly #keys = new Map<string, string | readonly string[]>();

  get(value: string): readonly string[] {
    const found = this.#keys.get(value);
    return found === undefined ? [] : typeof found === "string" ? [found] : found;
  }

  add(value: string, key: string): void {
    const found = this.get(value);
    if (!found.includes(key)) this.#keys.set(value, found.length === 0 ? key : [...found, key]);
  }

  drop(value: string, key: string): void {
    const [first, ...more] = this.get(value).filter((each) => each !== key);
    if (first === undefined) this.#keys.delete(value);
    else this.#keys.set(value, more.length === 0 ? first : [first, ...more]);
  }
}

const keyOf = ({ metadata }: SeenService | SeenSlice) => `${metadata.namespace}/${metadata.name}`;
/** `namespace/name` of its Service, if it has one. */
function ownerOf(slice: SeenSlice | undefined): string | undefined {
  const name = slice?.metadata.labels?.[serviceLabel];
  return name ? `${slice?.metadata.namespace}/${name}` : undefined;
}

/** `all`: those that aren't ready, too. */
export function endpointsOf(slice: SeenSlice | undefined, all = false): ZoneEndpoint[] {
  if (!slice) return [];
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
