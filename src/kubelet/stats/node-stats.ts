/** What a node tells of its usage: to whoever is in the same process, and on its server. Everything is read when somebody asks. */
import type { NodeUsage } from "#api";
import { type Clock, metricContentTypes, metricFormatOf, printMetrics } from "#base";
import type { CriClient } from "../cri/client.ts";
import type { KubeletHost } from "../host.ts";
import type { KubeletMetrics } from "../metrics/kubelet-metrics.ts";
import { createRequestMeter, type MeterRequest } from "../metrics/meter-requests.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import { type Exchange, sendJson, sendText } from "../server/exchange.ts";
import type { KubeletRoute } from "../server/routes.ts";
import type { PodDiskOptions } from "./pod-disk.ts";
import { printResourceMetrics } from "./resource-metrics.ts";
import { createSampler, type Sampler } from "./sampler.ts";
import { usageOf } from "./usage.ts";

export interface NodeStatsOptions extends PodDiskOptions {
  readonly nodeName: string;
  readonly host: KubeletHost;
  readonly cri: CriClient;
  readonly cgroups: PodCgroups;
  readonly rootDir: string;
  readonly machine: MachineFacts;
  readonly metrics: KubeletMetrics;
  /** The endpoints that collectors of Kubernetes 1.0 ask, too. */
  readonly servesContainerInfo?: boolean;
  /** Of the runtime, if it is the node's own. */
  runtimePid(): Promise<number | undefined>;
  readonly clock: Clock;
}

export interface NodeStats {
  usage(): Promise<NodeUsage>;
  readonly sampler: Sampler;
  /** Counts requests to the node's server. */
  readonly meter: MeterRequest;
  /** `/stats/summary` and `/metrics…`; `/stats/…` and `/spec/` where that is wanted. */
  readonly routes: ReadonlyMap<string, KubeletRoute>;
}

export function createNodeStats(options: NodeStatsOptions): NodeStats {
  const { clock, machine, metrics } = options;
  const sampler = createSampler(options);
  const { memoryBytes, swapBytes } = machine;
  const now = () => clock.now();
  const summary = { ...options, memoryBytes, swapBytes, sampler, now, startedMs: now() };
  const notFound = (exchange: Exchange) => sendText(exchange, 404, "404: Page Not Found");
  const sendMetrics = (exchange: Exchange, text: string, format: "text" | "openmetrics" = "text") =>
    sendText(exchange, 200, text, { "content-type": metricContentTypes[format] });
  let own: Promise<void> | undefined;
  const collectsOwn = () =>
    (own ??= (async () => {
      const { collectOwn } = await import("../metrics/own-metrics.ts");
      const { readFigures } = await import("./pod-figures.ts");
      const { hierarchy } = options.cgroups;
      collectOwn(metrics, { ...options, cgroupVersion: hierarchy?.version ?? 0, disks: () => readFigures(options) });
    })());
  return {
    usage: async () => usageOf(await sampler.look({ brief: true })),
    sampler,
    meter: createRequestMeter(metrics.registry),
    routes: new Map<string, KubeletRoute>([
      [
        "stats",
        {
          methods: ["GET", "POST"],
          parts: options.servesContainerInfo ? [1, 5] : [2, 2],
          async serve(exchange) {
            const { parts, query } = exchange;
            if (parts[1] !== "summary" || parts.length > 2) {
              if (!options.servesContainerInfo) return notFound(exchange);
              const { serveContainerInfo } = await import("./container-info.ts");
              return serveContainerInfo(exchange, { ...options, sampler });
            }
            const only = query.getAll("only_cpu_and_memory");
            const { makeSummary } = await import("./summary.ts");
            sendJson(
              exchange,
              await makeSummary(summary, { cpuAndMemoryOnly: only.length === 1 && only[0] === "true" }),
            );
          },
        },
      ],
      ...(options.servesContainerInfo
        ? [
            [
              "spec",
              {
                methods: ["GET"],
                parts: [1, 1],
                async serve(exchange) {
                  const { machineInfo } = await import("./container-info.ts");
                  sendJson(exchange, machineInfo(options));
                },
              },
            ] satisfies [string, KubeletRoute],
          ]
        : []),
      [
        "metrics",
        {
          methods: ["GET"],
          parts: [1, 2],
          async serve(exchange) {
            const [, what] = exchange.parts;
            const format = metricFormatOf(exchange.request.headers.accept);
            const print = async (registry: KubeletMetrics["registry"]) =>
              sendMetrics(exchange, [...printMetrics(await registry.collect(), format)].join(""), format);
            if (what === undefined) {
              await collectsOwn();
              return print(metrics.registry);
            }
            if (what === "slis") return sendMetrics(exchange, "");
            if (what === "probes") return print(metrics.probes);
            if (what === "resource") return sendMetrics(exchange, printResourceMetrics(await sampler.look()));
            if (what !== "cadvisor") return notFound(exchange);
            const { printCadvisorMetrics } = await import("./cadvisor-metrics.ts");
            sendMetrics(exchange, await printCadvisorMetrics(await sampler.look(), options));
          },
        },
      ],
    ]),
  };
}
