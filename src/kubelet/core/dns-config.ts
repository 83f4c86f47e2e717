/** What goes into a pod's resolv.conf, by its DNS policy. */
import type { PodView } from "./types.ts";

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface DnsInput {
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** Of the node. */
  readonly host: DnsConfig;
}

/** Limits of the C library's resolver, beyond which entries would be ignored anyway. */
const serversMax = 3;
const searchesMax = 32;
const searchLineMax = 2048;

export interface DnsResult {
  readonly config: DnsConfig;
  /** Warnings for events. */
  readonly warnings: readonly { readonly reason: string; readonly message: string }[];
}

export function dnsConfig(pod: PodView, { clusterDns, clusterDomain, host }: DnsInput): DnsResult {
  const warnings: { reason: string; message: string }[] = [];
  const { dnsPolicy = "ClusterFirst", hostNetwork, dnsConfig: extra } = pod.spec ?? {};
  const { name, namespace, uid } = pod.metadata;
  const wantsCluster = dnsPolicy === "ClusterFirstWithHostNet" || (dnsPolicy === "ClusterFirst" && !hostNetwork);
  let base: DnsConfig = host;
  if (dnsPolicy === "None") base = { servers: [], searches: [], options: [] };
  else if (wantsCluster && clusterDns.length === 0)
    warnings.push({
      reason: "MissingClusterDNS",
      message: `pod: ${JSON.stringify(`${name}_${namespace}(${uid})`)}. kubelet does not have ClusterDNS IP configured and cannot create Pod using ${JSON.stringify(dnsPolicy)} policy. Falling back to ${JSON.stringify("Default")} policy.`,
    });
  else if (wantsCluster)
    base = {
      servers: clusterDns,
      searches: [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...host.searches],
      options: ["ndots:5"],
    };

  const merged = {
    servers: unique([...base.servers, ...(extra?.nameservers ?? [])]),
    searches: unique([...base.searches, ...(extra?.searches ?? [])]),
    options: mergeOptions(base.options, extra?.options ?? []),
  };
  const servers = merged.servers.slice(0, serversMax);
  if (servers.length < merged.servers.length)
    warnings.push({
      reason: "DNSConfigForming",
      message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(" ")}`,
    });
  const searches = limitSearches(merged.searches);
  if (searches.length < merged.searches.length)
    warnings.push({
      reason: "DNSConfigForming",
      message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(" ")}`,
    });
  return { config: { servers, searches, options: merged.options }, warnings };
}

const unique = (list: readonly string[]): string[] => [...new Set(list)];

/** The pod's options win over those of the same name. */
function mergeOptions(base: readonly string[], extra: readonly { name?: string; value?: string }[]): string[] {
  const options = new Map(base.map((option) => [option.split(":")[0] ?? option, option]));
  for (const { name, value } of extra) if (name) options.set(name, value ? `${name}:${value}` : name);
  return [...options.values()];
}

function limitSearches(searches: readonly string[]): string[] {
  const kept: string[] = [];
  for (const search of searches.slice(0, searchesMax)) {
    if ([...kept, search].join(" ").length > searchLineMax) break;
    kept.push(search);
  }
  return kept;
}

/** Reads a resolv.conf; servers on a loopback address can't be reached from a pod and are left out. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver" && words[0] && !/^(127\.|::1$)/.test(words[0])) servers.push(words[0]);
    if (keyword === "search" || keyword === "domain") searches = words.filter((word) => word !== ".");
    if (keyword === "options") options.push(...words);
  }
  return { servers, searches, options };
}
