/** What a node tells of its usage: to whoever is in the same process, and on its server. Everything is read when somebody asks. */
import type { NodeUsage } from "#api";
import { type Clock, metricContentTypes, metricFormatOf, printMetrics } from "#base";
import type { CriClient } from "../cri/client.ts";
import type { KubeletHost } from "../host.ts";
import type { KubeletMetrics } from "../metrics/kubelet-metrics.ts";
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
  /** Of the runtime, if it is the node's own. */
  runtimePid(): Promise<number | undefined>;
  readonly clock: Clock;
}

export interface NodeStats {
  usage(): Promise<NodeUsage>;
  readonly sampler: Sampler;
  /** `/stats/summary` and `/metrics…`. */
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
  return {
    usage: async () => usageOf(await sampler.look({ brief: true })),
    sampler,
    routes: new Map<string, KubeletRoute>([
      [
        "stats",
        {
          methods: ["GET", "POST"],
          parts: [2, 2],
          async serve(exchange) {
            const { parts, query } = exchange;
            if (parts[1] !== "summary") return notFound(exchange);
            const only = query.getAll("only_cpu_and_memory");
            const { makeSummary } = await import("./summary.ts");
            sendJson(
              exchange,
              await makeSummary(summary, { cpuAndMemoryOnly: only.length === 1 && only[0] === "true" }),
            );
          },
        },
      ],
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
            if (what === undefined) return print(metrics.registry);
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
