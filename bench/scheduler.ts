/**
 * How many pods a second the scheduler places. `node bench/scheduler.ts [--tiny]`
 * The whole scheduler with informers, bindings and events, on a server that answers at once from memory: what is measured is the scheduler.
 */
import { parseArgs } from "node:util";
import type { Binding, Node, Pod, PodSpec } from "#api";
import { createClient, createInformers } from "#client";
import { createScheduler } from "#scheduler";
import { FakeTransport } from "#testing";

const { values: flags } = parseArgs({ options: { tiny: { type: "boolean", default: false } } });
const nodeCount = flags.tiny ? 20 : 1000;
const podCount = flags.tiny ? 50 : 5000;

const labelSelector = { matchLabels: { app: "web" } };
const workloads: Record<string, Partial<PodSpec>> = {
  plain: {},
  "hard zone spread": {
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "DoNotSchedule", labelSelector },
    ],
  },
  "preferred anti-affinity": {
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 1, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector } },
        ],
      },
    },
  },
};

for (const [name, spec] of Object.entries(workloads)) {
  // Preferences look at every pod each time: fewer are enough to see what they cost.
  const pods = name === "preferred anti-affinity" ? podCount / 10 : podCount;
  const { seconds, stallMs } = await measure(spec, pods);
  console.log(
    `${name.padEnd(24)} ${nodeCount} nodes ${pods} pods ${Math.round(pods / seconds)} pods/s stall ${stallMs.toFixed(0)} ms`,
  );
}

async function measure(spec: Partial<PodSpec>, pods: number): Promise<{ seconds: number; stallMs: number }> {
  const transport = new FakeTransport();
  const allBound = Promise.withResolvers<void>();
  let bound = 0;
  transport.intercept = ({ path, body }) => {
    if (path.endsWith("/events")) return {};
    if (!path.endsWith("/binding")) return undefined;
    const target = path.slice(0, -"/binding".length);
    const pod = transport.objects.get(target) as Pod; // pods live at pod paths
    const nodeName = (body as Binding).target.name; // what is sent to a binding
    transport.put(target, { ...pod, spec: { containers: [], ...pod.spec, nodeName } } as Pod);
    if (++bound === pods) allBound.resolve();
    return {};
  };
  for (let index = 0; index < nodeCount; index++) transport.create("/api/v1/nodes", makeNode(index));
  for (let index = 0; index < pods; index++) transport.create("/api/v1/namespaces/ns/pods", makePod(index, spec));

  const stop = new AbortController();
  const client = createClient(transport);
  const informers = createInformers(client);
  const scheduler = createScheduler({ client, informers });
  let stallMs = 0;
  let turnedAt = performance.now();
  const ticker = setInterval(() => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - turnedAt - 1);
    turnedAt = now;
  }, 1);
  const startedAt = performance.now();
  const done = Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
  await allBound.promise;
  const seconds = (performance.now() - startedAt) / 1000;
  clearInterval(ticker);
  stop.abort();
  await done;
  return { seconds, stallMs };
}

function makeNode(index: number): Node {
  const labels = { "kubernetes.io/hostname": `n${index}`, "topology.kubernetes.io/zone": `z${index % 3}` };
  const allocatable = { cpu: "32", memory: "64Gi", pods: "110" };
  return { kind: "Node", apiVersion: "v1", metadata: { name: `n${index}`, labels }, status: { allocatable } };
}

function makePod(index: number, spec: Partial<PodSpec>): Pod {
  const requests = { cpu: "100m", memory: "100Mi" };
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: { name: `p${index}`, namespace: "ns", labels: { app: "web" } },
    spec: { schedulerName: "default-scheduler", containers: [{ name: "c", resources: { requests } }], ...spec },
  };
}
