/** A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1): its fields, what stands where nothing is said, and how it is shown again. */
import { isIpv6Text, parseIp } from "#api";
import { printDuration } from "#base";
import { type Configuration, type ConfigurationKind, decodeConfiguration, type Shape, shape } from "#machinery";
import { proxyPorts } from "../health/health-server.ts";

const apiVersion = "kubeproxy.config.k8s.io/v1alpha1";
const kind = "KubeProxyConfiguration";

/** Those of one mode; only where a rule or a cleaning is written anew does a period mean something. */
const periods = { syncPeriod: "duration", minSyncPeriod: "duration" } as const;

const fields = {
  featureGates: { mapOf: "bool" },
  clientConnection: shape("ClientConnectionConfiguration", {
    kubeconfig: "string",
    acceptContentTypes: "string",
    contentType: "string",
    qps: "number?",
    burst: "int",
  }),
  logging: "any",
  hostnameOverride: "string",
  bindAddress: "string",
  healthzBindAddress: "string",
  metricsBindAddress: "string",
  bindAddressHardFail: "bool",
  enableProfiling: "bool",
  showHiddenMetricsForVersion: "string",
  mode: "string",
  iptables: shape("KubeProxyIPTablesConfiguration", {
    masqueradeBit: "int?",
    masqueradeAll: "bool",
    localhostNodePorts: "bool?",
    ...periods,
  }),
  ipvs: shape("KubeProxyIPVSConfiguration", {
    ...periods,
    scheduler: "string",
    excludeCIDRs: { optional: ["string"] },
    strictARP: "bool",
    tcpTimeout: "duration",
    tcpFinTimeout: "duration",
    udpTimeout: "duration",
  }),
  nftables: shape("KubeProxyNFTablesConfiguration", { masqueradeBit: "int?", masqueradeAll: "bool", ...periods }),
  winkernel: shape("KubeProxyWinkernelConfiguration", {
    networkName: "string",
    sourceVip: "string",
    enableDSR: "bool",
    rootHnsEndpointName: "string",
    forwardHealthCheckVip: "bool",
  }),
  detectLocalMode: "string",
  detectLocal: shape("DetectLocalConfiguration", { bridgeInterface: "string", interfaceNamePrefix: "string" }),
  clusterCIDR: "string",
  nodePortAddresses: { optional: ["string"] },
  oomScoreAdj: "int?",
  conntrack: shape("KubeProxyConntrackConfiguration", {
    maxPerCore: "int?",
    min: "int?",
    tcpEstablishedTimeout: "duration?",
    tcpCloseWaitTimeout: "duration?",
    tcpBeLiberal: "bool",
    udpTimeout: "duration",
    udpStreamTimeout: "duration",
  }),
  configSyncPeriod: "duration",
  portRange: "string",
  windowsRunAsService: "bool",
} as const satisfies Readonly<Record<string, Shape>>;

export type ProxyConfiguration = Omit<Configuration<typeof fields>, "apiVersion">;

const configurationKind = { kind, apiVersions: [apiVersion], shape: shape(kind, fields) } satisfies ConfigurationKind;

/** A file's text, with defaults. As upstream: what is unknown in it is only warned of. Throws ConfigurationError. */
export async function readProxyConfiguration(
  text: string,
  warn: (complaint: string) => void,
): Promise<ProxyConfiguration> {
  const lenient = (complaint: string) => warn(`Using lenient decoding as strict decoding failed: ${complaint}`);
  const { apiVersion: _, ...read } = await decodeConfiguration(text, { ...configurationKind, lenient });
  return withDefaults(read);
}

/** What flags say, each at its place in such a file. */
export const configurationOf = (given: object): Promise<ProxyConfiguration> =>
  readProxyConfiguration(JSON.stringify({ apiVersion, kind, ...given }), () => undefined);

function withDefaults(read: ProxyConfiguration): ProxyConfiguration {
  const { iptables, ipvs, nftables, conntrack, clientConnection } = read;
  const bindAddress = read.bindAddress || "0.0.0.0";
  const [all, own] = isIpv6Text(bindAddress) || !parseIp(bindAddress) ? ["[::]", "[::1]"] : ["0.0.0.0", "127.0.0.1"];
  const syncPeriod = 30_000;
  const minSyncPeriod = 1_000;
  return {
    ...read,
    bindAddress,
    healthzBindAddress: withPort(read.healthzBindAddress || all, proxyPorts.health),
    metricsBindAddress: withPort(read.metricsBindAddress || own, proxyPorts.metrics),
    oomScoreAdj: read.oomScoreAdj ?? -999,
    iptables: {
      ...iptables,
      masqueradeBit: iptables.masqueradeBit ?? 14,
      localhostNodePorts: iptables.localhostNodePorts ?? true,
      syncPeriod: iptables.syncPeriod || syncPeriod,
      minSyncPeriod: iptables.minSyncPeriod || minSyncPeriod,
    },
    ipvs: { ...ipvs, syncPeriod: ipvs.syncPeriod || syncPeriod },
    nftables: {
      ...nftables,
      masqueradeBit: nftables.masqueradeBit ?? 14,
      syncPeriod: nftables.syncPeriod || syncPeriod,
      minSyncPeriod: nftables.minSyncPeriod || minSyncPeriod,
    },
    conntrack: {
      ...conntrack,
      maxPerCore: conntrack.maxPerCore ?? 32 * 1024,
      min: conntrack.min ?? 128 * 1024,
      tcpEstablishedTimeout: conntrack.tcpEstablishedTimeout ?? 24 * 3_600_000,
      tcpCloseWaitTimeout: conntrack.tcpCloseWaitTimeout ?? 3_600_000,
    },
    configSyncPeriod: read.configSyncPeriod || 15 * 60_000,
    clientConnection: {
      ...clientConnection,
      contentType: clientConnection.contentType || "application/vnd.kubernetes.protobuf",
      qps: clientConnection.qps || 5,
      burst: clientConnection.burst || 10,
    },
    detectLocalMode: read.detectLocalMode || "ClusterCIDR",
    // Only who asks for nftables by name gets its default: those who come from iptables had node ports on all addresses.
    nodePortAddresses:
      read.mode === "nftables" && !read.nodePortAddresses?.length ? ["primary"] : read.nodePortAddresses,
  };
}

/** An address without a port gets it; what is no address is left for the validation. */
function withPort(address: string, port: number): string {
  if (parseIp(address)) return isIpv6Text(address) ? `[${address}]:${port}` : `${address}:${port}`;
  return /^\[.*\]$/.test(address) && parseIp(address.slice(1, -1)) ? `${address}:${port}` : address;
}

/** `[::]:10256` in two. Undefined: neither. */
export function splitHostPort(text: string): { host: string; port: string } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  return host === undefined || port === undefined ? undefined : { host, port };
}

/** As a file would say it: `/configz` and `--write-config-to`. */
export function printProxyConfiguration(configuration: ProxyConfiguration): Record<string, unknown> {
  const { windowsRunAsService: _, ...shown } = configuration;
  return { kind, apiVersion, ...(print(shown, fields) as object) };
}

function print(value: unknown, declared: unknown): unknown {
  if (declared === "duration" || declared === "duration?") return printDuration(Number(value));
  if (value === undefined) return null;
  const inner = typeof declared === "object" && declared !== null && "fields" in declared ? declared.fields : declared;
  if (typeof value !== "object" || value === null || Array.isArray(value) || inner === "any") return value;
  const shapes = inner as Record<string, unknown>; // of an object, by field
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, print((value as Record<string, unknown>)[name], shapes[name])]),
  );
}
