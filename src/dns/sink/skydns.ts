/**
 * Services as SkyDNS keeps them in etcd, which a CoreDNS with its etcd plugin reads as well: the name's labels from the end under a prefix, and
 * what is there as JSON. The layout is that of Kubernetes 1.0, with its old names beside the present ones, and pointers, which it hadn't. Pure.
 *
 * | what | key | host |
 * |---|---|---|
 * | cluster address | `PREFIX/local/cluster/svc/NS/SVC/HASH`; old name `PREFIX/local/cluster/NS/SVC` | the address |
 * | named port | `…/svc/NS/SVC/_PROTO/_PORT/HASH` | `SVC.NS.svc.cluster.local.`, with the port |
 * | endpoint of a headless one | `…/svc/NS/SVC/HOSTNAME` or `…/HASH`, both ways | its address |
 * | its named port | `…/svc/NS/SVC/_PROTO/_PORT/HASH` | `HOSTNAME.SVC.NS.svc.cluster.local.` |
 * | external name | `…/svc/NS/SVC`, both ways | the name |
 * | pointer | `PREFIX/arpa/in-addr/10/96/0/1` | the Service, or the endpoint of a headless one |
 */
import { isIP } from "node:net";
import type { EndpointSlice, Service } from "#api";
import type { DeepReadonly } from "#machinery";

export interface SkyRecords {
  /** By key. */
  readonly records: ReadonlyMap<string, string>;
  /** By key. Of several Services that have an endpoint in common one is answered. */
  readonly pointers: ReadonlyMap<string, string>;
}

export interface SkyPlace {
  /** `cluster.local`; pointers are into the first. */
  readonly domains: readonly string[];
  /** `/skydns` */
  readonly prefix: string;
}

const [priority, weight, ttl] = [10, 10, 30];

export const skyValue = (host: string, port = 0): string =>
  JSON.stringify({ host, ...(port > 0 && { port }), priority, weight, ttl });

/** Whether it looks like one of ours: others' records may be in the same tree. */
export function isOurValue(text: string): boolean {
  try {
    const { host, port } = JSON.parse(text) as { host?: unknown; port?: unknown }; // anything
    return typeof host === "string" && text === skyValue(host, typeof port === "number" ? port : 0);
  } catch {
    return false; // somebody else's text
  }
}

/** FNV-1a of 32 bits, as Go prints it in hexadecimal. */
export function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

/** Where a name is: `web.default` of `cluster.local` at `/skydns/local/cluster/default/web`. */
export const keyOfName = (name: string, prefix: string): string =>
  [prefix, ...name.replace(/\.$/, "").split(".").reverse()].join("/");

export function pointerName(address: string): string {
  if (isIP(address) === 4) return `${address.split(".").reverse().join(".")}.in-addr.arpa`;
  const [head = "", tail = ""] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (half: string) => (half === "" ? [] : half.split(":"));
  const [start, end] = [groups(head), groups(tail)];
  const middle = new Array<string>(8 - start.length - end.length).fill("0");
  const digits = [...start, ...middle, ...end].map((group) => group.padStart(4, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/** Not under `svc`, where the old names of a namespace called so would be other Services' present ones. */
const hasOldNames = (namespace: string) => namespace !== "svc";

export function skyRecords(
  service: DeepReadonly<Service>,
  slices: readonly DeepReadonly<EndpointSlice>[],
  { domains, prefix }: SkyPlace,
): SkyRecords {
  const [first, ...more] = domains.map((domain) => recordsIn(domain, prefix, { service, slices }));
  const records = new Map([...(first?.records ?? []), ...more.flatMap((each) => [...each.records])]);
  return { records, pointers: first?.pointers ?? new Map() };
}

function recordsIn(
  domain: string,
  prefix: string,
  { service, slices }: { service: DeepReadonly<Service>; slices: readonly DeepReadonly<EndpointSlice>[] },
): SkyRecords {
  const { name = "", namespace = "" } = service.metadata;
  const { spec } = service;
  const full = `${name}.${namespace}.svc.${domain}`;
  const base = keyOfName(full, prefix);
  const bases = hasOldNames(namespace) ? [base, keyOfName(`${name}.${namespace}.${domain}`, prefix)] : [base];
  const records = new Map<string, string>();
  const pointers = new Map<string, string>();
  const addPort = (port: { name?: string | undefined; protocol?: string | undefined; port?: number }, host: string) => {
    if (!port.name || !port.port) return;
    const value = skyValue(`${host}.`, port.port);
    const protocol = (port.protocol ?? "TCP").toLowerCase();
    records.set(`${base}/_${protocol}/_${port.name}/${hashOf(value)}`, value);
  };
  if (spec?.type === "ExternalName") {
    for (const each of bases) records.set(each, skyValue(spec.externalName ?? ""));
  } else if (spec?.clusterIP === "None") {
    for (const { address, hostname, ports } of published(slices, spec.publishNotReadyAddresses === true)) {
      const value = skyValue(address);
      const label = hostname || hashOf(value);
      for (const each of bases) records.set(`${each}/${label}`, value);
      for (const port of ports) addPort(port, `${label}.${full}`);
      pointers.set(keyOfName(pointerName(address), prefix), skyValue(`${label}.${full}.`));
    }
  } else {
    const addresses = (spec?.clusterIPs ?? [spec?.clusterIP ?? ""]).filter((address) => isIP(address) !== 0);
    for (const address of addresses) {
      const value = skyValue(address);
      for (const each of bases)
        records.set(each === base || addresses.length > 1 ? `${each}/${hashOf(value)}` : each, value);
      pointers.set(keyOfName(pointerName(address), prefix), skyValue(`${full}.`));
    }
    if (addresses.length > 0) for (const port of spec?.ports ?? []) addPort(port, full);
  }
  return { records, pointers };
}

function published(slices: readonly DeepReadonly<EndpointSlice>[], withNotReady: boolean) {
  return slices.flatMap(({ endpoints, ports }) =>
    (endpoints ?? [])
      .filter(({ conditions }) => withNotReady || conditions?.ready !== false)
      .flatMap(({ addresses, hostname }) =>
        addresses
          .filter((address) => isIP(address) !== 0)
          .map((address) => ({ address, hostname, ports: ports ?? [] })),
      ),
  );
}

/** Keys of pointers that are about names of this domain. */
export const isPointerTo = (domain = "", value = ""): boolean => {
  if (!isOurValue(value)) return false;
  const { host } = JSON.parse(value) as { host: string }; // checked
  return host.endsWith(`.svc.${domain}.`);
};
