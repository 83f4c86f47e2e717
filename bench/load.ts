/**
 * A whole cluster under load: pods of 20 Deployments on simulated nodes, from the first request to all Ready, and gone again.
 * `node bench/load.ts [--tiny] [--pods 1000,2000,5000,10000] [--nodes 500] [--node OPTION]…`
 *
 * The cluster is `sampan up --runtime simulated`, one process with API server, store, controllers, scheduler and nodes, of which every pod
 * gets an address, a status and events as from a real one. The client is this process, over HTTPS. Every row is a cluster of its own.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Deployment, Pod } from "#api";
import {
  type Client,
  createClient,
  createHttpsTransport,
  createInformers,
  type Informer,
  kubeconfigTarget,
  readKubeconfig,
} from "#client";
import { Children, freePort } from "./children.ts";
import { cpuMsOf, printTable, quantile, residentMiB } from "./process-usage.ts";

const { values: flags } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    pods: { type: "string", default: "1000,2000,5000,10000" },
    nodes: { type: "string", default: "500" },
    /** Options of Node.js for the cluster, such as `--cpu-prof`. */
    node: { type: "string", multiple: true, default: [] },
  },
});
const nodes = flags.tiny ? 5 : Number(flags.nodes);
const sizes = flags.tiny ? [40] : flags.pods.split(",").map(Number);
const deployments = 20;
const deaths = flags.tiny ? 2 : 20;
const namespace = "default";
const root = join(import.meta.dirname, "..");
const bundle = join(root, "dist/sampan.js");
const program = existsSync(bundle) ? bundle : join(root, "src/cmd/main.ts");
/** What is let go is gone from memory a while later. */
const settleMs = flags.tiny ? 100 : 10_000;

interface Result {
  readonly pods: number;
  readonly readyS: number;
  readonly readyCpuS: number;
  readonly reactionMs: readonly number[];
  readonly beforeMiB: number;
  readonly peakMiB: number;
  readonly afterMiB: number;
  readonly goneS: number;
  readonly goneCpuS: number;
}

const children = new Children();
const results: Result[] = [];
try {
  for (const pods of sizes) results.push(await measure(pods));
} finally {
  await children.endAll();
}
print(results);

async function measure(pods: number): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), "sampan-load-"));
  const port = await freePort();
  const place = ["--data-dir", directory, "--secure-port", String(port), "--bind-address", "127.0.0.1"];
  const simulated = ["--runtime", "simulated", "--nodes", String(nodes), "--log-level", "warn"];
  const up = await children.start(/ready in/, [...flags.node, program, "up", ...place, ...simulated]);
  const target = await kubeconfigTarget(
    await readKubeconfig([join(directory, "admin.kubeconfig")], { mustExist: true }),
  );
  const client = createClient(createHttpsTransport({ ...target.transport, userAgent: "load" }));
  try {
    return await load(client, up, pods);
  } finally {
    client.transport.close();
    await children.end(up);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function load(client: Client, up: ChildProcess, pods: number): Promise<Result> {
  const pid = up.pid ?? 0;
  const stop = new AbortController();
  const informers = createInformers(client);
  const seen = informers.of("apps/v1/deployments", { namespace });
  const oneOf = informers.of("v1/pods", { namespace, labelSelector: "app=load-0" });
  const running = informers.run(stop.signal);
  await Promise.all([seen.synced(), oneOf.synced(), allSchedulable(client)]);
  const replicas = Math.ceil(pods / deployments);
  const resource = client.resource("apps/v1/deployments", namespace);
  const names = Array.from({ length: deployments }, (_, index) => `load-${index}`);
  const allReady = async () => {
    await new Promise<void>((resolve) => {
      const look = () => {
        const ready = seen
          .list()
          .filter(({ status }) => status?.availableReplicas === replicas && status.replicas === replicas);
        if (ready.length < deployments) return;
        queueMicrotask(() => remove());
        resolve();
      };
      const remove = seen.addHandler({ added: look, updated: look });
    });
  };
  const timed = async (work: () => Promise<void>): Promise<[seconds: number, cpuSeconds: number]> => {
    const [at, cpu] = [performance.now(), cpuMsOf(pid)];
    await work();
    return [(performance.now() - at) / 1000, (cpuMsOf(pid) - cpu) / 1000];
  };

  const beforeMiB = residentMiB(pid);
  const [readyS, readyCpuS] = await timed(async () => {
    const ready = allReady();
    await Promise.all(names.map((name) => resource.create(deployment(name, replicas))));
    await ready;
  });
  const peakMiB = peakOf(pid);
  console.error(`${pods} pods: all Ready after ${readyS.toFixed(1)} s, ${readyCpuS.toFixed(1)} s of processor time`);
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const afterMiB = residentMiB(pid);

  const reactionMs: number[] = [];
  for (let death = 0; death < deaths; death++) reactionMs.push(await reaction(client, oneOf));
  await allReady();

  const [goneS, goneCpuS] = await timed(async () => {
    await Promise.all(names.map((name) => resource.delete(name, { propagationPolicy: "Background" })));
    while ((await countPods(client)) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
  stop.abort();
  await running;
  return { pods, readyS, readyCpuS, reactionMs, beforeMiB, peakMiB, afterMiB, goneS, goneCpuS };
}

/** From the moment at which a watch shows that a pod is gone until it shows another. */
async function reaction(client: Client, pods: Informer<Pod>): Promise<number> {
  const [victim] = pods.list();
  if (!victim) return Number.NaN;
  let goneAt = 0;
  const made = new Promise<number>((resolve) => {
    const known = new Set(pods.list().map(({ metadata }) => metadata.uid));
    const remove = pods.addHandler({
      added({ metadata }) {
        if (known.has(metadata.uid)) return;
        queueMicrotask(() => remove());
        resolve(Math.max(0, performance.now() - (goneAt || performance.now())));
      },
      deleted() {
        goneAt = performance.now();
      },
    });
  });
  await client.resource("v1/pods", namespace).delete(victim.metadata.name ?? "", { gracePeriodSeconds: 0 });
  return made;
}

/** Nodes are born tainted; what counts is what happens when they no longer are. */
async function allSchedulable(client: Client): Promise<void> {
  for (;;) {
    const { items } = await client.resource("v1/nodes").list();
    if (items.filter(({ spec }) => spec?.podCIDR && !spec.taints?.length).length === nodes) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function countPods(client: Client): Promise<number> {
  const { metadata, items } = await client.resource("v1/pods", namespace).list({ limit: 1 });
  return items.length + (metadata?.remainingItemCount ?? 0);
}

/** The most that was resident at any time. */
function peakOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024;
}

function deployment(name: string, replicas: number): Deployment {
  const labels = { app: name };
  const containers = [
    { name: "main", image: "example.com/load:1", resources: { requests: { cpu: "10m", memory: "16Mi" } } },
  ];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, labels },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
}

function print(all: readonly Result[]): void {
  console.log(
    `${deployments} Deployments on ${nodes} simulated nodes; wanted at 10,000 pods: 20 s, 50 ms, 400 MiB, 20 kB a pod, 20 s`,
  );
  const figures: Record<string, (result: Result) => string> = {
    pods: ({ pods }) => String(pods),
    "all Ready": ({ readyS }) => `${readyS.toFixed(2)} s`,
    processor: ({ readyCpuS }) => `${readyCpuS.toFixed(2)} s`,
    "a pod": ({ readyCpuS, pods }) => `${((readyCpuS / pods) * 1000).toFixed(2)} ms`,
    "reaction, median": ({ reactionMs }) => `${quantile(reactionMs, 0.5).toFixed(1)} ms`,
    p90: ({ reactionMs }) => `${quantile(reactionMs, 0.9).toFixed(1)} ms`,
    before: ({ beforeMiB }) => `${beforeMiB.toFixed(0)} MiB`,
    peak: ({ peakMiB }) => `${peakMiB.toFixed(0)} MiB`,
    after: ({ afterMiB }) => `${afterMiB.toFixed(0)} MiB`,
    "more a pod": ({ afterMiB, beforeMiB, pods }) => `${(((afterMiB - beforeMiB) * 1024) / pods).toFixed(1)} KiB`,
    "all gone": ({ goneS }) => `${goneS.toFixed(2)} s`,
    "processor ": ({ goneCpuS }) => `${goneCpuS.toFixed(2)} s`,
  };
  printTable([Object.keys(figures), ...all.map((result) => Object.values(figures).map((of) => of(result)))]);
}
