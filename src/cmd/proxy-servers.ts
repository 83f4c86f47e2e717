/** A service proxy with all that others ask of it, in `up`, `agent` and alone: by nftables, or through sockets where that can't be. */
import { existsSync } from "node:fs";
import { collectProcess, createNft, type Clock, type Logger, type MetricRegistry } from "#base";
import { type ClosableEventRecorder, type Client, createEventRecorder, type InformerSet } from "#client";
import { runBatch } from "#network";
import {
  type BindAddress,
  createProxy,
  type Family,
  loadUserspaceProxy,
  nftProblem,
  nodePortHosts,
  removeRules,
  type ProxyObserver,
  type ProxySettings,
  serveProxy,
} from "#proxy";
import { findProgram } from "./machine.ts";
import { kubernetesVersion } from "./version.ts";

export type ProxyMode = "nftables" | "userspace";

export interface RunProxyOptions {
  /** `nftables` gives way to `userspace` where the machine can't do it. */
  readonly mode: ProxyMode;
  readonly client: Client;
  readonly informers: InformerSet;
  readonly nodeName: string;
  readonly settings: ProxySettings;
  /** See ProxyOptions. */
  readonly hostPorts: boolean;
  readonly metrics: MetricRegistry;
  readonly healthAddress: BindAddress | undefined;
  readonly metricsAddress: BindAddress | undefined;
  readonly hardFail?: boolean;
  /** What `/configz` shows. */
  readonly configuration: (mode: ProxyMode) => object;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Those that the kernel has. */
const families = (): readonly Family[] => (existsSync("/proc/net/if_inet6") ? ["IPv4", "IPv6"] : ["IPv4"]);

export async function runServiceProxy(options: RunProxyOptions, signal: AbortSignal): Promise<void> {
  const { client, informers, nodeName, settings, metrics, configuration, clock, log } = options;
  const nodes = () => informers.of("v1/nodes", { fieldSelector: `metadata.name=${nodeName}` });
  let mode = options.mode;
  let recorder: ClosableEventRecorder | undefined;
  let endProcess: (() => void) | undefined;
  const [major = "", minor = ""] = kubernetesVersion.slice(1).split(".");
  metrics
    .gauge("kubernetes_build_info", "What is running.", ["git_version", "go_version", "major", "minor", "platform"])
    .with(kubernetesVersion, `node${process.versions.node}`, major, minor, `${process.platform}/${process.arch}`)
    .set(1);
  metrics.onCollect(() => {
    endProcess ??= collectProcess(metrics);
  });
  const served = serveProxy({
    ...{ families: families(), metrics, clock, log, mode: () => mode },
    ...{ healthAddress: options.healthAddress, metricsAddress: options.metricsAddress },
    ...(options.hardFail && { hardFail: true }),
    syncPeriodMs: settings.syncPeriodMs,
    async node() {
      await nodes().synced();
      return nodes().get(nodeName);
    },
    configuration: () => configuration(mode),
    nodePortHosts: () => nodePortHosts(families(), settings, nodes().get(nodeName)),
    healthCheckFailed({ namespace, name }, port, why) {
      recorder ??= createEventRecorder({ client, component: "kube-proxy", host: nodeName, clock, log });
      recorder.event(
        { apiVersion: "v1", kind: "Service", metadata: { namespace, name } },
        {
          type: "Warning",
          reason: "FailedToStartServiceHealthcheck",
          message: `node ${nodeName} failed to start healthcheck "${namespace}/${name}" on port ${port}: ${why}`,
        },
      );
    },
  });
  const count = (what: "service" | "endpoint") => () => served.counted(what);
  const events = (what: "service" | "endpoint") => ({ added: count(what), updated: count(what), deleted: count(what) });
  const unwatch = [
    informers.of("v1/services").addHandler(events("service")),
    informers.of("discovery.k8s.io/v1/endpointslices").addHandler(events("endpoint")),
  ];
  const proxies = async () => {
    if (mode === "nftables" && (await nftablesEnds(options, served.observer, signal))) mode = "userspace";
    if (mode === "userspace" && !signal.aborted) await runUserspace(options, served.observer, signal);
  };
  try {
    await Promise.all([served.run(signal), proxies()]);
  } finally {
    for (const each of unwatch) each();
    endProcess?.();
    await recorder?.close();
  }
}

/** Runs the proxy on nftables; true when this machine turns out to be without. A machine that works isn't asked: that costs a process. */
async function nftablesEnds(options: RunProxyOptions, observer: ProxyObserver, signal: AbortSignal): Promise<boolean> {
  const { informers, nodeName, settings, hostPorts, clock, log } = options;
  const nft = findProgram("nft");
  let problem = nft === undefined ? await nftProblem() : undefined;
  if (problem === undefined) {
    const stop = new AbortController();
    let works = false;
    let asking = false;
    const watching: ProxyObserver = {
      ...observer,
      committed(result) {
        works = true;
        observer.committed(result);
      },
      failed(error) {
        observer.failed(error);
        if (works || asking) return;
        asking = true;
        nftProblem(nft).then(
          (found) => {
            asking = false;
            problem = found;
            if (found !== undefined) stop.abort();
          },
          (why: unknown) => log.error("nft can't be asked", { error: why }),
        );
      },
    };
    await createProxy({
      ...{ apply: createNft(nft), check: createNft(nft, ["-c"]) },
      ...{ informers, nodeName, settings, hostPorts, observer: watching, clock, log },
    }).run(AbortSignal.any([signal, stop.signal]));
  }
  if (problem !== undefined)
    log.warn("nftables can't be used: Services are carried by sockets of this process (--proxy-mode=userspace)", {
      why: problem,
    });
  return problem !== undefined;
}

async function runUserspace(options: RunProxyOptions, observer: ProxyObserver, signal: AbortSignal): Promise<void> {
  const { informers, nodeName, settings, hostPorts, clock, log } = options;
  const { createUserspaceProxy } = await loadUserspaceProxy();
  const nft = findProgram("nft");
  // Rules of an earlier start would go before what is here, to endpoints of then.
  if (nft) await removeRules(createNft(nft)).catch((error: unknown) => log.debug("no rules to remove", { error }));
  await createUserspaceProxy({
    ...{ informers, nodeName, settings, hostPorts, observer, clock, log },
    changeRoutes: (lines) => runBatch("ip", lines),
  }).run(signal);
}

/** Removes what any proxy of this machine left in the kernel: tables and routes. */
export async function removeProxy(): Promise<void> {
  if (findProgram("nft")) await removeRules(createNft(findProgram("nft")));
  await removeUserspaceRoutes();
}

/** Those of a user-space proxy that ran before. */
export async function removeUserspaceRoutes(): Promise<void> {
  if (!findProgram("ip")) return;
  const { removeLocalRoutes } = await loadUserspaceProxy();
  await removeLocalRoutes((lines) => runBatch("ip", lines));
}
