/** Where the proxy subresources of pods, services and nodes lead. */
import { BlockList, isIP } from "node:net";
import { lookup } from "node:dns/promises";
import type { EndpointSlice, Service } from "#api";
import { assert } from "#base";
import { type DeepReadonly, type StatusError, statusError } from "#machinery";
import { Selection } from "../cache/selection.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import type { KubeletConnector } from "./kubelet-connector.ts";
import { nodeNamed, type PodView, podNamed, readObject } from "./pods.ts";
import { parseProxyName, type ProxyName } from "./proxy-name.ts";

export interface ProxyTarget {
  /** Scheme, host and port. */
  readonly origin: URL;
  /** The kubelet itself: it wants our certificate, and we check its. */
  readonly isKubelet: boolean;
}

export async function podTarget(call: Call, core: RegistryCore): Promise<ProxyTarget> {
  const { scheme, name, port } = nameOf(call, "pod");
  const pod = await podNamed(core, { namespace: call.target.namespace, name });
  if (!pod) throw statusError.notFound(call.resource, name);
  const address = pod.status?.podIPs?.[0]?.ip ?? "";
  checkAddress(address);
  return { origin: originOf({ scheme, host: address, port: port || firstPort(pod) }), isKubelet: false };
}

function firstPort({ spec }: PodView): string {
  const port = spec?.containers.find(({ ports = [] }) => ports.length > 0)?.ports?.[0]?.containerPort;
  return port === undefined ? "" : String(port);
}

export async function nodeTarget(call: Call, core: RegistryCore, kubelets: KubeletConnector): Promise<ProxyTarget> {
  const { scheme, name, port } = nameOf(call, "node");
  const kubelet = kubelets.locate(await nodeNamed(core, call, name));
  if (port === "" || port === kubelet.port) return { origin: kubelet, isKubelet: true };
  const host = kubelet.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host) ? [host] : (await lookup(host, { all: true })).map(({ address }) => address);
  for (const address of addresses) checkAddress(address);
  return { origin: originOf({ scheme, host, port }), isKubelet: false };
}

export async function serviceTarget(call: Call, core: RegistryCore): Promise<ProxyTarget> {
  const { resource, target } = call;
  const { namespace } = target;
  const { scheme, name, port } = nameOf(call, "service");
  const portName = /^\d+$/.test(port) ? await portNameOf(call, core, { name, port: Number(port) }) : port;
  const slices = await slicesOf(core, { namespace, name });
  // Without a selector and without endpoints upstream finds no Endpoints object, and says this.
  if (slices.length === 0) throw statusError.notFound(resource, name);
  for (const slice of shuffled(slices)) {
    const found = slice.ports?.find((each) => (each.name ?? "") === portName)?.port;
    if (found === undefined) continue;
    for (const endpoint of shuffled((slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false))) {
      const [address] = endpoint.addresses;
      const { targetRef } = endpoint;
      if (!address || targetRef?.kind !== "Pod" || !targetRef.name) continue;
      const pod = await podNamed(core, { namespace: targetRef.namespace ?? namespace, name: targetRef.name });
      // Only addresses that a pod of the same namespace has: a Service must not lead anywhere else.
      if (pod?.metadata.namespace !== namespace || !pod.status?.podIPs?.some(({ ip }) => ip === address)) continue;
      return { origin: originOf({ scheme, host: address, port: String(found) }), isKubelet: false };
    }
  }
  throw unavailable(target.name);
}

async function portNameOf(
  { resource, target }: Call,
  core: RegistryCore,
  { name, port }: { name: string; port: number },
): Promise<string> {
  const { namespace } = target;
  const service = await readObject<Service>(core, { group: "", resource: "services", namespace, name });
  if (!service) throw statusError.notFound(resource, name);
  const found = service.spec?.ports?.find((each) => each.port === port);
  if (!found) throw statusError.serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(name)}`);
  return found.name ?? "";
}

const unavailable = (id: string): StatusError =>
  statusError.serviceUnavailable(`no endpoints available for service ${JSON.stringify(id)}`);

async function slicesOf({ table, storage }: RegistryCore, { namespace, name }: { namespace: string; name: string }) {
  const kind = table.stored("discovery.k8s.io", "endpointslices");
  assert(kind, "endpoint slices are a built-in kind");
  const cache = await storage.cache(kind);
  return cache
    .select(new Selection({ kind, namespace }))
    .filter((object) => object.labels()["kubernetes.io/service-name"] === name)
    .map((object) => object.decoded() as DeepReadonly<EndpointSlice>); // the kind's type
}

function nameOf({ target }: Call, what: string): ProxyName {
  const name = parseProxyName(target.name);
  if (!name) throw statusError.badRequest(`invalid ${what} request ${JSON.stringify(target.name)}`);
  return name;
}

function originOf({ scheme, host, port }: { scheme: string; host: string; port: string }): URL {
  const shown = isIP(host) === 6 ? `[${host}]` : host;
  try {
    return new URL(`${scheme || "http"}://${shown}${port === "" ? "" : `:${port}`}`);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw statusError.serviceUnavailable(`error trying to reach service: dial tcp: lookup tcp/${port}: unknown port`);
  }
}

/** This machine and its links are not for clients to reach through us. */
const refused = new BlockList();
refused.addSubnet("127.0.0.0", 8, "ipv4");
refused.addSubnet("169.254.0.0", 16, "ipv4");
refused.addSubnet("224.0.0.0", 24, "ipv4");
refused.addAddress("::1", "ipv6");
refused.addSubnet("fe80::", 10, "ipv6");
refused.addSubnet("ff01::", 16, "ipv6");
refused.addSubnet("ff02::", 16, "ipv6");

function checkAddress(address: string): void {
  const family = isIP(address);
  if (family === 0 || refused.check(address, family === 6 ? "ipv6" : "ipv4")) {
    throw statusError.badRequest("address not allowed");
  }
}

/** In another order each time, so that the load spreads. */
function shuffled<T>(items: readonly T[]): T[] {
  const all = [...items];
  for (let at = all.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [all[at], all[other]] = [all[other]!, all[at]!]; // both inside
  }
  return all;
}
