/**
 * Flags of kube-proxy: each is a field of a KubeProxyConfiguration, so flags and file are read, defaulted and checked the same way. As
 * upstream: with such a file (`--config`) the other flags don't count, but for the node's name.
 */
import { type FlagSpec, type FlagSpecs, type Logger, printDuration } from "#base";
import { printFieldErrors } from "#machinery";
import { loadProxyConfiguration, type ProxyConfiguration } from "#proxy";
import { CommandError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";

type Type = "string" | "strings" | "int" | "bool" | "duration";

/** By flag: its field, its type, and what it is for, or why that has no effect here. */
const fields = {
  "bind-address": [
    "bindAddress",
    "string",
    "The node's own address, where it can't be asked for; decides the family servers listen in.",
  ],
  "healthz-bind-address": [
    "healthzBindAddress",
    "string",
    "Address and port of /healthz and /livez (default 0.0.0.0:10256); empty: none.",
  ],
  "metrics-bind-address": [
    "metricsBindAddress",
    "string",
    "Address and port of /metrics and /proxyMode (default 127.0.0.1:10249); empty: none.",
  ],
  "bind-address-hard-fail": ["bindAddressHardFail", "bool", "A port that is taken ends the proxy."],
  "proxy-mode": ["mode", "string", "nftables (default), userspace; iptables and ipvs are served by nftables."],
  "cluster-cidr": [
    "clusterCIDR",
    "string",
    "Addresses of pods: what comes from elsewhere to a Service is masqueraded.",
  ],
  "detect-local-mode": [
    "detectLocalMode",
    "string",
    "How pods are told from others: ClusterCIDR (default), NodeCIDR, BridgeInterface, InterfaceNamePrefix.",
  ],
  "pod-bridge-interface": ["detectLocal.bridgeInterface", "string", "Of --detect-local-mode BridgeInterface."],
  "pod-interface-name-prefix": [
    "detectLocal.interfaceNamePrefix",
    "string",
    "Of --detect-local-mode InterfaceNamePrefix.",
  ],
  "nodeport-addresses": [
    "nodePortAddresses",
    "strings",
    "Where node ports answer: ranges, or `primary` (default with --proxy-mode nftables); else everywhere.",
  ],
  "masquerade-all": ["iptables.masqueradeAll", "bool", "Masquerade all that goes to cluster addresses."],
  "iptables-masquerade-bit": [
    "iptables.masqueradeBit",
    "int",
    "Bit of the mark that asks for masquerading (default 14).",
  ],
  "iptables-sync-period": ["iptables.syncPeriod", "duration", "How often the rules are looked after (default 30s)."],
  "iptables-min-sync-period": [
    "iptables.minSyncPeriod",
    "duration",
    "The least time between two changes of the rules.",
  ],
  "conntrack-max-per-core": [
    "conntrack.maxPerCore",
    "int",
    "Connections that are tracked for each core (default 32768); 0: as it is.",
  ],
  "conntrack-min": ["conntrack.min", "int", "Connections that are tracked at least (default 131072)."],
  "conntrack-tcp-timeout-established": [
    "conntrack.tcpEstablishedTimeout",
    "duration",
    "How long a silent connection is tracked (default 24h); 0: as it is.",
  ],
  "conntrack-tcp-timeout-close-wait": [
    "conntrack.tcpCloseWaitTimeout",
    "duration",
    "The same of one that one end has closed (default 1h).",
  ],
  "conntrack-tcp-be-liberal": ["conntrack.tcpBeLiberal", "bool", "Packets outside of the window are let through."],
  "conntrack-udp-timeout": [
    "conntrack.udpTimeout",
    "duration",
    "How long a UDP flow without an answer is tracked; 0: as it is.",
  ],
  "conntrack-udp-timeout-stream": ["conntrack.udpStreamTimeout", "duration", "The same of one with answers."],
  "oom-score-adj": ["oomScoreAdj", "int", "Of this process (default -999)."],
  "hostname-override": ["hostnameOverride", "string", "Name of the node (default: the host's)."],
  "config-sync-period": ["configSyncPeriod", "duration", "Without effect: nothing is read again."],
  "kube-api-burst": ["clientConnection.burst", "int", "Without effect: the API server decides how much it takes."],
  "kube-api-content-type": ["clientConnection.contentType", "string", "Without effect: JSON."],
  profiling: ["enableProfiling", "bool", "Without effect: there are no profiles of Go."],
  "show-hidden-metrics-for-version": ["showHiddenMetricsForVersion", "string", "Without effect: no metric is hidden."],
  "iptables-localhost-nodeports": [
    "iptables.localhostNodePorts",
    "bool",
    "Without effect: node ports don't answer at loopback addresses.",
  ],
  "ipvs-sync-period": ["ipvs.syncPeriod", "duration", "As --iptables-sync-period, with --proxy-mode ipvs."],
  "ipvs-min-sync-period": ["ipvs.minSyncPeriod", "duration", "As --iptables-min-sync-period, with --proxy-mode ipvs."],
  "ipvs-scheduler": ["ipvs.scheduler", "string", "Without effect: endpoints are taken at random."],
  "ipvs-exclude-cidrs": ["ipvs.excludeCIDRs", "strings", "Without effect: there are no rules of IPVS."],
  "ipvs-strict-arp": ["ipvs.strictARP", "bool", "Without effect: addresses of Services are on no interface."],
  "ipvs-tcp-timeout": ["ipvs.tcpTimeout", "duration", "Without effect: connections are the kernel's."],
  "ipvs-tcpfin-timeout": ["ipvs.tcpFinTimeout", "duration", "Without effect: connections are the kernel's."],
  "ipvs-udp-timeout": ["ipvs.udpTimeout", "duration", "Without effect: connections are the kernel's."],
} as const satisfies Readonly<Record<string, readonly [field: string, type: Type, help: string]>>;
type FieldFlag = keyof typeof fields;

/** Flags without a field whose matter doesn't exist here. */
const without = {
  "feature-gates": "what exists here is on",
  "kube-api-qps": "the API server decides how much it takes",
  "log-flush-frequency": "nothing is held back",
  "logging-format": "see --log-level",
  v: "see --log-level",
  vmodule: "see --log-level",
} as const;
type WithoutFlag = keyof typeof without;

const specOf = (type: Type, help: string): FlagSpec =>
  type === "bool" ? { type, either: true, help } : type === "duration" ? { type, value: "TIME", help } : { type, help };

const optional = (help: string) => ({ type: "string", value: "VALUE", help }) as const;

export const proxyFlags = {
  // Read by their fields.
  ...(Object.fromEntries(Object.entries(fields).map(([flag, [, type, help]]) => [flag, specOf(type, help)])) as object),
  ...(Object.fromEntries(
    Object.entries(without).map(([flag, why]) => [
      flag,
      { ...optional(`Without effect: ${why}.`), ...(flag === "v" && { short: "v" }) },
    ]),
  ) as object),
  "healthz-port": { type: "int", min: 0, max: 65_535, help: "Deprecated: see --healthz-bind-address; 0: none." },
  "metrics-port": { type: "int", min: 0, max: 65_535, help: "Deprecated: see --metrics-bind-address; 0: none." },
  "proxy-config": optional("A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1); --config takes it too."),
  "write-config-to": optional("Write the configuration that results to this file, and end."),
  master: optional("Address of the API server; wins over the kubeconfig's."),
  cleanup: { type: "bool", help: "Remove the proxy's rules, and end." },
  "init-only": { type: "bool", help: "Set the kernel's limits, which takes all rights, and end." },
} as const satisfies FlagSpecs;

/** What the flags, or the file they name, say. Throws what is wrong, in upstream's words; warns of what has no effect. */
export async function readProxyFlags(
  values: Readonly<Record<string, unknown>>,
  log: Pick<Logger, "warn">,
): Promise<ProxyConfiguration> {
  const { configurationOf, readProxyConfiguration, validateProxyConfiguration } = await loadProxyConfiguration();
  for (const [flag, why] of Object.entries(without) as [WithoutFlag, string][])
    if (values[flag] !== undefined && why !== without.v) log.warn(`--${flag} has no effect here: ${why}`);
  const path = values["proxy-config"] as string | undefined; // its flag's type
  const fromFile = await readConfigFile("config", path, (text) =>
    readProxyConfiguration(text, (complaint) => log.warn(complaint)),
  );
  const configuration = fromFile ?? (await fromFlags(values, { configurationOf, log }));
  const name = values["hostname-override"] as string | undefined; // its flag's type
  if (name !== undefined && name.trim() === "") throw new CommandError("empty hostname-override is invalid");
  const read = name === undefined ? configuration : { ...configuration, hostnameOverride: name.trim().toLowerCase() };
  const errors = validateProxyConfiguration(read);
  if (errors.length > 0) throw new CommandError(`failed validate: ${printFieldErrors(errors)}`);
  return read;
}

async function fromFlags(
  values: Readonly<Record<string, unknown>>,
  {
    configurationOf,
    log,
  }: { configurationOf: (given: object) => Promise<ProxyConfiguration>; log: Pick<Logger, "warn"> },
): Promise<ProxyConfiguration> {
  const given: Record<string, unknown> = {};
  const put = (path: string, value: unknown) => {
    const [outer = "", inner] = path.split(".");
    if (inner === undefined) given[outer] = value;
    else given[outer] = { ...(given[outer] as object | undefined), [inner]: value };
  };
  for (const [flag, [path, type, help]] of Object.entries(fields) as [FieldFlag, (typeof fields)[FieldFlag]][]) {
    const value = values[flag];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    if (help.startsWith("Without effect"))
      log.warn(`--${flag} has no effect here: ${help.slice("Without effect: ".length, -1)}`);
    put(path, type === "duration" ? printDuration(Number(value)) : value);
  }
  // Upstream's flags know one place for what files have in two.
  if (values["masquerade-all"] !== undefined) put("nftables.masqueradeAll", values["masquerade-all"]);
  for (const field of ["syncPeriod", "minSyncPeriod"] as const) {
    const value = values[field === "syncPeriod" ? "iptables-sync-period" : "iptables-min-sync-period"];
    if (value !== undefined) put(`nftables.${field}`, printDuration(Number(value)));
  }
  const read = await configurationOf(given);
  // In a file zero is as good as nothing; a flag means it.
  const isZero = (flag: FieldFlag) => values[flag] === 0;
  const zeros = {
    ...(isZero("iptables-sync-period") && { syncPeriod: 0 }),
    ...(isZero("iptables-min-sync-period") && { minSyncPeriod: 0 }),
  };
  return {
    ...read,
    ...(isZero("config-sync-period") && { configSyncPeriod: 0 }),
    iptables: { ...read.iptables, ...zeros },
    nftables: { ...read.nftables, ...zeros },
    healthzBindAddress: bindAddress(read.healthzBindAddress, values["healthz-bind-address"], values["healthz-port"]),
    metricsBindAddress: bindAddress(read.metricsBindAddress, values["metrics-bind-address"], values["metrics-port"]),
  };
}

/** A port flag counts where the address has no port of its own; an empty address or port 0 turns the server off. */
function bindAddress(read: string, address: unknown, port: unknown): string {
  if (address === "" || port === 0) return "";
  const own = typeof address === "string" && /:[0-9]+$/.test(address) && !/^[^[]*:.*:/.test(address);
  return port === undefined || own ? read : read.replace(/:[0-9]+$/, `:${port}`);
}
