/** The node with a real containerd, in a network namespace of its own, against a stand-in for the API server. */
import assert from "node:assert/strict";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Node, Pod, PodSpec } from "#api";
import { createLogger, realClock } from "#base";
import { createClient } from "#client";
import type { ApiRequest } from "#machinery";
import {
  FakeTransport,
  insideNamespace,
  ip,
  runInNamespace,
  startDeviceDriver,
  startTestPlugin,
  whyNoNamespaces,
} from "#testing";
import { packImage } from "./image/pack.ts";
import { createKubelet, type KubeletOptions, removeNode } from "./mod.ts";
import { findHierarchy } from "./node/cgroups.ts";
import { cgroupRootOf } from "./options.ts";
import { nodeFolders } from "./runtime-setup.ts";
import { mountsUnder } from "./volumes/mount-table.ts";

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

const base = "/api/v1/namespaces/default";

const isResizing = (pod: Pod | undefined): boolean =>
  pod?.status?.conditions?.some(({ type }) => type.startsWith("PodResize")) ?? false;

/** As the API server: merges conditions by type, takes `$patch: replace`, answers tokens, keeps deleted pods until grace 0. */
function createApi(): FakeTransport {
  const api = new FakeTransport();
  api.intercept = (request: ApiRequest) => {
    if (request.path.endsWith("/token"))
      return { status: { token: "t0ken", expirationTimestamp: new Date(Date.now() + 3.6e6).toISOString() } };
    const pod = /^(.*\/pods\/[^/]+)\/status$/.exec(request.path)?.[1];
    if (request.method !== "PATCH" || !pod) return undefined;
    const old = api.objects.get(pod) as Pod | undefined; // only pods are below pods/
    const body = structuredClone(request.body) as { status: Record<string, unknown> }; // the kubelet's patch
    for (const [field, value] of Object.entries(body.status)) {
      if (!Array.isArray(value)) continue;
      if (value[0]?.$patch) body.status[field] = value.slice(1);
      if (field === "conditions") {
        const types = value.map(({ type }) => type);
        const kept = (old?.status?.conditions ?? []).filter(({ type }) => !types.includes(type));
        body.status[field] = [...kept, ...value.filter(({ $patch }) => $patch !== "delete")];
      }
    }
    return api.patch(request.path, body);
  };
  return api;
}

/** Resolves with the pod when it is as wanted; undefined when it is gone. */
async function until(
  api: FakeTransport,
  name: string,
  wanted: (pod: Pod | undefined) => boolean,
): Promise<Pod | undefined> {
  const path = `${base}/pods/${name}`;
  const read = () => api.objects.get(path) as Pod | undefined; // only pods are below pods/
  const stop = new AbortController();
  const check = () => {
    if (wanted(read())) stop.abort();
  };
  const watching = api.watch({ method: "GET", path: `${base}/pods`, signal: stop.signal }, check);
  check();
  await watching;
  return read();
}

const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
const untilTerm = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.1; done";

function podWith(name: string, container: object, spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", uid: `uid-${name}`, creationTimestamp: new Date().toISOString() },
    spec: {
      nodeName: "node1",
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 2,
      ...spec,
      containers: [
        {
          name: "c",
          image: "demo/busybox:1",
          imagePullPolicy: "IfNotPresent",
          terminationMessagePath: "/dev/termination-log",
          ...container,
        },
      ],
    },
    status: { phase: "Pending" },
  };
}

function deletePod(api: FakeTransport, name: string): void {
  const pod = api.objects.get(`${base}/pods/${name}`) as Pod; // made by the test
  const metadata = { ...pod.metadata, deletionTimestamp: new Date().toISOString(), deletionGracePeriodSeconds: 2 };
  api.put(`${base}/pods/${name}`, { ...pod, metadata });
}

const skip = insideNamespace ? false : ((await whyNoContainers()) ?? false);
if (!insideNamespace) test("node: with a real containerd", { skip }, () => runInNamespace(import.meta.filename));
else
  test("node: runs pods, keeps their files fresh, takes them over after a restart, and leaves nothing", async (t) => {
    ip("link", "set", "lo", "up");
    const rootDir = await mkdtemp(join(tmpdir(), "node-"));
    const imagesDir = await mkdtemp(join(tmpdir(), "images-"));
    const busybox = "/bin/busybox";
    const files = ["/bin/busybox", "/bin/sh"].map((path) => ({ host: busybox, path }));
    await writeFile(join(imagesDir, "busybox.tar"), await packImage({ name: "demo/busybox:1", files }));
    const problems: string[] = [];
    const log = createLogger({ write: (line) => problems.push(line), level: "warn" });
    const api = createApi();
    const cdiFolder = join(imagesDir, "cdi");
    const options: KubeletOptions = {
      nodeName: "node1",
      cdiDirs: [cdiFolder],
      rootDir,
      imagesDir,
      version: "v1.36.0",
      nodeIPs: ["10.244.0.1"],
      podCidrs: ["10.244.0.0/24"],
      config: {
        clusterDNS: ["10.96.0.10"],
        clusterDomain: "cluster.local",
        enableServer: false,
        // The disk of this machine may be as full as it likes.
        evictionHard: { "memory.available": "100Mi" },
      },
    };
    t.after(async () => {
      await removeNode(options, log);
      await rm(rootDir, { recursive: true, force: true });
      await rm(imagesDir, { recursive: true, force: true });
      if (problems.length > 0) t.diagnostic(problems.join(""));
    });

    function start() {
      const stop = new AbortController();
      const kubelet = createKubelet(options, { client: createClient(api), clock: realClock, log });
      const running = kubelet.run(stop.signal);
      return {
        kubelet,
        stop: async () => {
          stop.abort();
          await running;
        },
        ready: () => Promise.race([kubelet.ready(), running]),
      };
    }

    let node = start();
    await node.ready();
    assert.ok(api.objects.has("/api/v1/nodes/node1"));
    api.create(`${base}/configmaps`, { metadata: { name: "cfg" }, data: { key: "one" } } as object);

    await t.test("a pod becomes ready with an address, its files and its log", async () => {
      const script = `echo "$A from $HOSTNAME"; ${untilTerm}`;
      const volumeMounts = [
        { name: "cfg", mountPath: "/cfg" },
        { name: "work", mountPath: "/sub", subPath: "a/b" },
      ];
      const env = [{ name: "A", valueFrom: { configMapKeyRef: { name: "cfg", key: "key" } } }];
      api.create(
        `${base}/pods`,
        podWith(
          "one",
          { command: ["/bin/sh", "-c", script], env, volumeMounts },
          {
            volumes: [
              { name: "cfg", configMap: { name: "cfg" } },
              { name: "work", emptyDir: {} },
            ],
          },
        ),
      );
      const pod = await until(api, "one", isReady);
      assert.match(pod?.status?.podIP ?? "", /^10\.244\.0\.\d+$/);
      assert.equal(pod?.status?.phase, "Running");
      const hosted = node.kubelet.host().findPod("default", "one");
      assert.ok(hosted);
      const { path } = node.kubelet.host().containerLog(hosted, "c", { previous: false });
      // The runtime writes what the container said a moment later.
      while (!/stdout F one from one\n/.test(await readFile(path, "utf8")))
        await new Promise((resolve) => setImmediate(resolve));
    });

    await t.test("a container that ends is started again; what it said last is kept", async () => {
      api.create(
        `${base}/pods`,
        podWith("ends", { command: ["/bin/sh", "-c", "echo bye > /dev/termination-log; exit 3"] }),
      );
      const pod = await until(api, "ends", (one) => (one?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
      const { reason, exitCode, message } = pod?.status?.containerStatuses?.[0]?.lastState?.terminated ?? {};
      assert.deepEqual([reason, exitCode, message], ["Error", 3, "bye\n"]);
    });

    await t.test("a container gets the devices that a driver prepared for its pod's claim", async () => {
      const results = [{ request: "r", driver: "d.io", pool: "node1", device: "gpu-7" }];
      api.create("/apis/resource.k8s.io/v1/namespaces/default/resourceclaims", {
        metadata: { name: "gpu", namespace: "default", uid: "uid-gpu" },
        status: {
          allocation: { devices: { results } },
          reservedFor: [{ resource: "pods", name: "device", uid: "uid-device" }],
        },
      } as object);
      const command = ["/bin/sh", "-c", "echo got $DEVICE_r > /dev/termination-log"];
      const resources = { claims: [{ name: "gpu" }] };
      const resourceClaims = [{ name: "gpu", resourceClaimName: "gpu" }];
      api.create(`${base}/pods`, podWith("device", { command, resources }, { resourceClaims, restartPolicy: "Never" }));
      const driver = await startDeviceDriver({
        name: "d.io",
        nodeName: "node1",
        nodeFolder: nodeFolders(options).kubelet,
        cdiFolder,
        client: createClient(api),
        devices: [{ name: "gpu-7" }],
      });
      const pod = await until(api, "device", (one) => one?.status?.phase === "Succeeded");
      assert.equal(pod?.status?.containerStatuses?.[0]?.state?.terminated?.message, "got gpu-7\n");
      assert.deepEqual(driver.calls, ["registered", "prepare gpu", "unprepare gpu"]);
      await driver.stop();
    });

    await t.test("a container gets the devices of a plugin, which the node counts", async () => {
      const folder = nodeFolders(options).kubelet;
      const devices = [{ ID: "one", health: "Healthy" }];
      const plugin = await startTestPlugin({ resource: "example.com/thing", folder, devices });
      const command = ["/bin/sh", "-c", "test -c /dev/test-one && echo got $EXAMPLE_COM_THING > /dev/termination-log"];
      const resources = { limits: { "example.com/thing": "1" } };
      while ((api.objects.get("/api/v1/nodes/node1") as Node).status?.allocatable?.["example.com/thing"] !== "1")
        await new Promise((resolve) => setImmediate(resolve));
      api.create(`${base}/pods`, podWith("plugged", { command, resources }, { restartPolicy: "Never" }));
      const pod = await until(api, "plugged", (one) => one?.status?.phase === "Succeeded");
      const [status] = pod?.status?.containerStatuses ?? [];
      assert.equal(status?.state?.terminated?.message, "got one\n");
      assert.deepEqual(status?.allocatedResourcesStatus, [
        { name: "example.com/thing", resources: [{ resourceID: "one", health: "Healthy" }] },
      ]);
      assert.deepEqual(plugin.calls, ["allocate one"]);
      await plugin.stop();
    });

    await t.test("a running container gets other limits without a restart, in the kernel too", async () => {
      const sized = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { cpu, memory } });
      const grown = podWith("sized", { command: ["/bin/sh", "-c", untilTerm], resources: sized("200m", "48Mi") });
      api.create(
        `${base}/pods`,
        podWith("sized", { command: ["/bin/sh", "-c", untilTerm], resources: sized("100m", "32Mi") }),
      );
      const before = await until(api, "sized", isReady);
      api.put(`${base}/pods/sized`, { ...before, spec: grown.spec } as object);
      const after = await until(
        api,
        "sized",
        (pod) => pod?.status?.containerStatuses?.[0]?.resources?.limits?.memory === "48Mi" && !isResizing(pod),
      );
      const [was, is] = [before, after].map((pod) => pod?.status?.containerStatuses?.[0]);
      assert.deepEqual([is?.containerID, is?.restartCount], [was?.containerID, 0]);
      assert.deepEqual(is?.resources, sized("200m", "48Mi"));
      assert.deepEqual(after?.status?.allocatedResources, { cpu: "200m", memory: "48Mi" });
      const hierarchy = await findHierarchy();
      const group = join(cgroupRootOf(options), `poduid-sized`);
      const id = is?.containerID?.replace("containerd://", "") ?? "";
      if (hierarchy?.version === 1)
        for (const at of [group, join(group, id)]) {
          const read = (controller: string, file: string): Promise<string> =>
            readFile(join(hierarchy.mounts.get(controller) ?? "", at, file), "utf8");
          assert.equal(Number(await read("memory", "memory.limit_in_bytes")), 48 * 2 ** 20);
          assert.equal(Number(await read("cpu", "cpu.cfs_quota_us")), 20_000);
        }
    });

    await t.test("files follow their source", async () => {
      const config = api.objects.get(`${base}/configmaps/cfg`);
      api.put(`${base}/configmaps/cfg`, { ...config, data: { key: "two" } } as object);
      const file = join(nodeFolders(options).kubelet, "pods/uid-one/volumes/kubernetes.io~configmap/cfg/key");
      while ((await readFile(file, "utf8")) !== "two") await new Promise((resolve) => setImmediate(resolve));
    });

    await t.test("after a restart of the node the same containers run on", async () => {
      const before = await until(api, "one", isReady);
      await node.stop();
      node = start();
      await node.ready();
      const after = await until(api, "one", isReady);
      assert.deepEqual(after?.status?.containerStatuses, before?.status?.containerStatuses);
    });

    await t.test("a deleted pod goes, with everything it had", async () => {
      const names = ["one", "ends", "device", "plugged", "sized"];
      for (const name of names) deletePod(api, name);
      for (const name of names) await until(api, name, (pod) => pod === undefined);
      const { logs, kubelet } = nodeFolders(options);
      while ((await readdir(logs)).length + (await readdir(join(kubelet, "pods"))).length > 0)
        await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(
        (await mountsUnder(kubelet)).filter((point) => point !== join(kubelet, "memory")),
        [],
      );
    });

    await node.stop();
    await removeNode(options, log);
    assert.deepEqual(await mountsUnder(rootDir), []);
    await assert.rejects(access(rootDir), { code: "ENOENT" });
    for (const mount of (await findHierarchy())?.all ?? [])
      await assert.rejects(access(join(mount, cgroupRootOf(options))), { code: "ENOENT" });
    assert.deepEqual(problems, []);
  });
