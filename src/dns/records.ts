/**
 * Names to records by the Kubernetes DNS specification 1.1.0, and as CoreDNS' kubernetes plugin where that is silent, as a pure function of
 * the zone. Also answers the names of Kubernetes 1.0, `service.namespace.DOMAIN` without `svc`; where both could be meant, the one with
 * `svc` is. What is outside of the cluster's zones is undefined: to be forwarded. Differences from CoreDNS are in docs/dns.md.
 */
import { isIP } from "node:net";
import type { Service } from "#api";
import type { DeepReadonly } from "#machinery";
import type { DnsRecord } from "./message.ts";
import { types } from "./wire.ts";
import type { Zone, ZoneEndpoint } from "./zone.ts";

/** Clients may keep an answer this long; as CoreDNS' kubernetes plugin. */
export const ttlSeconds = 5;
const versionTtlSeconds = 28_800;
const schemaVersion = "1.1.0";
/** Longer chains of CNAMEs inside of the cluster, and loops, have no answer. */
const chainMax = 10;

export interface Question {
  /** As `Query` has it: in lower case. */
  readonly name: string;
  readonly type: number;
}

export interface Resolution {
  /** `empty`: the name exists, not with this type; `refused`: nobody is told that here. */
  readonly result: "found" | "empty" | "missing" | "refused";
  /** The cluster domain that is spoken for. */
  readonly domain: string;
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  /** The last answer is a CNAME out of the cluster, whose target is to be asked upstream. */
  readonly follow?: string;
  /** `namespace/name` of the only Service that this depends on: worth to be kept until that changes. */
  readonly owner?: string;
}

export interface RecordOptions {
  readonly zone: Zone;
  /** `cluster.local`; pointers name the first. */
  readonly domains: readonly string[];
}

interface Asked extends Question, RecordOptions {
  readonly domain: string;
}

export function resolve(question: Question, options: RecordOptions): Resolution | undefined {
  const { name, type } = question;
  const domain = domainOf(name, options.domains);
  if (domain === undefined) return type === types.PTR ? resolvePointer(name, options) : undefined;
  const asked: Asked = { name, type, zone: options.zone, domains: options.domains, domain };
  if (type === types.AXFR || type === types.IXFR) return { ...nothing(asked, "empty"), result: "refused" };
  if (name === domain) return resolveApex(asked);
  const labels = name.slice(0, -domain.length - 1).split(".");
  const last = labels.at(-1);
  const direct = labels.length <= 2 ? resolveFixed(labels, asked) : undefined;
  if (direct) return direct;
  const old = () => resolveService(labels, asked, "");
  if (last !== "svc" && last !== "pod") return old();
  const before = labels.slice(0, -1);
  const found = last === "svc" ? resolveService(before, asked, "svc.") : resolvePod(before, asked);
  // A namespace of this name, in the form without `svc`.
  const instead = found.result === "missing" && labels.length > 1 ? old() : found;
  return instead.result === "missing" ? found : instead;
}

/** The domain itself, or a name below it. */
export function isIn(name: string, domain: string): boolean {
  const before = name.length - domain.length - 1;
  return name.endsWith(domain) && (before < 0 || domain === "" || name.charCodeAt(before) === 0x2e);
}

/** The longest that the name lies in. */
function domainOf(name: string, domains: readonly string[]): string | undefined {
  let found: string | undefined;
  for (const domain of domains) {
    if (isIn(name, domain) && domain.length > (found?.length ?? -1)) found = domain;
  }
  return found;
}

/** The record every negative answer carries, so that resolvers know how long to believe it. */
export const startOfAuthority = (domain: string, zone: Zone): DnsRecord => ({
  name: domain,
  type: "SOA",
  ttl: ttlSeconds,
  serial: zone.serial(),
});

const noRecords: readonly DnsRecord[] = [];
const nothing = ({ domain }: Asked, result: "empty" | "missing", owner?: string): Resolution =>
  owner === undefined
    ? { result, domain, answers: noRecords, additionals: noRecords }
    : { result, domain, answers: noRecords, additionals: noRecords, owner };

function some({ domain }: Asked, answers: DnsRecord[], more: Partial<Resolution> = {}): Resolution {
  return { result: answers.length > 0 ? "found" : "empty", domain, answers, additionals: [], ...more };
}

function resolveApex(asked: Asked): Resolution {
  const { type, domain, zone } = asked;
  if (type === types.SOA) return some(asked, [startOfAuthority(domain, zone)]);
  if (type !== types.NS) return nothing(asked, "empty");
  const { name, addresses } = nameServer(asked);
  const additionals = addresses.map((address) => addressOf(address, name));
  return some(asked, [{ type: "NS", ttl: ttlSeconds, target: name }], { additionals });
}

/** Who answers: the cluster's DNS Service, so far as there is one. */
function nameServer({ zone, domain }: Asked): { name: string; addresses: readonly string[] } {
  const addresses = addressesOf(zone.service("kube-system", "kube-dns"));
  return addresses.length > 0
    ? { name: `kube-dns.kube-system.svc.${domain}`, addresses }
    : { name: `ns.dns.${domain}`, addresses: zone.ownAddresses };
}

function resolveFixed(labels: readonly string[], asked: Asked): Resolution | undefined {
  const name = labels.join(".");
  if (name === "dns-version")
    return asked.type === types.TXT
      ? some(asked, [{ type: "TXT", ttl: versionTtlSeconds, text: schemaVersion }])
      : nothing(asked, "empty");
  if (name === "ns.dns") return some(asked, ofType(nameServer(asked).addresses, asked.type));
  return name === "dns" ? nothing(asked, "empty") : undefined;
}

/** Labels before `svc`: `[svc, ns]`, `[endpoint, svc, ns]`, `[_port, _proto, svc, ns]`, or `[ns]`, an empty non-terminal. */
function resolveService(labels: string[], asked: Asked, form: "svc." | ""): Resolution {
  const { zone, domain, type } = asked;
  const namespace = labels.at(-1) ?? "";
  if (labels.length <= 1)
    return nothing(asked, labels.length === 0 || zone.hasNamespace(namespace) ? "empty" : "missing");
  const name = labels.at(-2)!; // two at least
  const owner = `${namespace}/${name}`;
  const none = (result: "empty" | "missing") => nothing(asked, result, owner);
  const service = zone.service(namespace, name);
  if (!service?.spec || labels.length > 4) return none("missing");
  const { clusterIP } = service.spec;
  const isExternal = service.spec.type === "ExternalName";
  // What nearly all ask for.
  if (labels.length === 2 && type !== types.SRV && clusterIP && clusterIP !== "None" && !isExternal) {
    const answers = ofType(addressesOf(service), type);
    return { result: answers.length > 0 ? "found" : "empty", domain, answers, additionals: noRecords, owner };
  }
  if (isExternal) return labels.length > 2 ? none("missing") : resolveExternal(service, asked);
  const [first = "", second = ""] = labels.slice(0, -2);
  const target = `${name}.${namespace}.${form}${domain}`;
  const wanted =
    labels.length === 4
      ? { port: first.replace(/^_/, ""), protocol: second.replace(/^_/, "").toUpperCase() }
      : labels.length === 3 && first.startsWith("_")
        ? { protocol: first.slice(1).toUpperCase() }
        : {};
  const endpoint = labels.length === 3 && !first.startsWith("_") ? first : undefined;
  const offers =
    clusterIP === "None" || endpoint !== undefined
      ? zone.endpoints(namespace, name).flatMap((each) => offersOf(each, { endpoint, target }))
      : addressesOf(service).map((address) => ({ address, target, ports: service.spec?.ports ?? [] }));
  const matching = offers
    .map((offer) => ({ ...offer, ports: offer.ports.filter((port) => isWanted(port, wanted)) }))
    .filter(({ ports }) => ports.length > 0 || Object.keys(wanted).length === 0);
  if (matching.length === 0) return none("missing");
  // `_tcp.NAME` has no records of its own, only names below it.
  if (labels.length === 3 && endpoint === undefined) return none("empty");
  if (type === types.SRV) return { ...some(asked, ...portRecords(matching)), owner };
  const addresses = new Set(matching.map(({ address }) => address));
  return { ...some(asked, ofType([...addresses], type)), owner };
}

interface Offer {
  readonly address: string;
  /** The name that has this address. */
  readonly target: string;
  readonly ports: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
}

const offersOf = (
  { address, hostname, ports }: ZoneEndpoint,
  { endpoint, target }: { endpoint: string | undefined; target: string },
): Offer[] =>
  endpoint === undefined || hostname === endpoint ? [{ address, target: `${hostname}.${target}`, ports }] : [];

const isWanted = (port: Offer["ports"][number], wanted: { port?: string; protocol?: string }): boolean =>
  (wanted.port === undefined || (port.name || undefined) === wanted.port) &&
  (wanted.protocol === undefined || (port.protocol ?? "TCP") === wanted.protocol);

const addressesOf = (service: DeepReadonly<Service> | undefined): readonly string[] =>
  (service?.spec?.clusterIPs ?? [service?.spec?.clusterIP ?? ""]).filter((address) => isIP(address));

/** SRV records with what they point to. All weigh the same, one at least; who has several addresses is named once. */
function portRecords(offers: readonly Offer[]): [DnsRecord[], { additionals: DnsRecord[] }] {
  const each = offers.flatMap(({ address, target, ports }) => ports.map(({ port }) => ({ address, target, port })));
  const weight = Math.max(1, Math.floor(100 / each.length));
  const ports = new Map(each.map(({ target, port }) => [`${target} ${port}`, { target, port }]));
  const hosts = new Map(each.map(({ target, address }) => [`${target} ${address}`, addressOf(address, target)]));
  return [
    [...ports.values()].map(({ target, port }) => ({ type: "SRV", ttl: ttlSeconds, weight, port, target })),
    { additionals: [...hosts.values()] },
  ];
}

/** A CNAME whatever is asked for, with its target's records when they are the cluster's own. */
function resolveExternal(service: DeepReadonly<Service>, asked: Asked): Resolution {
  const answers: DnsRecord[] = [];
  const passed = new Set<string>();
  for (let next: DeepReadonly<Service> | undefined = service, name: string | undefined; next; ) {
    const target = next.spec?.externalName?.toLowerCase().replace(/\.$/, "") ?? "";
    // Kubernetes' documentation: what looks like an address is a name, that nobody has.
    if (isIP(target) || !isName(target)) return nothing(asked, "missing");
    if (passed.has(target) || answers.length > chainMax) return nothing(asked, "empty");
    passed.add(target);
    answers.push({ ...(name !== undefined && { name }), type: "CNAME", ttl: ttlSeconds, target });
    if (asked.type === types.CNAME) break;
    name = target;
    next = externalAt(target, asked);
    if (next) continue;
    const inside = resolve({ name: target, type: asked.type }, asked);
    if (!inside) return some(asked, answers, { follow: target });
    const { result, domain, additionals } = inside;
    const more = inside.answers.map((record) => ({ ...record, name: record.name ?? target }));
    return {
      ...some(asked, [...answers, ...more], { additionals, domain }),
      result: more.length > 0 ? "found" : result,
    };
  }
  return some(asked, answers);
}

/** The ExternalName Service of this name. */
function externalAt(name: string, { zone, domains }: Asked): DeepReadonly<Service> | undefined {
  const domain = domainOf(name, domains);
  const labels = domain === undefined ? [] : name.slice(0, -domain.length - 1).split(".");
  if (labels.length > 2 && labels.at(-1) === "svc") labels.pop();
  const [service = "", namespace = "", ...more] = labels;
  const found = more.length === 0 ? zone.service(namespace, service) : undefined;
  return found?.spec?.type === "ExternalName" ? found : undefined;
}

const isName = (name: string): boolean =>
  name.length < 254 && name.split(".").every((label) => label.length > 0 && label.length < 64);

/** `1-2-3-4.ns.pod.DOMAIN`: says the address back, without asking whether such a pod is there. */
function resolvePod(labels: string[], asked: Asked): Resolution {
  const namespace = labels.at(-1);
  if (namespace === undefined) return nothing(asked, "empty");
  if (labels.length > 2 || !asked.zone.hasNamespace(namespace)) return nothing(asked, "missing");
  if (labels.length === 1) return nothing(asked, "empty");
  const [dashedAddress = ""] = labels;
  const address = [dashedAddress.replaceAll("-", "."), dashedAddress.replaceAll("-", ":")].find((text) => isIP(text));
  return address ? some(asked, ofType([address], asked.type)) : nothing(asked, "missing");
}

function resolvePointer(name: string, { zone, domains }: RecordOptions): Resolution | undefined {
  const address = parsePointer(name);
  if (address === undefined) return undefined;
  const [domain = ""] = domains;
  const service = zone.serviceByAddress(address);
  const targets = service
    ? [`${service.metadata.name}.${service.metadata.namespace}`]
    : zone.endpointsByAddress(address).map((found) => `${found.hostname}.${found.service}.${found.namespace}`);
  if (targets.length === 0) return undefined;
  const answers = [...new Set(targets)].map((target) => pointerTo(`${target}.svc.${domain}`));
  return { result: "found", domain, answers, additionals: [] };
}

const pointerTo = (target: string): DnsRecord => ({ type: "PTR", ttl: ttlSeconds, target });

/** The address in a reverse name. */
export function parsePointer(name: string): string | undefined {
  if (name.endsWith(".in-addr.arpa")) {
    const address = name.slice(0, -".in-addr.arpa".length).split(".").reverse().join(".");
    return isIP(address) === 4 ? address : undefined;
  }
  if (!name.endsWith(".ip6.arpa")) return undefined;
  const digits = name.slice(0, -".ip6.arpa".length).split(".").reverse().join("");
  if (!/^[0-9a-f]{32}$/.test(digits)) return undefined;
  // The canonical text, as it stands in objects.
  return new URL(`http://[${digits.match(/.{4}/g)?.join(":")}]`).hostname.slice(1, -1);
}

function addressOf(address: string, name?: string): DnsRecord {
  const type = address.includes(":") ? "AAAA" : "A";
  return name === undefined ? { type, ttl: ttlSeconds, address } : { name, type, ttl: ttlSeconds, address };
}

const ofType = (addresses: readonly string[], type: number): DnsRecord[] =>
  type === types.A || type === types.AAAA
    ? addresses.map((address) => addressOf(address)).filter((record) => types[record.type] === type)
    : [];
