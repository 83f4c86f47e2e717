/** Ways to other nodes' pods as a part of a node. */
import { createRoutes } from "#network";
import type { NodePart } from "./node-context.ts";

export const runRoutes: NodePart = async ({ informers, client, nodeName, settings, network, clock, log }, signal) =>
  createRoutes({
    informers,
    client,
    nodeName,
    network: await network,
    clusterCidrs: settings.clusterCidr.split(","),
    clock,
    log: log.with({ part: "routes" }),
  }).run(signal);
