/**
 * How many pods a second the scheduler places. `node bench/scheduler.ts [--tiny] [--nodes 1000,5000] [--only NAME] [--api]`
 * The whole scheduler with informers, bindings and events, on a server that answers at once from memory: what is measured is the
 * scheduler. `--api`: through the real API server in the same process, which then is most of it.
 *
 * "on one core" is by processor time, and a stall is the longest time that one turn of the event loop computed: both say the same on a
 * machine that others use. Upstream's: the least that its own gates (scheduler_perf, 5,000 nodes) let pass.
 */
import { parseArgs } from "node:util";
import type { Binding, Node, Pod, PodSpec } from "#api";
import { type Client, createClient, createInformers } from "#client";
import { createScheduler } from "#scheduler";
import { FakeTransport, startCluster } from "#testing";

const { values: flags } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    api: { type: "boolean", default: false },
    nodes: { type: "string", default: "1000,5000" },
    only: { type: "string" },
  },
});
const sizes = flags.tiny ? [20] : flags.nodes.split(",").map(Number);

interface Workload {
  readonly pods: number;
  readonly spec?: (index: number) => Partial<PodSpec>;
  /** Pods there before, each a full node's worth, that must go. */
  readonly isPreemption?: true;
  readonly upstream?: number;
}

const meta = { kind: "Pod", apiVersion: "v1" } as const;
const containers = (cpu: string) => [{ name: "c", image: "i", resources: { requests: { cpu, memory: "100Mi" } } }];

const matchLabels = { app: "web" };
const hostname = "kubernetes.io/hostname";
const zone = "topology.kubernetes.io/zone";
const near = { topologyKey: hostname, labelSelector: { matchLabels } };
const antiAffinity: Partial<PodSpec> = {
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: hostname, labelSelector: { matchLabels: { apart: "yes" } } },
      ],
    },
  },
};
const spread: Partial<PodSpec> = {
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: zone, whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels } },
  ],
};
const preferred: Partial<PodSpec> = {
  affinity: {
    podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: near }] },
  },
};
const repelled: Partial<PodSpec> = {
  affinity: {
    podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: near }] },
  },
};
const kinds = [{}, antiAffinity, spread, preferred, repelled];

const workloads: Record<string, Workload> = {
  plain: { pods: 5000, upstream: 680 },
  "anti-affinity": { pods: 1000, spec: () => antiAffinity, upstream: 60 },
  "zone spread": { pods: 2000, spec: () => spread, upstream: 85 },
  "preferred affinity": { pods: 1000, spec: () => preferred, upstream: 90 },
  "preferred anti-affinity": { pods: 1000, spec: () => repelled, upstream: 90 },
  preemption: { pods: 500, spec: () => ({ priority: 1000 }), isPreemption: true, upstream: 160 },
  mixed: { pods: 1000, spec: (index) => kinds[index % kinds.length] ?? {}, upstream: 140 },
};

for (const count of sizes) {
  for (const [name, workload] of Object.entries(workloads)) {
    if (flags.only && flags.only !== name) continue;
    const pods = flags.tiny ? 10 : Math.min(workload.pods, count);
    const { seconds, coreSeconds, stallMs } = await measure({ ...workload, pods }, count);
    const reference = workload.upstream ? ` (upstream ${workload.upstream})` : "";
    console.log(
      `${name.padEnd(24)} ${count} nodes ${pods} pods ${Math.round(pods / seconds)} pods/s, ${Math.round(pods / coreSeconds)} on one core, stall ${stallMs.toFixed(0)} ms${reference}`,
    );
  }
}

async function measure(workload: Workload, nodeCount: number) {
  return flags.api ? measureServer(workload, nodeCount) : measureMemory(workload, nodeCount);
}

async function measureMemory({ pods, spec, isPreemption }: Workload, nodeCount: number) {
  const transport = new FakeTransport();
  const allBound = Promise.withResolvers<void>();
  let bound = 0;
  transport.intercept = ({ method, path, body }) => {
    if (path.endsWith("/events")) return {};
    if (method === "DELETE" || path.endsWith("/status")) transport.requests.length = 0;
    if (!path.endsWith("/binding")) return undefined;
    transport.requests.length = 0;
    const target = path.slice(0, -"/binding".length);
    const pod = transport.objects.get(target) as Pod; // pods live at pod paths
    const nodeName = (body as Binding).target.name; // what is sent to a binding
    transport.put(target, { ...pod, spec: { containers: [], ...pod.spec, nodeName } } as Pod);
    if (bound === 0) timer.listed();
    if (++bound === pods) allBound.resolve();
    return {};
  };
  for (let index = 0; index < nodeCount; index++) {
    transport.create("/api/v1/nodes", makeNode(index));
    if (isPreemption) transport.create("/api/v1/namespaces/ns/pods", makeVictim(index));
  }
  const create = (index: number) =>
    transport.create("/api/v1/namespaces/ns/pods", makePod(index, spec?.(index) ?? {}, isPreemption));
  for (let index = 0; index < pods; index++) create(index);

  const stop = new AbortController();
  const client = createClient(transport);
  const informers = createInformers(client);
  const scheduler = createScheduler({ client, informers });
  const timer = startTimer();
  const done = Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
  await allBound.promise;
  const result = timer.end();
  stop.abort();
  await done;
  return result;
}

async function measureServer({ pods, spec, isPreemption }: Workload, nodeCount: number) {
  const cluster = await startCluster({ controllers: false, scheduler: true });
  const { client } = cluster;
  try {
    await client.resource("v1/namespaces").create({ kind: "Namespace", apiVersion: "v1", metadata: { name: "ns" } });
    await client
      .resource("v1/serviceaccounts", "ns")
      .create({ kind: "ServiceAccount", apiVersion: "v1", metadata: { name: "default" } });
    const priority = {
      kind: "PriorityClass",
      apiVersion: "scheduling.k8s.io/v1",
      metadata: { name: "high" },
      value: 1000,
    };
    await client.resource("scheduling.k8s.io/v1/priorityclasses").create(priority);
    const nodes = client.resource("v1/nodes");
    const inNamespace = client.resource("v1/pods", "ns");
    await inTurns(nodeCount, async (index) => {
      const { status, ...node } = makeNode(index);
      await nodes.create(node);
      await nodes.patch(node.metadata.name ?? "", { status }, { type: "merge", subresource: "status" });
      // A new node is tainted until somebody finds it ready.
      await nodes.patch(node.metadata.name ?? "", { spec: { taints: null } }, { type: "merge" });
      if (isPreemption) await inNamespace.create(makeVictim(index));
    });
    const timer = startTimer();
    const allBound = watchBound(client, pods);
    await inTurns(pods, (index) => {
      const { priority: _, ...wanted } = spec?.(index) ?? {};
      return inNamespace.create(
        makePod(index, isPreemption ? { ...wanted, priorityClassName: "high" } : wanted, isPreemption),
      );
    });
    await allBound;
    return timer.end();
  } finally {
    await cluster.close();
  }
}

async function watchBound(client: Client, wanted: number): Promise<void> {
  const stop = new AbortController();
  const informers = createInformers(client);
  const seen = new Set<string>();
  const pods = informers.of("v1/pods");
  const all = new Promise<void>((resolve) => {
    const look = ({
      metadata: { name = "" },
      spec,
    }: {
      readonly metadata: { readonly name?: string };
      readonly spec?: { readonly nodeName?: string };
    }) => {
      if (spec?.nodeName && name.startsWith("p")) seen.add(name);
      if (seen.size === wanted) resolve();
    };
    pods.addHandler({ added: look, updated: look });
  });
  const running = informers.run(stop.signal);
  await all;
  stop.abort();
  await running;
}

/** Some at once, as clients do. */
async function inTurns(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: 16 }, work));
}

function startTimer() {
  let stallMs = 0;
  let turnedAt = process.threadCpuUsage();
  const look = () => {
    const now = process.threadCpuUsage();
    stallMs = Math.max(stallMs, (now.user + now.system - turnedAt.user - turnedAt.system) / 1000);
    turnedAt = now;
  };
  const ticker = setInterval(look, 1);
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  return {
    /** From here on stalls count: what is there is read in one turn, as after each start. */
    listed() {
      look();
      stallMs = 0;
    },
    end() {
      const { user, system } = process.cpuUsage(cpu);
      clearInterval(ticker);
      return { seconds: (performance.now() - startedAt) / 1000, coreSeconds: (user + system) / 1e6, stallMs };
    },
  };
}

function makeNode(index: number): Node {
  const labels = { [hostname]: `n${index}`, [zone]: `z${index % 3}` };
  const allocatable = { cpu: "32", memory: "64Gi", pods: "110" };
  return { kind: "Node", apiVersion: "v1", metadata: { name: `n${index}`, labels }, status: { allocatable } };
}

/** Preempting ones need more than is free on any node. */
function makePod(index: number, spec: Partial<PodSpec>, isLarge = false): Pod {
  const apart: Record<string, string> = spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    ? { apart: "yes" }
    : {};
  return {
    ...meta,
    metadata: { name: `p${index}`, namespace: "ns", labels: { ...matchLabels, ...apart } },
    spec: { schedulerName: "default-scheduler", containers: containers(isLarge ? "20" : "100m"), ...spec },
  };
}

function makeVictim(index: number): Pod {
  const spec = { nodeName: `n${index}`, schedulerName: "default-scheduler", terminationGracePeriodSeconds: 0 };
  return { ...meta, metadata: { name: `v${index}`, namespace: "ns" }, spec: { ...spec, containers: containers("30") } };
}
