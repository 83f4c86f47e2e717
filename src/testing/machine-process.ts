/** A machine of a test about the pod network, in a network namespace that others made for it: does what its parent says. */
import { createLogger, realClock } from "#base";
import type { Node } from "#api";
import { createClient } from "#client";
import {
  createRoutes,
  type NodeNetwork,
  type NodeNetworkOptions,
  prepareNodeNetwork,
  removeNodeNetwork,
} from "#network";
import { FakeTransport } from "./fake-transport.ts";
import { createFakeInformers } from "./informers.ts";
import { makePod, type TestPod } from "./network.ts";

export type MachineOrder =
  | { readonly prepare: NodeNetworkOptions }
  /** Answers at once; routes are made meanwhile. */
  | { readonly routes: { readonly nodeName: string; readonly clusterCidrs: readonly string[] } }
  | { readonly nodes: readonly Node[] }
  | { readonly pod: Parameters<typeof makePod>[0] }
  | { readonly inPod: string; readonly command: readonly string[] }
  | { readonly stopRoutes: true }
  | { readonly events: true }
  | { readonly remove: true };

const informers = createFakeInformers();
const transport = new FakeTransport();
const pods = new Map<string, TestPod>();
const log = createLogger({ write: (text) => process.stderr.write(text), level: "info" });
let network: NodeNetwork | undefined;
let known = new Map<string, Node>();
let stop = new AbortController();
let running: Promise<void> | undefined;

async function obey(order: MachineOrder): Promise<unknown> {
  if ("prepare" in order) {
    network = await prepareNodeNetwork(order.prepare);
    return network;
  }
  if ("routes" in order) {
    if (!network) throw new Error("prepare the network first");
    stop = new AbortController();
    const client = createClient(transport);
    running = createRoutes({ ...order.routes, informers, client, network, clock: realClock, log }).run(stop.signal);
    return undefined;
  }
  if ("nodes" in order) {
    const names = new Set(order.nodes.map(({ metadata }) => metadata.name ?? ""));
    for (const [name, node] of known) if (!names.has(name)) informers.remove("v1/nodes", node);
    for (const node of order.nodes) informers.set("v1/nodes", node);
    known = new Map(order.nodes.map((node) => [node.metadata.name ?? "", node]));
    return undefined;
  }
  if ("pod" in order) {
    pods.set(order.pod.address, await makePod(order.pod));
    return undefined;
  }
  if ("inPod" in order) return pods.get(order.inPod)?.run(...order.command);
  if ("events" in order) return [...transport.objects.values()].filter(({ kind }) => kind === "Event");
  stop.abort();
  await running;
  if ("remove" in order) await removeNodeNetwork("sampan0");
  return undefined;
}

process.on("message", ({ id, order }: { id: number; order: MachineOrder }) => {
  obey(order).then(
    (answer) => process.send?.({ id, answer }),
    (error: Error) => process.send?.({ id, error: error.message }),
  );
});
process.on("disconnect", () => {
  for (const pod of pods.values()) pod.close();
  process.exit();
});
process.send?.("ready");
