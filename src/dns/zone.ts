/**
 * What the records are made from: services and their endpoints, kept from informers and looked up by name and by address.
 * Nothing is copied; the maps only point into the informers' objects.
 */
import type { EndpointSlice, Service } from "#api";
import type { Informer, InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";

export interface ZoneEndpoint {
  readonly address: string;
  readonly hostname: string;
  readonly ready: boolean;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

export interface Zone {
  service(namespace: string, name: string): DeepReadonly<Service> | undefined;
  endpoints(namespace: string, name: string): ZoneEndpoint[];
  serviceByAddress(address: string): DeepReadonly<Service> | undefined;
  /** Endpoints of headless services at this address, each with its service. */
  endpointsByAddress(address: string): { service: DeepReadonly<Service>; endpoint: ZoneEndpoint }[];
  hasNamespace(namespace: string): boolean;
}

const serviceLabel = "kubernetes.io/service-name";

export function createZone(informers: InformerSet): { zone: Zone; synced: () => Promise<void> } {
  const services = informers.of("v1/services");
  const slices = informers.of("discovery.k8s.io/v1/endpointslices");
  const namespaces = informers.of("v1/namespaces");
  services.addIndex("dns-address", (service) =>
    (service.spec?.clusterIPs ?? [service.spec?.clusterIP ?? ""]).filter(isAddress),
  );
  slices.addIndex("dns-service", (slice) => {
    const name = slice.metadata.labels?.[serviceLabel];
    return name ? [`${slice.metadata.namespace}/${name}`] : [];
  });
  slices.addIndex("dns-address", (slice) => (slice.endpoints ?? []).flatMap(({ addresses }) => addresses));
  return {
    zone: zoneOf(services, slices, (name) => namespaces.get(name) !== undefined),
    synced: async () => {
      await Promise.all([services.synced(), slices.synced(), namespaces.synced()]);
    },
  };
}

function zoneOf(
  services: Informer<Service>,
  slices: Informer<EndpointSlice>,
  hasNamespace: (name: string) => boolean,
): Zone {
  return {
    hasNamespace,
    service: (namespace, name) => services.get(`${namespace}/${name}`),
    endpoints: (namespace, name) => slices.by("dns-service", `${namespace}/${name}`).flatMap(endpointsOf),
    serviceByAddress: (address) => services.by("dns-address", address)[0],
    endpointsByAddress: (address) =>
      slices.by("dns-address", address).flatMap((slice) => {
        const service = services.get(`${slice.metadata.namespace}/${slice.metadata.labels?.[serviceLabel]}`);
        if (service?.spec?.clusterIP !== "None") return [];
        return endpointsOf(slice)
          .filter((endpoint) => endpoint.address === address)
          .map((endpoint) => ({ service, endpoint }));
      }),
  };
}

export function endpointsOf(slice: DeepReadonly<EndpointSlice>): ZoneEndpoint[] {
  const ports = (slice.ports ?? []).map(({ name = "", port = 0, protocol = "TCP" }) => ({ name, port, protocol }));
  return (slice.endpoints ?? []).flatMap(({ addresses, hostname, conditions }) =>
    addresses.map((address) => ({
      address,
      hostname: hostname || dashed(address),
      ready: conditions?.ready !== false,
      ports,
    })),
  );
}

/** The name of an endpoint without hostname: its address with dashes. */
export const dashed = (address: string): string => address.replaceAll(/[.:]/g, "-");

const isAddress = (text: string) => text !== "" && text !== "None";
