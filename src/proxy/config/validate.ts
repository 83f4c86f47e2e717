/** What is wrong with a KubeProxyConfiguration, in upstream's words and order. */
import { parseCidr, parseIp } from "#api";
import { printDuration } from "#base";
import { type FieldError, FieldPath, fieldError } from "#machinery";
import { type ProxyConfiguration, splitHostPort } from "./configuration.ts";

/** Those that are taken; `iptables` and `ipvs` have the same effect by other means, which nftables serves here. */
export const proxyModes = ["iptables", "ipvs", "nftables", "userspace"] as const;
export const localModes = ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", ""] as const;

const atLeastZero = "must be greater than or equal to 0";
const masqueradeRange = "must be within the range [0, 31]";

/** `disabled`: servers that flags turn off have no address. */
export function validateProxyConfiguration(configuration: ProxyConfiguration): readonly FieldError[] {
  const errors: FieldError[] = [];
  const root = FieldPath.root("KubeProxyConfiguration");
  const { mode, iptables, ipvs, nftables, conntrack, oomScoreAdj = 0, clientConnection } = configuration;
  const wrong = (path: FieldPath, value: unknown, detail: string) =>
    errors.push(fieldError.invalid(path, value, detail));
  const within = (path: FieldPath, value = 0, [least, most, detail]: readonly [number, number, string]) => {
    if (value < least || value > most) wrong(path, value, detail);
  };
  const notNegative = (path: FieldPath, ms = 0) => {
    if (ms < 0) wrong(path, printDuration(ms), atLeastZero);
  };
  const bit = [0, 31, masqueradeRange] as const;

  within(root.child("KubeProxyIPTablesConfiguration", "MasqueradeBit"), iptables.masqueradeBit, bit);
  if (mode === "ipvs") {
    const at = root.child("KubeProxyIPVSConfiguration");
    notNegative(at.child("TCPTimeout"), ipvs.tcpTimeout);
    notNegative(at.child("TCPFinTimeout"), ipvs.tcpFinTimeout);
    notNegative(at.child("UDPTimeout"), ipvs.udpTimeout);
    for (const [position, cidr] of (ipvs.excludeCIDRs ?? []).entries())
      if (!parseCidr(cidr)) wrong(at.child("ExcludeCidrs").index(position), cidr, "must be a valid CIDR");
  }
  if (mode === "nftables")
    within(root.child("KubeProxyNFTablesConfiguration", "MasqueradeBit"), nftables.masqueradeBit, bit);
  const linux = root.child("KubeProxyLinuxConfiguration");
  const tracking = linux.child("KubeProxyConntrackConfiguration");
  const natural = [0, Number.POSITIVE_INFINITY, atLeastZero] as const;
  within(tracking.child("MaxPerCore"), conntrack.maxPerCore, natural);
  within(tracking.child("Min"), conntrack.min, natural);
  notNegative(tracking.child("TCPEstablishedTimeout"), conntrack.tcpEstablishedTimeout);
  notNegative(tracking.child("TCPCloseWaitTimeout"), conntrack.tcpCloseWaitTimeout);
  notNegative(tracking.child("UDPTimeout"), conntrack.udpTimeout);
  notNegative(tracking.child("UDPStreamTimeout"), conntrack.udpStreamTimeout);
  within(linux.child("OOMScoreAdj"), oomScoreAdj, [-1000, 1000, "must be within the range [-1000, 1000]"]);
  if (mode !== "" && !proxyModes.some((known) => known === mode))
    wrong(
      root.child("Mode", "ProxyMode"),
      mode,
      `must be ${proxyModes.join(", ")} or blank (blank means the best-available proxy [currently nftables])`,
    );
  within(root.child("ClientConnection", "Burst"), clientConnection.burst, natural);
  validatePeriods(configuration, { root, wrong });
  if (!parseIp(configuration.bindAddress))
    wrong(root.child("BindAddress"), configuration.bindAddress, "not a valid textual representation of an IP address");
  // Flags turn a server off by an empty address.
  if (configuration.healthzBindAddress)
    hostPort(configuration.healthzBindAddress, root.child("HealthzBindAddress"), wrong);
  if (configuration.metricsBindAddress)
    hostPort(configuration.metricsBindAddress, root.child("MetricsBindAddress"), wrong);
  nodePorts(configuration.nodePortAddresses ?? [], root.child("NodePortAddresses"), wrong);
  const localMode = configuration.detectLocalMode;
  if (!localModes.some((known) => known === localMode))
    errors.push(fieldError.notSupported(root.child("DetectLocalMode"), localMode, localModes));
  validateDetection(configuration, root.child("DetectLocalConfiguration"), wrong);
  return errors;
}

type Wrong = (path: FieldPath, value: unknown, detail: string) => void;

/** Of the mode that is chosen. */
export function periodsOf({ mode, iptables, ipvs, nftables }: ProxyConfiguration) {
  return mode === "nftables" ? nftables : mode === "ipvs" ? ipvs : iptables;
}

function validatePeriods(configuration: ProxyConfiguration, { root, wrong }: { root: FieldPath; wrong: Wrong }): void {
  const { syncPeriod, minSyncPeriod } = periodsOf(configuration);
  const { configSyncPeriod } = configuration;
  if (configSyncPeriod <= 0)
    wrong(root.child("ConfigSyncPeriod"), printDuration(configSyncPeriod), "must be greater than 0");
  if (syncPeriod <= 0) wrong(root.child("SyncPeriod"), printDuration(syncPeriod), "must be greater than 0");
  if (minSyncPeriod < 0) wrong(root.child("MinSyncPeriod"), printDuration(minSyncPeriod), atLeastZero);
  if (minSyncPeriod > syncPeriod)
    wrong(
      root.child("SyncPeriod"),
      printDuration(minSyncPeriod),
      `must be greater than or equal to ${root.child("MinSyncPeriod")}`,
    );
}

function hostPort(text: string, path: FieldPath, wrong: Wrong): void {
  const split = splitHostPort(text);
  if (!split) {
    wrong(path, text, "must be IP:port");
    return;
  }
  const { host, port } = split;
  if (!parseIp(host)) wrong(path, host, "must be a valid IP");
  if (!/^[+-]?[0-9]+$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
    wrong(path, port, "must be a valid port");
}

function nodePorts(addresses: readonly string[], path: FieldPath, wrong: Wrong): void {
  for (const [position, address] of addresses.entries()) {
    if (address === "primary") {
      if (addresses.length > 1) wrong(path.index(position), address, "can't use both 'primary' and CIDRs");
      return;
    }
    if (!parseCidr(address)) wrong(path.index(position), address, "must be a valid CIDR");
  }
}

function validateDetection(
  { detectLocalMode, detectLocal, clusterCIDR }: ProxyConfiguration,
  path: FieldPath,
  wrong: Wrong,
) {
  const present = (name: string, value: string) => {
    if (value === "") wrong(path.child(name), value, "must not be empty");
  };
  if (detectLocalMode === "BridgeInterface") present("InterfaceName", detectLocal.bridgeInterface);
  if (detectLocalMode === "InterfaceNamePrefix") present("InterfacePrefix", detectLocal.interfaceNamePrefix);
  if (detectLocalMode !== "ClusterCIDR" || clusterCIDR === "") return;
  const at = path.child("ClusterCIDRs");
  const cidrs = clusterCIDR.split(",");
  const pair = "must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]";
  if (cidrs.length > 2) {
    wrong(at, cidrs, pair);
    return;
  }
  for (const [position, cidr] of cidrs.entries())
    if (!parseCidr(cidr))
      wrong(at.index(position), cidr, "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)");
  const families = new Set(cidrs.map((cidr) => parseCidr(cidr)?.address.family));
  if (cidrs.length === 2 && families.size === 1 && !families.has(undefined)) wrong(at, cidrs, pair);
}
