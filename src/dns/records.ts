/**
 * Names to records by the Kubernetes DNS specification 1.1.0, as a pure function of the zone. Also answers the names of
 * Kubernetes 1.0, `service.namespace.DOMAIN` without `svc`. What is outside of the cluster's zones is undefined: to be forwarded.
 */
import { isIP } from "node:net";
import type { Answer } from "dns-packet";
import type { Zone, ZoneEndpoint } from "./zone.ts";

/** Clients may keep an answer this long; as CoreDNS' kubernetes plugin. */
export const ttlSeconds = 5;
const schemaVersion = "1.1.0";

export interface Question {
  /** As asked; matched without regard to case. */
  readonly name: string;
  readonly type: string;
}

export interface Resolution {
  /** `empty`: the name exists, not with this type. */
  readonly result: "found" | "empty" | "missing";
  readonly answers: Answer[];
  readonly additionals: Answer[];
  /** Set when the answer is a CNAME out of the cluster, whose address is to be asked upstream. */
  readonly follow?: string;
}

export interface RecordOptions {
  readonly zone: Zone;
  /** `cluster.local` */
  readonly domain: string;
}

const found = (answers: Answer[], additionals: Answer[] = []): Resolution => ({
  result: "found",
  answers,
  additionals,
});
const empty: Resolution = { result: "empty", answers: [], additionals: [] };
const missing: Resolution = { result: "missing", answers: [], additionals: [] };

export function resolve(question: Question, options: RecordOptions): Resolution | undefined {
  const name = question.name.toLowerCase().replace(/\.$/, "");
  const pointer = parsePointer(name);
  if (pointer) return question.type === "PTR" ? resolvePointer(pointer, question, options) : undefined;
  const { domain } = options;
  if (name === domain) return soaOrEmpty(question, domain);
  if (!name.endsWith(`.${domain}`)) return undefined;
  const labels = name.slice(0, -domain.length - 1).split(".");
  if (labels.length === 1 && labels[0] === "dns-version")
    return question.type === "TXT" || question.type === "ANY" ? found([record(question, "TXT", schemaVersion)]) : empty;
  if (labels.at(-1) === "svc") return resolveService(labels.slice(0, -1), question, options);
  if (labels.at(-1) === "pod") return resolvePod(labels.slice(0, -1), question, options);
  return labels.length >= 2 ? resolveService(labels, question, options) : missing;
}

/** The record every negative answer carries, so that resolvers know how long to believe it. */
export function startOfAuthority(domain: string): Answer {
  return {
    name: domain,
    type: "SOA",
    class: "IN",
    ttl: ttlSeconds,
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7200,
      retry: 1800,
      expire: 86400,
      minimum: ttlSeconds,
    },
  };
}

const soaOrEmpty = (question: Question, domain: string) =>
  question.type === "SOA" ? found([startOfAuthority(domain)]) : empty;

/** Labels before `svc`: `[svc, ns]`, `[endpoint, svc, ns]`, `[_port, _proto, svc, ns]`, or `[ns]`, an empty non-terminal. */
function resolveService(labels: string[], question: Question, options: RecordOptions): Resolution {
  const { zone } = options;
  const namespace = labels.at(-1) ?? "";
  if (labels.length <= 1) return labels.length === 0 || zone.hasNamespace(namespace) ? empty : missing;
  const name = labels.at(-2) ?? "";
  const service = zone.service(namespace, name);
  if (!service?.spec) return missing;
  const { spec } = service;
  const before = labels.slice(0, -2);
  if (spec.type === "ExternalName")
    return before.length > 0 ? missing : resolveExternal(spec.externalName ?? "", question);
  const headless = spec.clusterIP === "None";
  const published = headless
    ? zone.endpoints(namespace, name).filter(({ ready }) => ready || spec.publishNotReadyAddresses === true)
    : [];
  if (before.length === 2 && before.every((label) => label.startsWith("_"))) {
    const [portName = "", protocol = ""] = before.map((label) => label.slice(1));
    const target = `${name}.${namespace}.svc.${options.domain}`;
    return headless
      ? headlessPorts({ published, portName, protocol, target, question })
      : servicePorts({
          ports: spec.ports ?? [],
          portName,
          protocol,
          target,
          question,
          addresses: spec.clusterIPs ?? [],
        });
  }
  if (before.length > 1) return missing;
  const [endpointName] = before;
  const addresses = !headless
    ? endpointName === undefined
      ? (spec.clusterIPs ?? [spec.clusterIP ?? ""])
      : []
    : published
        .filter(({ hostname }) => endpointName === undefined || hostname === endpointName)
        .map(({ address }) => address);
  if (addresses.length === 0) return missing;
  if (question.type === "SRV" && endpointName === undefined) {
    const target = `${name}.${namespace}.svc.${options.domain}`;
    return headless
      ? headlessPorts({ published, target, question })
      : servicePorts({ ports: spec.ports ?? [], target, question, addresses });
  }
  return addressRecords([...new Set(addresses)], question);
}

function addressRecords(addresses: readonly string[], question: Question): Resolution {
  const answers = addresses
    .map((address) => record(question, isIP(address) === 6 ? "AAAA" : "A", address))
    .filter(({ type }) => type === question.type || question.type === "ANY");
  return answers.length > 0 ? found(answers) : empty;
}

interface PortQuery {
  /** Missing: every port. */
  portName?: string;
  protocol?: string;
  target: string;
  question: Question;
}

const portWanted = (query: PortQuery, port: { name?: string; protocol?: string }) =>
  query.portName === undefined ||
  ((port.name ?? "") === query.portName && (port.protocol ?? "TCP").toLowerCase() === query.protocol);

function servicePorts(
  query: PortQuery & {
    ports: readonly { name?: string; protocol?: string; port: number }[];
    addresses: readonly string[];
  },
): Resolution {
  const wanted = query.ports.filter((port) => portWanted(query, port));
  if (wanted.length === 0) return missing;
  if (query.question.type !== "SRV" && query.question.type !== "ANY") return empty;
  const weight = Math.floor(100 / wanted.length);
  return found(
    wanted.map(({ port }) => record(query.question, "SRV", { priority: 0, weight, port, target: query.target })),
    query.addresses.map((address) => addressOf(query.target, address)),
  );
}

function headlessPorts(query: PortQuery & { published: readonly ZoneEndpoint[] }): Resolution {
  const targets = query.published.flatMap(({ address, hostname, ports }) =>
    ports
      .filter((port) => portWanted(query, port))
      .map(({ port }) => ({ port, address, target: `${hostname}.${query.target}` })),
  );
  if (targets.length === 0) return missing;
  if (query.question.type !== "SRV" && query.question.type !== "ANY") return empty;
  const weight = Math.max(1, Math.floor(100 / targets.length));
  const named = new Map(targets.map(({ target, address }) => [`${target} ${address}`, addressOf(target, address)]));
  return found(
    targets.map(({ port, target }) => record(query.question, "SRV", { priority: 0, weight, port, target })),
    [...named.values()],
  );
}

function resolveExternal(externalName: string, question: Question): Resolution {
  const target = externalName.replace(/\.$/, "");
  if (isIP(target)) return addressRecords([target], question);
  const follow = question.type === "A" || question.type === "AAAA" ? { follow: target } : {};
  return { ...found([record(question, "CNAME", target)]), ...follow };
}

/** `1-2-3-4.ns.pod.DOMAIN`: says the address back, without asking whether such a pod is there. */
function resolvePod(labels: string[], question: Question, { zone }: RecordOptions): Resolution {
  const [dashedAddress = "", namespace = "", ...more] = labels;
  if (labels.length === 1) return zone.hasNamespace(dashedAddress) ? empty : missing;
  if (more.length > 0 || !zone.hasNamespace(namespace)) return missing;
  const address = [dashedAddress.replaceAll("-", "."), dashedAddress.replaceAll("-", ":")].find((text) => isIP(text));
  return address ? addressRecords([address], question) : missing;
}

function resolvePointer(address: string, question: Question, { zone, domain }: RecordOptions): Resolution | undefined {
  const service = zone.serviceByAddress(address);
  if (service)
    return found([record(question, "PTR", `${service.metadata.name}.${service.metadata.namespace}.svc.${domain}`)]);
  const names = zone
    .endpointsByAddress(address)
    .map(
      ({ service: { metadata }, endpoint }) =>
        `${endpoint.hostname}.${metadata.name}.${metadata.namespace}.svc.${domain}`,
    );
  return names.length > 0 ? found([...new Set(names)].map((name) => record(question, "PTR", name))) : undefined;
}

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

function record(question: Question, type: "A" | "AAAA" | "CNAME" | "PTR" | "SRV" | "TXT", data: unknown): Answer {
  return { name: question.name, type, class: "IN", ttl: ttlSeconds, data } as Answer; // data fits type at each caller
}

const addressOf = (name: string, address: string): Answer => ({
  name,
  type: isIP(address) === 6 ? "AAAA" : "A",
  class: "IN",
  ttl: ttlSeconds,
  data: address,
});
