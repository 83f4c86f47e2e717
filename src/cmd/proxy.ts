/** `sampan proxy`: the service proxy of this machine alone, against any API server, in kube-proxy's place. Its rules stay when it ends. */
import { writeFile } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { createLogger, type FlagSpecs, type Logger, type LogLevel, realClock } from "#base";
import { loadProxyConfiguration, type ProxyConfiguration, type ProxySettings, proxySettings } from "#proxy";
import { defineCommand } from "./command.ts";
import { list, text } from "./flag-spec.ts";
import { partFlags, runPart } from "./part.ts";
import { proxyFlags, readProxyFlags } from "./proxy-flags.ts";
import { type ProxyMode, removeProxy, removeUserspaceRoutes, runServiceProxy } from "./proxy-servers.ts";
import { placeFlags } from "./settings.ts";

const flags = {
  ...partFlags,
  config: text(
    "FILE",
    "A KubeProxyConfiguration, or a YAML file with flags as keys (default /etc/sampan/config.yaml).",
  ),
  ...proxyFlags,
  "node-name": placeFlags["node-name"],
  "service-cidr": list("CIDR[,CIDR]", "Addresses of Services, where the API server has no ServiceCIDR objects."),
  "host-ports": { type: "bool", help: "Serve host ports of this node's pods, where no CNI plugin does." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run the service proxy alone",
  flags,
  async run(invocation) {
    const { flags: values, err, out, signal } = invocation;
    const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const configuration = await readProxyFlags(values, log);
    const { periodsOf, printProxyConfiguration, setConntrackSysctls, splitHostPort } = await loadProxyConfiguration();
    const target = values["write-config-to"];
    if (target !== undefined) {
      const { stringify } = await import("yaml");
      await writeFile(target, stringify(printProxyConfiguration(configuration)));
      return 0;
    }
    if (values.cleanup) {
      await removeProxy();
      out("the proxy's rules are removed\n");
      return 0;
    }
    const mode = modeOf(configuration, log);
    await setConntrackSysctls(configuration.conntrack, availableParallelism(), log);
    if (values["init-only"]) return 0;
    if (mode === "nftables") await removeUserspaceRoutes();
    await setOomScore(configuration.oomScoreAdj ?? 0, log);
    const bind = (address: string) => {
      const { host = "", port = "" } = splitHostPort(address) ?? {};
      return address === "" ? undefined : { host, port: Number(port) };
    };
    const nodeName = (configuration.hostnameOverride || values["node-name"] || hostname()).trim().toLowerCase();
    const kubeconfig = configuration.clientConnection.kubeconfig || values.kubeconfig;
    const { master } = values;
    return runPart(
      "kube-proxy",
      { flags: { kubeconfig, "log-level": values["log-level"] }, signal, err, out },
      ({ client, informers, metrics, log: partLog, signal: running }) =>
        runServiceProxy(
          {
            ...{ mode, client, informers, nodeName, metrics, clock: realClock, log: partLog },
            settings: settingsOf(configuration, { periodsOf, serviceCidrs: values["service-cidr"] }),
            hostPorts: values["host-ports"],
            healthAddress: bind(configuration.healthzBindAddress),
            metricsAddress: bind(configuration.metricsBindAddress),
            hardFail: configuration.bindAddressHardFail,
            configuration: () => printProxyConfiguration(configuration),
          },
          running,
        ),
      { metered: true, ...(master !== undefined && { master }) },
    );
  },
});

/** Upstream's, as nobody chose it. */
const minSyncPeriodDefault = 1_000;

/** The other modes keep the same promises by means that this proxy doesn't need. */
function modeOf({ mode }: ProxyConfiguration, log: Logger): ProxyMode {
  if (mode === "iptables" || mode === "ipvs")
    log.warn(`proxy mode ${mode} is served by nftables: Services behave the same, rules are found with nft`);
  return mode === "userspace" ? "userspace" : "nftables";
}

type PeriodsOf = Awaited<ReturnType<typeof loadProxyConfiguration>>["periodsOf"];

function settingsOf(
  configuration: ProxyConfiguration,
  { periodsOf, serviceCidrs }: { periodsOf: PeriodsOf; serviceCidrs: readonly string[] },
): ProxySettings {
  const { mode, nftables, iptables, detectLocal, detectLocalMode, clusterCIDR, nodePortAddresses } = configuration;
  const { masqueradeAll, masqueradeBit = 14 } = mode === "nftables" ? nftables : iptables;
  const { syncPeriod, minSyncPeriod } = periodsOf(configuration);
  return proxySettings({
    ...{ masqueradeAll, masqueradeBit, serviceCidrs },
    nodePortAddresses: nodePortAddresses ?? [],
    detectLocal: {
      ...detectLocal,
      mode: detectLocalMode as ProxySettings["detectLocal"]["mode"], // validated
      clusterCidrs: clusterCIDR === "" ? [] : clusterCIDR.split(","),
    },
    syncPeriodMs: syncPeriod,
    // Upstream waits because its transactions are large.
    minSyncPeriodMs: minSyncPeriod === minSyncPeriodDefault ? 0 : minSyncPeriod,
  });
}

/** Somebody who may not lower it is still served. */
async function setOomScore(score: number, log: Logger): Promise<void> {
  try {
    await writeFile("/proc/self/oom_score_adj", String(score));
  } catch (error) {
    log.debug("the out-of-memory score can't be set", { score, error });
  }
}
