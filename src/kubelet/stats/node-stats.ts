/** What a node tells of its usage: to whoever is in the same process, and on its server. */
import type { Clock } from "#base";
import type { CriClient } from "../cri/client.ts";
import type { KubeletHost } from "../host.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import { sendJson, sendText } from "../server/exchange.ts";
import type { KubeletRoute } from "../server/server.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import { printResourceMetrics } from "./resource-metrics.ts";
import { createSampler } from "./sampler.ts";
import { makeSummary } from "./summary.ts";
import { type NodeUsage, usageOf } from "./usage.ts";

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
  /** `/stats/summary` and `/metrics/resource`. */
  readonly routes: ReadonlyMap<string, KubeletRoute>;
}

export function createNodeStats(options: NodeStatsOptions): NodeStats {
  const { clock } = options;
  const sampler = createSampler(options);
  const now = () => clock.now();
  const summary = { ...options, sampler, now, startedMs: now() };
  const notFound = "404: Page Not Found";
  return {
    usage: async () => usageOf(await sampler.look()),
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
          parts: [2, 2],
          async serve(exchange) {
            if (exchange.parts[1] !== "resource") return sendText(exchange, 404, notFound);
            const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
            sendText(exchange, 200, printResourceMetrics(await sampler.look()), headers);
          },
        },
      ],
    ]),
  };
}
