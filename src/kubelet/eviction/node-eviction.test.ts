/** A node with a real containerd on a small disk of its own: a volume and a log over their limits, memory that a pod uses up, a disk that one fills. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Event, Node, Pod, PodSpec } from "#api";
import { createLogger } from "#base";
import { createClient } from "#client";
import { FakeTransport, insideNamespace, ip, runInNamespace, scaledClock, whyNoNamespaces } from "#testing";
import { packImage } from "../image/pack.ts";
import { createKubelet, type KubeletOptions, removeNode } from "../mod.ts";

async function whyNoContainers(): Promise<string | undefined> {
  for (const program of ["/usr/bin/containerd", "/usr/bin/catatonit", "/usr/lib/cni/bridge", "/bin/busybox"]) {
    const found = await access(program).then(
      () => true,
      () => false,
    );
    if (!found) return `needs ${program}`;
  }
  return whyNoNamespaces();
}

const base = "/api/v1/namespaces/default/pods";
/** The node's look every ten seconds comes every second. */
const speed = 10;
const diskMebi = 120;
/** What all pods together may use. */
const podsMebi = 230;

const podWith = (
  name: string,
  script: string,
  spec: Partial<PodSpec> & { limits?: Record<string, string> } = {},
): Pod => {
  const { limits, ...rest } = spec;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", uid: `uid-${name}`, creationTimestamp: new Date().toISOString() },
    spec: {
      nodeName: "node1",
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 600,
      volumes: [{ name: "work", emptyDir: {} }],
      ...rest,
      containers: [
        {
          name: "c",
          image: "demo/busybox:1",
          imagePullPolicy: "IfNotPresent",
          command: ["/bin/sh", "-c", `trap 'exit 0' TERM; ${script}; while :; do /bin/busybox sleep 0.1; done`],
          volumeMounts: [{ name: "work", mountPath: "/work" }],
          ...(limits && { resources: { limits } }),
        },
      ],
    },
    status: { phase: "Pending" },
  };
};
const write = (mebi: number, to: string) =>
  `/bin/busybox dd if=/dev/zero bs=1048576 count=${mebi} of=${to} 2>/dev/null`;

const skip = insideNamespace ? false : ((await whyNoContainers()) ?? false);
if (!insideNamespace) test("eviction: with a real containerd", { skip }, () => runInNamespace(import.meta.filename));
else
  test("eviction: limits of pods, then a disk that fills", async (t) => {
    ip("link", "set", "lo", "up");
    const home = await mkdtemp(join(tmpdir(), "evict-"));
    const disk = join(home, "disk");
    const rootDir = join(disk, "node");
    await mkdir(disk);
    // Of this test's mount namespace: it goes with it.
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskMebi}m`, "tmpfs", disk]);
    const files = ["/bin/busybox", "/bin/sh"].map((path) => ({ host: "/bin/busybox", path }));
    await mkdir(join(home, "images"));
    await writeFile(join(home, "images", "busybox.tar"), await packImage({ name: "demo/busybox:1", files }));
    const log = createLogger({ write: (line) => t.diagnostic(line), level: "error" });
    const api = new FakeTransport();
    api.intercept = ({ method, path, body }) => {
      const pod = /^(.*\/pods\/[^/]+)\/status$/.exec(path)?.[1];
      if (method !== "PATCH" || !pod) return undefined;
      const old = api.objects.get(pod) as Pod | undefined; // only pods are below pods/
      const patch = structuredClone(body) as { status: Record<string, unknown> }; // the kubelet's
      for (const [field, value] of Object.entries(patch.status)) {
        if (!Array.isArray(value)) continue;
        if (value[0]?.$patch) patch.status[field] = value.slice(1);
        if (field !== "conditions") continue;
        const types = new Set(value.map(({ type }) => type));
        patch.status[field] = [...(old?.status?.conditions ?? []).filter(({ type }) => !types.has(type)), ...value];
      }
      return api.patch(pod, patch);
    };
    const options: KubeletOptions = {
      nodeName: "node1",
      rootDir,
      imagesDir: join(home, "images"),
      version: "v1.36.0",
      nodeIPs: ["10.244.0.1"],
      podCidrs: ["10.244.0.0/24"],
      config: {
        enableServer: false,
        evictionHard: { "nodefs.available": "35Mi", "memory.available": "100Mi" },
        kubeReserved: { memory: `${Math.floor(totalmem() / 2 ** 20) - podsMebi}Mi` },
        evictionPressureTransitionPeriod: 20_000,
      },
    };
    t.after(async () => {
      await removeNode(options, log);
      execFileSync("umount", ["-l", disk]);
      await rm(home, { recursive: true, force: true });
    });
    const stop = new AbortController();
    const kubelet = createKubelet(options, { client: createClient(api), clock: scaledClock(speed), log });
    const running = kubelet.run(stop.signal);
    await Promise.race([kubelet.ready(), running]);

    /** Resolves with the object when it is as wanted. */
    async function until<T>(path: string, wanted: (object: T | undefined) => boolean): Promise<T | undefined> {
      const found = new AbortController();
      const read = () => api.objects.get(path) as T | undefined; // of that path
      const check = () => {
        if (wanted(read())) found.abort();
      };
      const parent = path.slice(0, path.lastIndexOf("/"));
      const watching = api.watch({ method: "GET", path: parent, signal: found.signal }, check);
      check();
      await watching;
      return read();
    }
    const ended = (name: string) => until<Pod>(`${base}/${name}`, (pod) => pod?.status?.phase === "Failed");
    const isRunning = (name: string) => until<Pod>(`${base}/${name}`, (pod) => pod?.status?.phase === "Running");
    const untilCondition = (type: string, status: string) =>
      until<Node>("/api/v1/nodes/node1", (node) =>
        Boolean(node?.status?.conditions?.some((each) => each.type === type && each.status === status)),
      );
    const events = (name: string, reason: string) =>
      ([...api.objects.values()] as Event[]).filter(
        (event) => event.kind === "Event" && event.involvedObject?.name === name && event.reason === reason,
      ); // events have these fields

    await t.test("a volume and a log that are larger than their pods may have end just these pods", async () => {
      api.create(base, podWith("calm", ":", { limits: { "ephemeral-storage": "20Mi" } }));
      const sized = [{ name: "work", emptyDir: { sizeLimit: "1Mi" } }];
      api.create(base, podWith("volume", write(2, "/work/x"), { volumes: sized }));
      // In long lines: the runtime writes time and stream before each.
      const talk = `/bin/busybox yes ${"x".repeat(200)} | /bin/busybox head -c ${3 * 2 ** 20}`;
      api.create(base, podWith("log", talk, { limits: { "ephemeral-storage": "1Mi" } }));
      const [volume, logged] = await Promise.all([ended("volume"), ended("log")]);
      const message = 'Usage of EmptyDir volume "work" exceeds the limit "1Mi". ';
      assert.deepEqual([volume?.status?.reason, volume?.status?.message], ["Evicted", message]);
      assert.deepEqual(
        events("volume", "Evicted").map((event) => event.message),
        [message],
      );
      assert.equal(
        logged?.status?.message,
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
      );
      assert.equal(volume?.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 0);
      for (const pod of [volume, logged])
        assert.ok(!pod?.status?.conditions?.some(({ type }) => type === "DisruptionTarget"));
      assert.equal((await isRunning("calm"))?.status?.phase, "Running");
    });

    await t.test("who uses most when pods run short of memory goes", async () => {
      const volumes = [{ name: "work", emptyDir: { medium: "Memory" } }];
      api.create(base, podWith("large", write(podsMebi - 90, "/work/x"), { volumes }));
      const large = await ended("large");
      assert.match(
        large?.status?.message ?? "",
        /^The node was low on resource: memory\. Threshold quantity: 100Mi, available: \d+Ki\. Container c was using \d+Ki, request is 0, has larger consumption of memory\. $/,
      );
      assert.equal((await isRunning("calm"))?.status?.containerStatuses?.[0]?.restartCount, 0);
      await untilCondition("MemoryPressure", "False");
    });

    await t.test("who fills the disk goes, others stay, none is taken until there is room again", async () => {
      api.create(base, podWith("greedy", write(diskMebi, "/work/x")));
      await untilCondition("DiskPressure", "True");
      api.create(base, podWith("late", ":"));
      const greedy = await ended("greedy");
      assert.match(
        greedy?.status?.message ?? "",
        /^The node was low on resource: ephemeral-storage\. Threshold quantity: 35Mi, available: [0-9]+(Ki|Mi)?\. (Container c was using \S+, request is 0, has larger consumption of ephemeral-storage\. )?$/,
      );
      const { type, status, reason } =
        greedy?.status?.conditions?.find((condition) => condition.type === "DisruptionTarget") ?? {};
      assert.deepEqual([type, status, reason], ["DisruptionTarget", "True", "TerminationByKubelet"]);
      const [event] = events("greedy", "Evicted");
      assert.equal(event?.metadata.annotations?.starved_resource, "ephemeral-storage");
      assert.equal(events("node1", "EvictionThresholdMet").at(-1)?.message, "Attempting to reclaim ephemeral-storage");
      const late = await ended("late");
      assert.deepEqual(
        [late?.status?.reason, late?.status?.message],
        ["Evicted", "Pod was rejected: The node had condition: [DiskPressure]. "],
      );
      await untilCondition("DiskPressure", "False");
      api.create(base, podWith("later", ":"));
      assert.equal((await isRunning("later"))?.status?.phase, "Running");
      assert.equal((await isRunning("calm"))?.status?.containerStatuses?.[0]?.restartCount, 0);
    });
    stop.abort();
    await running;
  });
