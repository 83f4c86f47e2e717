/** What is behind a backend of an Ingress: where its Service's endpoints are and what they speak. Pure. */
import { isIP } from "node:net";
import type { EndpointSlice, IngressBackend, Service, ServicePort } from "#api";
import type { DeepReadonly } from "#machinery";
import { isForbidden } from "./lookup.ts";

/** How backends are spoken to; `h2` is HTTP/2 with TLS. */
export type Protocol = "http" | "https" | "h2c" | "h2";

export interface Endpoint {
  /** `address:port`. */
  readonly id: string;
  /** A name for services of type ExternalName. */
  readonly host: string;
  readonly port: number;
}

export interface Upstream {
  readonly protocol: Protocol;
  readonly endpoints: readonly Endpoint[];
  /** 0: requests of a client may go anywhere. */
  readonly affinityMs: number;
  /** A name outside of the cluster, which somebody else resolves. */
  readonly isExternal: boolean;
}

/** Why a request can't be sent on; the client is told so. */
export interface Problem {
  readonly problem: string;
}

/** By a port's `appProtocol`; everything else is HTTP/1.1. */
const protocols: Readonly<Record<string, Protocol>> = {
  "kubernetes.io/h2c": "h2c",
  grpc: "h2c",
  grpcs: "h2",
  https: "https",
  "kubernetes.io/wss": "https",
};

const affinitySecondsDefault = 10_800;

export interface Behind {
  readonly service: DeepReadonly<Service> | undefined;
  readonly slices: readonly DeepReadonly<EndpointSlice>[];
}

/** `namespace/name` of the Service that a backend names. */
export const serviceKey = (namespace: string, { service }: DeepReadonly<IngressBackend>): string | undefined =>
  service && `${namespace}/${service.name}`;

export function resolveBackend({ service: wanted }: DeepReadonly<IngressBackend>, behind: Behind): Upstream | Problem {
  if (!wanted) return { problem: "backends that are no Services aren't supported" };
  const { service, slices } = behind;
  if (!service) return { problem: `there is no Service ${JSON.stringify(wanted.name)}` };
  const { spec } = service;
  const found = spec?.ports?.find(({ name, port }) =>
    wanted.port?.name ? name === wanted.port.name : port === wanted.port?.number,
  );
  if (spec?.type === "ExternalName") return external(spec.externalName ?? "", found ?? wanted.port?.number, wanted);
  if (!found) return { problem: noPort(wanted) };
  if ((found.protocol ?? "TCP") !== "TCP") return { problem: `that port of the Service isn't TCP` };
  const endpoints = endpointsOf(found, slices, spec?.ipFamilies?.[0] ?? "IPv4");
  if (endpoints.length === 0) return { problem: `Service ${JSON.stringify(wanted.name)} has no ready endpoints` };
  const { timeoutSeconds = affinitySecondsDefault } = spec?.sessionAffinityConfig?.clientIP ?? {};
  return {
    protocol: protocolOf(found.appProtocol),
    endpoints,
    affinityMs: spec?.sessionAffinity === "ClientIP" ? timeoutSeconds * 1000 : 0,
    isExternal: false,
  };
}

const protocolOf = (appProtocol = ""): Protocol => protocols[appProtocol.toLowerCase()] ?? "http";

type Wanted = NonNullable<DeepReadonly<IngressBackend>["service"]>;

const noPort = ({ name, port }: Wanted): string =>
  `Service ${JSON.stringify(name)} has no port ${port?.name ? JSON.stringify(port.name) : port?.number}`;

function external(
  host: string,
  port: DeepReadonly<ServicePort> | number | undefined,
  wanted: Wanted,
): Upstream | Problem {
  if (port === undefined) return { problem: noPort(wanted) };
  // A name that is an address isn't looked up, so nothing would look at it later.
  const family = isIP(host);
  if (family !== 0 && isForbidden({ address: host, family }))
    return { problem: `${host} is no address to send requests to` };
  const number = typeof port === "number" ? port : port.port;
  const protocol = protocolOf(typeof port === "number" ? undefined : port.appProtocol);
  const name = host.replace(/\.$/, "");
  const endpoints = [{ id: `${name}:${number}`, host: name, port: number }];
  return { protocol, endpoints, affinityMs: 0, isExternal: true };
}

/** Ready ones, each pod once; if none is, those that still serve while they end. */
function endpointsOf(
  { name = "" }: DeepReadonly<ServicePort>,
  slices: readonly DeepReadonly<EndpointSlice>[],
  family: string,
): Endpoint[] {
  const groups = { ready: new Map<string, Endpoint>(), serving: new Map<string, Endpoint>() };
  const collect = (addressType: string) => {
    for (const slice of slices) {
      if (slice.addressType !== addressType) continue;
      const port = slice.ports?.find((each) => (each.name ?? "") === name && (each.protocol ?? "TCP") === "TCP")?.port;
      if (port === undefined) continue;
      for (const { addresses, conditions } of slice.endpoints ?? []) {
        const [host] = addresses;
        const state = conditions?.ready !== false ? "ready" : conditions.serving ? "serving" : undefined;
        if (!host || !state) continue;
        const id = `${host}:${port}`;
        groups[state].set(id, { id, host, port });
      }
    }
  };
  for (const addressType of family === "IPv6" ? ["IPv6", "IPv4"] : ["IPv4", "IPv6"]) {
    collect(addressType);
    // A pod of both families is in slices of both.
    if (groups.ready.size > 0) break;
  }
  const { ready, serving } = groups;
  return [...(ready.size > 0 ? ready : serving).values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
