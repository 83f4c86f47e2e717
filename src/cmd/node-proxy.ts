/** The service proxy as a part of a node. */
import { MetricRegistry } from "#base";
import { proxyPorts, proxySettings } from "#proxy";
import type { NodePart } from "./node-context.ts";
import { runServiceProxy } from "./proxy-servers.ts";

export const runProxy: NodePart = ({ client, informers, nodeName, settings, proxyMode, clock, log }, signal) => {
  const clusterCidrs = settings.clusterCidr.split(",");
  const chosen = proxySettings({
    detectLocal: { ...proxySettings().detectLocal, clusterCidrs },
    masqueradePodCidrs: clusterCidrs,
    serviceCidrs: settings.serviceCidr.split(","),
  });
  return runServiceProxy(
    {
      mode: proxyMode === "userspace" ? "userspace" : "nftables",
      ...{ client, informers, nodeName, settings: chosen, hostPorts: true, clock },
      metrics: new MetricRegistry(),
      healthAddress: { host: "0.0.0.0", port: proxyPorts.health },
      metricsAddress: { host: "127.0.0.1", port: proxyPorts.metrics },
      configuration: (mode) => ({ mode, clusterCIDR: settings.clusterCidr, hostnameOverride: nodeName }),
      log: log.with({ part: "proxy" }),
    },
    signal,
  );
};
