import { type FilterPlugin, rejection } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import { type HostPort, portsConflict } from "../pod-info.ts";

const taken = rejection(true, "node(s) didn't have free ports for the requested pod ports");

function areFree(wanted: readonly HostPort[], { hostPorts }: NodeInfo): boolean {
  for (const used of hostPorts) if (wanted.some((port) => portsConflict(port, used))) return false;
  return true;
}

export const nodePorts: FilterPlugin = {
  name: "NodePorts",
  prepare({ hostPorts }) {
    if (hostPorts.length === 0) return undefined;
    return { filter: (node) => (areFree(hostPorts, node) ? undefined : taken) };
  },
  events: ["node-added", "pod-deleted"],
  helps(event, { hostPorts }) {
    if (event.kind === "node-added") return true;
    if (event.kind !== "pod-deleted") return false;
    return event.pod.hostPorts.some((freed) => hostPorts.some((port) => portsConflict(port, freed)));
  },
};
