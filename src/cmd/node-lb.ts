/** Addresses of load balancers as a part of a node. */
import { runBatch, ipJson } from "#network";
import type { NodePart } from "./node-context.ts";

export const runBalancerAddresses: NodePart = async ({ informers, nodeName, network, clock, log }, signal) => {
  // Before the first await, so that it is one cache with the other parts'.
  informers.of("v1/services");
  const [{ runAnnouncer }, { nodeAddress }] = await Promise.all([import("#ha"), network]);
  const options = {
    informers,
    nodeName,
    nodeAddress,
    change: async (lines: readonly string[]) => runBatch("ip", lines),
  };
  await runAnnouncer(
    { ...options, show: (...args) => ipJson(...args), clock, log: log.with({ part: "load balancers" }) },
    signal,
  );
};
