/**
 * What pods leave behind: counts of everything on the node before many pods were made and deleted, and after.
 * `node bench/leaks.ts [--pods 500] [--at-once 25]`, after `node tools/bundle.ts`
 * Pods of all sorts, in turns: some run, some end, fail, crash, never start, hang when they are stopped; with volumes on disk and in
 * memory, parts of volumes, tokens, probes, hooks, host ports, their own devices of loop. One in five is deleted before it can run. Exits
 * with 1 when anything is left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type ClusterApi, connectApi, type NodeCounts, nodeCounts, startTestCluster, whyNoCluster } from "#testing";
import { printTable, residentMiB } from "./process-usage.ts";

const { values: flags } = parseArgs({
  options: { pods: { type: "string", default: "500" }, "at-once": { type: "string", default: "25" } },
});
const [podCount, atOnce] = [Number(flags.pods), Number(flags["at-once"])];
const image = "demo/busybox:1";
/** Runtimes and kernels take a moment to let go of what nobody uses any more. */
const settleMsMax = 30_000;

const volumes = [
  { name: "disk", emptyDir: {} },
  { name: "memory", emptyDir: { medium: "Memory" } },
  { name: "settings", configMap: { name: "settings" } },
  { name: "secret", secret: { secretName: "secret" } },
];
const volumeMounts = [
  { name: "disk", mountPath: "/disk" },
  { name: "disk", mountPath: "/part", subPath: "a/b" },
  { name: "memory", mountPath: "/memory" },
  { name: "settings", mountPath: "/settings" },
  { name: "settings", mountPath: "/one", subPath: "key" },
  { name: "secret", mountPath: "/secret" },
];
const idle = "trap exit TERM; busybox sleep 3600 & wait";
const sorts: readonly { script: string; container?: object; spec?: object }[] = [
  { script: idle },
  { script: "echo done", spec: { restartPolicy: "Never" } },
  { script: "exit 3", spec: { restartPolicy: "Never" } },
  { script: "exit 1" },
  { script: idle, container: { volumeMounts }, spec: { volumes } },
  { script: "trap '' TERM; while :; do busybox sleep 1; done", container: { volumeMounts }, spec: { volumes } },
  { script: idle, container: { image: "demo/none:1", imagePullPolicy: "Never" } },
  { script: idle, container: { command: ["/nowhere"] } },
  { script: idle, spec: { initContainers: [{ name: "i", image, command: ["/bin/sh", "-c", "exit 1"] }] } },
  {
    script: idle,
    container: {
      livenessProbe: { exec: { command: ["busybox", "false"] }, periodSeconds: 1, failureThreshold: 1 },
      lifecycle: { preStop: { exec: { command: ["busybox", "true"] } } },
    },
  },
  { script: idle, spec: { hostNetwork: true, hostPID: true } },
  {
    script: idle,
    container: { volumeMounts: [{ name: "no", mountPath: "/no" }] },
    spec: { volumes: [{ name: "no", configMap: { name: "none" } }] },
  },
  {
    script: "exit 0",
    spec: {
      restartPolicy: "OnFailure",
      initContainers: [{ name: "s", image, restartPolicy: "Always", command: ["/bin/sh", "-c", idle] }],
    },
  },
];

const differences = (before: NodeCounts, after: NodeCounts): string[] =>
  Object.keys(before).filter((what) => (after[what] ?? 0) > (before[what] ?? 0));

const why = whyNoCluster();
if (why) process.stdout.write(`skipped: ${why}\n`);
else process.exitCode = await run();

async function run(): Promise<number> {
  const cluster = await startTestCluster();
  try {
    const files = ["busybox", "sh"].flatMap((name) => ["--file", `/bin/busybox:/bin/${name}`]);
    await cluster.sampan("image", "pack", image, ...files);
    const api = await connectApi(cluster);
    const node = (await api.call("GET", "/api/v1/nodes")).items[0]?.metadata?.name ?? "";
    await api.call("POST", `${api.base}/configmaps`, { metadata: { name: "settings" }, data: { key: "value" } });
    await api.call("POST", `${api.base}/secrets`, { metadata: { name: "secret" }, data: { key: "dmFsdWU=" } });
    const pid = cluster.process.pid ?? 0;
    // The first pods of a node make what it keeps: its bridge, folders, code.
    await round(api, 0, sorts.length);
    const memory = residentMiB(pid);
    const before = await nodeCounts(cluster, node);
    for (let at = sorts.length; at < sorts.length + podCount; at += atOnce)
      await round(api, at, Math.min(atOnce, sorts.length + podCount - at));
    const end = Date.now() + settleMsMax;
    let after = await nodeCounts(cluster, node);
    while (differences(before, after).length > 0 && Date.now() < end) {
      await sleep(1000);
      after = await nodeCounts(cluster, node);
    }
    printTable([
      ["", "before", `after ${podCount} pods`],
      ...Object.entries(before).map(([what, count]) => [what, String(count), String(after[what])]),
    ]);
    process.stdout.write(
      `resident memory: ${memory.toFixed(0)} MiB before, ${residentMiB(pid).toFixed(0)} MiB after\n`,
    );
    const left = differences(before, after);
    process.stdout.write(left.length === 0 ? "nothing is left\n" : `left: ${left.join(", ")}\n`);
    await api.close();
    return left.length === 0 ? 0 : 1;
  } finally {
    await cluster.close();
  }
}

/** Makes pods, lets them come to what they will be, and deletes them, as people do: most gently, some by force. */
async function round(api: ClusterApi, from: number, count: number): Promise<void> {
  const one = async (at: number): Promise<void> => {
    const name = `pod-${at}`;
    const { script, container, spec } = sorts[at % sorts.length] ?? { script: idle };
    const c = { name: "c", image, imagePullPolicy: "IfNotPresent", command: ["/bin/sh", "-c", script], ...container };
    await api.call("POST", `${api.base}/pods`, {
      metadata: { name },
      spec: { terminationGracePeriodSeconds: 1, containers: [c], ...spec },
    });
    if (at % 5 !== 4)
      await api.pod(name, (pod) => {
        const { phase, containerStatuses, initContainerStatuses } = pod?.status ?? {};
        const waits = [...(containerStatuses ?? []), ...(initContainerStatuses ?? [])].some(({ state }) =>
          /Err|BackOff/.test(state?.waiting?.reason ?? ""),
        );
        // Volumes that never come leave a pod as it is.
        return phase !== "Pending" || waits || pod?.spec?.volumes?.some(({ name: volume }) => volume === "no");
      });
    await api.call("DELETE", `${api.base}/pods/${name}`, at % 7 === 6 ? { gracePeriodSeconds: 0 } : {});
    await api.pod(name, (pod) => pod === undefined);
  };
  await Promise.all(Array.from({ length: count }, (_, at) => one(from + at)));
}
