/** What a node tells of its usage: to whoever is in the same process, and on its server. */
import { type Clock, collectProcess, metricContentTypes, MetricRegistry, printMetrics } from "#base";
import type { CriClient } from "../cri/client.ts";
import type { KubeletHost } from "../host.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import { sendJson, sendText } from "../server/exchange.ts";
import type { KubeletRoute } from "../server/server.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import { printResourceMetrics } from "./resource-metrics.ts";
import { createSampler } from "./sampler.ts";
import { makeSummary } from "./summary.ts";
import { usageOf } from "./usage.ts";
import type { NodeUsage } from "#api";

export interface NodeStatsOptions {
  readonly nodeName: string;
  readonly host: KubeletHost;
  readonly cri: CriClient;
  readonly cgroups: PodCgroups;
  readonly layout: NodeLayout;
  readonly rootDir: string;
  readonly memoryBytes: number;
  readonly clock: Clock;
}

export interface NodeStats {
  usage(): Promise<NodeUsage>;
  /** `/stats/summary`, `/metrics` and `/metrics/resource`. */
  readonly routes: ReadonlyMap<string, KubeletRoute>;
}

export function createNodeStats(options: NodeStatsOptions): NodeStats {
  const { clock } = options;
  const sampler = createSampler(options);
  const now = () => clock.now();
  const summary = { ...options, sampler, now, startedMs: now() };
  const notFound = "404: Page Not Found";
  let own: MetricRegistry | undefined;
  return {
    usage: async () => usageOf(await sampler.look({ brief: true })),
    routes: new Map<string, KubeletRoute>([
      [
        "stats",
        {
          methods: ["GET", "POST"],
          parts: [2, 2],
          async serve(exchange) {
            const { parts, query } = exchange;
            if (parts[1] !== "summary") return sendText(exchange, 404, notFound);
            const only = query.getAll("only_cpu_and_memory");
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
            const headers = { "content-type": metricContentTypes.text };
            const [, what] = exchange.parts;
            if (what === "resource")
              return sendText(exchange, 200, printResourceMetrics(await sampler.look()), headers);
            if (what !== undefined) return sendText(exchange, 404, notFound);
            own ??= ownMetrics(options.host);
            sendText(exchange, 200, [...printMetrics(await own.collect(), "text")].join(""), headers);
          },
        },
      ],
    ]),
  };
}

/** Of this process, and how much runs here. Made when somebody asks first: watching collections isn't free. */
function ownMetrics(host: KubeletHost): MetricRegistry {
  const registry = new MetricRegistry();
  collectProcess(registry);
  const pods = registry.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", []);
  const containers = registry.gauge("kubelet_running_containers", "Number of currently running containers", [
    "container_state",
  ]);
  registry.onCollect(() => {
    const all = [...host.runtimes().values()];
    pods.with().set(all.filter(({ sandboxes }) => sandboxes[0]?.ready).length);
    containers.clear();
    for (const { state } of all.flatMap((each) => each.containers)) containers.with(state).add(1);
  });
  return registry;
}
