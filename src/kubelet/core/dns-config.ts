/** What goes into a pod's resolv.conf, by its DNS policy. */
import { goQuote } from "#machinery";
import { type PodView, printPod } from "./types.ts";

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface DnsInput {
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** Of the node; undefined: there shall be none (`resolvConf: ""`). */
  readonly host: DnsConfig | undefined;
  readonly nodeIps?: readonly string[];
}

/** Limits of the C library's resolver, beyond which entries would be ignored anyway. */
const serversMax = 3;
const searchesMax = 32;
const searchLineMax = 2048;
const searchLengthMax = 253;

export interface DnsWarning {
  readonly reason: string;
  readonly message: string;
}

export interface DnsResult {
  readonly config: DnsConfig;
  /** Warnings for events of the pod, and of the node. */
  readonly warnings: readonly DnsWarning[];
  readonly nodeWarnings: readonly DnsWarning[];
}

/** Asking nobody is asking this machine itself, for the C library. */
const asksNobody = (nodeIps: readonly string[]): DnsConfig => ({
  servers: nodeIps.length > 0 ? nodeIps.map((ip) => (ip.includes(":") ? "::1" : "127.0.0.1")) : ["127.0.0.1"],
  searches: ["."],
  options: [],
});

export function dnsConfig(pod: PodView, { clusterDns, clusterDomain, host, nodeIps = [] }: DnsInput): DnsResult {
  const warnings: DnsWarning[] = [];
  const nodeWarnings: DnsWarning[] = [];
  const { dnsPolicy = "ClusterFirst", hostNetwork, dnsConfig: extra } = pod.spec ?? {};
  const { namespace } = pod.metadata;
  const wantsCluster = dnsPolicy === "ClusterFirstWithHostNet" || (dnsPolicy === "ClusterFirst" && !hostNetwork);
  const hostSearches = host?.searches ?? [];
  let base = host ?? asksNobody(nodeIps);
  if (dnsPolicy === "None") base = { servers: [], searches: [], options: [] };
  else if (wantsCluster && clusterDns.length === 0) {
    const reason = "MissingClusterDNS";
    const message = `kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`;
    warnings.push({ reason, message: `pod: ${goQuote(printPod(pod))}. ${message}` });
    nodeWarnings.push({ reason, message });
  } else if (wantsCluster)
    base = {
      servers: clusterDns,
      searches: clusterDomain
        ? unique([`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...hostSearches])
        : hostSearches,
      options: ["ndots:5"],
    };

  const merged = extra
    ? {
        servers: unique([...base.servers, ...(extra.nameservers ?? [])]),
        searches: unique([...base.searches, ...(extra.searches ?? [])]),
        options: mergeOptions(base.options, extra.options ?? []),
      }
    : base;
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
  return { config: { servers, searches, options: merged.options }, warnings, nodeWarnings };
}

const unique = (list: readonly string[]): string[] => [...new Set(list)];

const readOption = (option: string): { name: string; value?: string } => {
  const [, name = "", value] = /^([^:]*)(?::(.*))?$/.exec(option) ?? [];
  return value === undefined ? { name } : { name, value };
};

/** The pod's options win over those of the same name. */
function mergeOptions(base: readonly string[], extra: readonly { name?: string; value?: string }[]): string[] {
  const options = new Map(base.map((option) => [option.split(":")[0] ?? option, option]));
  for (const { name, value } of extra) if (name) options.set(name, value ? `${name}:${value}` : name);
  return [...options.values()];
}

function limitSearches(searches: readonly string[]): string[] {
  const kept: string[] = [];
  const sound = searches.slice(0, searchesMax).filter(({ length }) => length <= searchLengthMax);
  for (const search of sound) {
    if ([...kept, search].join(" ").length > searchLineMax) break;
    kept.push(search);
  }
  return kept;
}

/** What of the node's search line won't reach its pods; told once, when the node starts. */
export function searchProblem(
  { searches }: DnsConfig,
  { file, clusterDomain }: { file: string; clusterDomain: string },
): string | undefined {
  // Those of the cluster come before.
  const max = searchesMax - (clusterDomain ? 3 : 0);
  if (searches.length > max)
    return `Resolv.conf file '${file}' contains search line consisting of more than ${max} domains!`;
  if (searches.some(({ length }) => length > searchLengthMax))
    return `Resolv.conf file ${goQuote(file)} contains a search path which length is more than allowed ${searchLengthMax} chars!`;
  return searches.join(" ").length > searchLineMax
    ? `Resolv.conf file '${file}' contains search line which length is more than allowed ${searchLineMax} chars!`
    : undefined;
}

/** Reads a resolv.conf; servers on a loopback address can't be reached from a pod and are left out. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver" && words[0] && !/^(127\.|::1$)/.test(words[0])) servers.push(words[0]);
    // `a.b.` is `a.b`; `.` alone stands for none.
    if (keyword === "search") searches = words.filter((word) => word !== ".").map((word) => word.replace(/\.$/, ""));
    if (keyword === "options") options = mergeOptions(options, words.map(readOption));
  }
  return { servers, searches, options };
}
