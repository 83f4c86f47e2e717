/**
 * Where a Service is reached by this server: its cluster address, which needs the service proxy on this machine, or one of its ready
 * endpoints (`--enable-aggregator-routing`). Follows apiserver's util/proxy; the messages are upstream's.
 */
import { isIP } from "node:net";
import type { EndpointSlice, Service } from "#api";
import { type DeepReadonly, statusError } from "#machinery";

export interface Address {
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, as in URLs. */
export const printAddress = ({ host, port }: Address): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;

export interface ServiceQuestion {
  readonly name: string;
  readonly port: number;
  /** Undefined: there is none. */
  readonly service: DeepReadonly<Service> | undefined;
  /** Of the Service; undefined: go by its cluster address. */
  readonly slices?: readonly DeepReadonly<EndpointSlice>[] | undefined;
}

/** Throws an Error or a StatusError that says why not. */
export function serviceAddress({ name, port, service, slices }: ServiceQuestion): Address {
  if (!service) throw new Error(`service ${JSON.stringify(name)} not found`);
  const { type = "ClusterIP", clusterIP = "", externalName = "", ports = [] } = service.spec ?? {};
  const routed = type === "ClusterIP" || type === "LoadBalancer" || type === "NodePort";
  if (!slices) {
    if (type === "ClusterIP" && clusterIP === "None") throw new Error('cannot route to service with ClusterIP "None"');
    if (type === "ExternalName") return { host: externalName, port };
  }
  if (!routed) throw new Error(`unsupported service type ${JSON.stringify(type)}`);
  const found = ports.find((each) => each.port === port);
  if (!found) throw statusError.serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(name)}`);
  if (!slices) return { host: clusterIP, port };
  const [family] = service.spec?.ipFamilies ?? [];
  return (
    pickEndpoint(slices, { portName: found.name ?? "", family }) ??
    raise(`no endpoints available for service ${JSON.stringify(name)}`)
  );
}

function raise(message: string): never {
  throw statusError.serviceUnavailable(message);
}

/** Any ready endpoint, of the primary address family if there is one; another one each time. */
function pickEndpoint(
  slices: readonly DeepReadonly<EndpointSlice>[],
  { portName, family }: { portName: string; family: string | undefined },
): Address | undefined {
  const candidates = slices.flatMap(({ addressType, endpoints, ports = [] }) => {
    const port = ports.find((each) => (each.name ?? "") === portName && each.port !== undefined)?.port;
    if (port === undefined) return [];
    const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
    return ready.flatMap(({ addresses: [host] }) => (host === undefined ? [] : [{ addressType, host, port }]));
  });
  const preferred = candidates.filter(({ addressType }) => addressType === family);
  const among = preferred.length > 0 ? preferred : candidates;
  const picked = among[Math.floor(Math.random() * among.length)];
  return picked && { host: picked.host, port: picked.port };
}

/** What the availability check asks of the slices: an address, and a port of that name. */
export function hasReadyEndpoint(slices: readonly DeepReadonly<EndpointSlice>[], portName: string): boolean {
  return slices.some(
    ({ endpoints, ports = [] }) =>
      (endpoints ?? []).some(({ conditions }) => conditions?.ready !== false) &&
      ports.some(({ name = "", port }) => name === portName && port !== undefined),
  );
}
