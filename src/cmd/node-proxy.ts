/** The service proxy as a part of a node. */
import { createNft } from "#base";
import { createProxy } from "#proxy";
import type { NodePart } from "./node-context.ts";

export const runProxy: NodePart = ({ informers, nodeName, settings, clock, log }, signal) =>
  createProxy({
    informers,
    nodeName,
    clusterCidr: settings.clusterCidr,
    serviceCidr: settings.serviceCidr,
    apply: createNft(),
    clock,
    log: log.with({ part: "proxy" }),
  }).run(signal);
