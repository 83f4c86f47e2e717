/**
 * What the node adds to its runtime. `node bench/node.ts [--tiny]`, after `node tools/bundle.ts`
 * The bundled `up` with real containers in namespaces of its own. One after the other, in turns: the three CRI calls that make a container
 * run, sent to the node's own containerd, and a whole pod as a client sees it, from sending the request to the watch event that says
 * Ready. Then many pods at once, what they cost while nothing happens, and how long their deletion takes.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Pod } from "#api";
import { type ClusterApi, connectApi, startTestCluster, type TestCluster, whyNoCluster } from "#testing";
import { connectCri } from "../src/kubelet/cri/client.ts";
import { cpuMsOf, printTable, quantile, residentMiB } from "./process-usage.ts";

const { values: flags } = parseArgs({ options: { tiny: { type: "boolean", default: false } } });
const rounds = flags.tiny ? 2 : 30;
const podsAtOnce = flags.tiny ? 3 : 50;
const idleMs = flags.tiny ? 200 : 20_000;
const settleMs = flags.tiny ? 0 : 10_000;
const image = "demo/sleep:1";

const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
/** The shortest that the node gives, as upstream. */
const graceSeconds = 2;
const podOf = (name: string) => ({
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: graceSeconds,
    containers: [{ name: "c", image, imagePullPolicy: "IfNotPresent" }],
  },
});

const why = whyNoCluster();
if (why) process.stdout.write(`skipped: ${why}\n`);
else await run();

async function run(): Promise<void> {
  const cluster = await startTestCluster();
  try {
    await cluster.sampan("image", "pack", image, "--file", "/bin/sleep:/bin/sleep", "--cmd", "/bin/sleep 3600");
    const api = await connectApi(cluster);
    await oneByOne(cluster, api);
    await together(cluster, api);
    await api.close();
  } finally {
    await cluster.close();
  }
}

/** Milliseconds of the calls; the container is gone afterwards. */
async function rawRun(
  cri: Awaited<ReturnType<typeof connectCri>>,
  { round, logs }: { round: number; logs: string },
): Promise<Record<"sandbox" | "create" | "start", number>> {
  const { runtime } = cri;
  const metadata = { name: `raw-${round}`, namespace: "raw", uid: `raw-${round}`, attempt: 0 };
  const config = { metadata, hostname: metadata.name, logDirectory: logs, linux: {} };
  const t0 = performance.now();
  const { podSandboxId } = await runtime.runPodSandbox({ config, runtimeHandler: "" });
  const t1 = performance.now();
  const { containerId } = await runtime.createContainer({
    podSandboxId,
    config: { metadata: { name: "c", attempt: 0 }, image: { image }, logPath: "c.log", linux: {} },
    sandboxConfig: config,
  });
  const t2 = performance.now();
  await runtime.startContainer({ containerId });
  const t3 = performance.now();
  await runtime.stopPodSandbox({ podSandboxId });
  await runtime.removePodSandbox({ podSandboxId });
  return { sandbox: t1 - t0, create: t2 - t1, start: t3 - t2 };
}

async function oneByOne(cluster: TestCluster, api: ClusterApi): Promise<void> {
  const node = (await api.call("GET", "/api/v1/nodes")).items[0]?.metadata?.name ?? "";
  const cri = await connectCri(join(cluster.dataDir, "nodes", node, "containerd/containerd.sock"));
  const logs = join(cluster.directory, "raw-logs");
  mkdirSync(logs, { recursive: true });
  const raw: Awaited<ReturnType<typeof rawRun>>[] = [];
  const whole: number[] = [];
  const gone: number[] = [];
  for (let round = 0; round < rounds; round++) {
    raw.push(await rawRun(cri, { round, logs }));
    const start = performance.now();
    const name = `one-${round}`;
    await api.call("POST", `${api.base}/pods`, podOf(name));
    await api.pod(name, isReady);
    whole.push(performance.now() - start);
    const end = performance.now();
    // `sleep` as a container's first process ignores SIGTERM: all of the grace period is used.
    await api.call("DELETE", `${api.base}/pods/${name}`);
    await api.pod(name, (pod) => pod === undefined);
    gone.push(performance.now() - end - graceSeconds * 1000);
  }
  cri.close();
  const sums = raw.map(({ sandbox, create, start }) => sandbox + create + start);
  const row = (what: string, values: readonly number[]) => [
    what,
    ...[0.5, 0.9].map((at) => `${quantile(values, at).toFixed(0)} ms`),
  ];
  printTable([
    [`one after the other, ${rounds} times`, "median", "p90"],
    row(
      "RunPodSandbox",
      raw.map(({ sandbox }) => sandbox),
    ),
    row(
      "CreateContainer",
      raw.map(({ create }) => create),
    ),
    row(
      "StartContainer",
      raw.map(({ start }) => start),
    ),
    row("the three calls", sums),
    row("pod, create to Ready", whole),
    row("pod, delete to gone, beyond the grace period", gone),
  ]);
  process.stdout.write(
    `create to Ready is ${(quantile(whole, 0.5) / quantile(sums, 0.5)).toFixed(2)} times the calls\n`,
  );
}

async function together(cluster: TestCluster, api: ClusterApi): Promise<void> {
  const pid = cluster.process.pid ?? 0;
  const measure = async () => {
    await sleep(settleMs);
    const before = cpuMsOf(pid);
    await sleep(idleMs);
    return { memory: residentMiB(pid), cpu: ((cpuMsOf(pid) - before) / idleMs) * 100 };
  };
  const empty = await measure();
  const names = Array.from({ length: podsAtOnce }, (_, at) => `many-${at}`);
  const start = performance.now();
  await Promise.all(
    names.map(async (name) => {
      await api.call("POST", `${api.base}/pods`, podOf(name));
      await api.pod(name, isReady);
    }),
  );
  const readyMs = performance.now() - start;
  const full = await measure();
  const end = performance.now();
  await api.call("DELETE", `${api.base}/pods`);
  await Promise.all(names.map((name) => api.pod(name, (pod) => pod === undefined)));
  const goneMs = performance.now() - end;
  const after = await measure();
  process.stdout.write(
    `${podsAtOnce} pods at once: all Ready in ${(readyMs / 1000).toFixed(1)} s, gone in ${(goneMs / 1000).toFixed(1)} s\n`,
  );
  for (const [what, { memory, cpu }] of [
    ["without pods", empty],
    [`with ${podsAtOnce} idle pods`, full],
    ["after them", after],
  ] as const)
    process.stdout.write(
      `the whole process ${what}: ${memory.toFixed(0)} MiB resident, ${cpu.toFixed(1)} % of a core\n`,
    );
}
