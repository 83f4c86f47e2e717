/** What of a node ends pods before the machine; nothing of it is loaded on nodes that aren't told to. */
import type { KubeletConfiguration } from "../config/configuration.ts";
import { shutdownPeriods } from "./groups.ts";
import type { NodeShutdown, NodeShutdownOptions } from "./node-shutdown.ts";

export async function createShutdown(
  config: Readonly<KubeletConfiguration>,
  options: Omit<NodeShutdownOptions, "periods">,
): Promise<NodeShutdown> {
  const periods = shutdownPeriods(config);
  if (periods.length === 0) return { run: async () => undefined, problems: () => [], refuse: () => undefined };
  const { createNodeShutdown } = await import("./node-shutdown.ts");
  return createNodeShutdown({ ...options, periods });
}
