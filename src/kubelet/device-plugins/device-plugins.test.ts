import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Pod } from "#api";
import { createLogger, FakeClock } from "#base";
import { startTestPlugin, type TestPluginOptions } from "#testing";
import { defaultConfiguration } from "../config/configuration.ts";
import { connectPlugin } from "../plugins/plugin-protocol.ts";
import { runPluginRegistry } from "../plugins/registry.ts";
import { createAllocator } from "../resources/allocator.ts";
import { applyAnswers } from "./apply-answers.ts";
import { DevicePlugins } from "./device-plugins.ts";
import type { PluginDevice } from "./endpoints.ts";
import { servePodResources } from "./pod-resources.ts";

const resource = "example.com/thing";
const log = createLogger({ write: () => undefined });
const device = (ID: string, more: { health?: string; node?: number } = {}): PluginDevice => ({
  ID,
  health: more.health ?? "Healthy",
  ...(more.node === undefined ? {} : { topology: { nodes: [{ ID: more.node }] } }),
});
const podWith = (uid: string, count: number, more: object = {}): Pod => ({
  metadata: { name: uid, namespace: "ns", uid },
  spec: { containers: [{ name: "c", resources: { limits: { [resource]: String(count) } } }], ...more },
});

async function setUp(t: TestContext, config: object = {}) {
  const folder = await mkdtemp(join(tmpdir(), "plugins-"));
  const clock = new FakeClock(0);
  const pods = new Map<string, Pod>();
  const turned: string[] = [];
  const waiting = new Set<() => void>();
  const make = async () => {
    const plugins = new DevicePlugins({
      folder: join(folder, "device-plugins"),
      clock,
      log,
      numaNodes: [0, 1],
      activePods: () => new Set(pods.keys()),
      onAmounts: () => {
        for (const check of waiting) check();
      },
      onHealth: (uids) => turned.push(...uids),
    });
    await plugins.start();
    return plugins;
  };
  let plugins = await make();
  const ends: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const end of ends) await end();
    await plugins.close();
    await rm(folder, { recursive: true });
  });
  const until = (isSo: () => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!isSo()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  const machine = { nodes: [0, 1], distance: () => 10 };
  return {
    folder,
    clock,
    pods,
    turned,
    plugins: () => plugins,
    until,
    allocatable: (count: string | undefined) => until(() => plugins.amounts().allocatable[resource] === count),
    async start(more: Partial<TestPluginOptions> = {}) {
      const plugin = await startTestPlugin({
        resource,
        folder,
        devices: [device("a"), device("b"), device("c")],
        ...more,
      });
      ends.push(() => plugin.stop());
      return plugin;
    },
    async restart() {
      await plugins.close();
      plugins = await make();
    },
    admit(pod: Pod) {
      pods.set(pod.metadata.uid ?? "", pod);
      const settings = { ...defaultConfiguration(), ...config };
      return createAllocator({ config: settings, machine, providers: [plugins] }).admit(pod);
    },
  };
}

const container = (pod: Pod, at = 0) => pod.spec!.containers[at]!; // it has one

test("device plugins: devices are counted, given, and freed when their pod has ended", async (t) => {
  const { start, plugins, admit, pods, allocatable } = await setUp(t);
  const plugin = await start();
  await allocatable("3");
  assert.equal(await admit(podWith("one", 2)), undefined);
  assert.deepEqual(await admit(podWith("two", 2)), {
    reason: "UnexpectedAdmissionError",
    message:
      "Allocate failed due to requested number of devices unavailable for example.com/thing. Requested: 2, Available: 1, which is unexpected",
  });
  pods.delete("one");
  assert.equal(await admit(podWith("two", 2)), undefined);
  assert.deepEqual(plugin.calls, ["allocate a,b", "allocate a,b"]);
  const pod = podWith("two", 2);
  const { config, cdiDevices } = applyAnswers(
    { envs: [{ key: "OWN", value: Buffer.from("1") }], annotations: { own: "1" } },
    await plugins().forStart(pod, container(pod)),
  );
  assert.deepEqual(cdiDevices, []);
  assert.deepEqual(
    config.envs?.map(({ key, value }) => `${key}=${value}`),
    ["EXAMPLE_COM_THING=a,b", "OWN=1"],
  );
  assert.deepEqual(config.devices, [
    { containerPath: "/dev/test-a", hostPath: "/dev/null", permissions: "rw" },
    { containerPath: "/dev/test-b", hostPath: "/dev/null", permissions: "rw" },
  ]);
  assert.deepEqual(config.annotations, { "plugin.example/devices": "a,b", own: "1" });
});

test("device plugins: what was given survives the node, also while the plugin is away", async (t) => {
  const { start, plugins, admit, restart, allocatable, folder, clock } = await setUp(t);
  const plugin = await start();
  await allocatable("3");
  const pod = podWith("one", 1);
  await admit(pod);
  await restart();
  assert.deepEqual(plugins().amounts(), { capacity: { [resource]: "0" }, allocatable: { [resource]: "0" } });
  assert.equal((await plugins().forStart(pod, container(pod))).length, 1);
  assert.equal(
    (await admit(podWith("two", 1)))?.message,
    "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices example.com/thing, which is unexpected",
  );
  await plugin.stop();
  await start();
  await allocatable("3");
  const file = JSON.parse(await readFile(join(folder, "device-plugins", "kubelet_internal_checkpoint"), "utf8"));
  assert.deepEqual(file.Data.PodDeviceEntries[0].DeviceIDs, { "-1": ["a"] });
  clock.advance(6 * 60_000);
  assert.equal(plugins().amounts().capacity[resource], "3");
});

test("device plugins: one that goes leaves its resource for a while, at nothing", async (t) => {
  const { start, plugins, allocatable, clock } = await setUp(t);
  const plugin = await start();
  await allocatable("3");
  await plugin.stop();
  await allocatable("0");
  assert.deepEqual(plugins().amounts().capacity, { [resource]: "3" });
  clock.advance(5 * 60_000 + 2);
  assert.deepEqual(plugins().amounts().capacity, { [resource]: "0" });
});

test("device plugins: how devices are is shown with their containers", async (t) => {
  const { start, plugins, admit, allocatable, turned } = await setUp(t);
  const plugin = await start();
  await allocatable("3");
  const pod = podWith("one", 1);
  await admit(pod);
  plugin.tell([device("a", { health: "Unhealthy" }), device("b")]);
  await allocatable("1");
  assert.deepEqual(turned, ["one"]);
  const status = { name: "c", image: "", imageID: "", ready: true, restartCount: 0 };
  assert.deepEqual(plugins().withHealth(pod, [status])[0]?.allocatedResourcesStatus, [
    { name: resource, resources: [{ resourceID: "a", health: "Unhealthy" }] },
  ]);
});

test("device plugins: they are asked before each start, and for what they prefer", async (t) => {
  const { start, plugins, admit, allocatable } = await setUp(t);
  const plugin = await start({ preStart: true, preferred: ["c"] });
  await allocatable("3");
  const pod = podWith("one", 1);
  await admit(pod);
  await plugins().forStart(pod, container(pod));
  assert.deepEqual(plugin.calls, ["allocate c", "start c"]);
});

test("device plugins: init containers' devices are used again, sidecars' aren't", async (t) => {
  const { start, admit, allocatable } = await setUp(t);
  const plugin = await start();
  await allocatable("3");
  const limits = { [resource]: "2" };
  const initContainers = [
    { name: "i", resources: { limits } },
    { name: "s", restartPolicy: "Always", resources: { limits: { [resource]: "1" } } },
  ];
  assert.equal(await admit(podWith("one", 2, { initContainers })), undefined);
  assert.deepEqual(plugin.calls, ["allocate a,b", "allocate a", "allocate b,c"]);
});

test("device plugins: devices near each other, or none when the settings want that", async (t) => {
  const { start, admit, allocatable } = await setUp(t, { topologyManagerPolicy: "single-numa-node" });
  const devices = [device("a", { node: 0 }), device("b", { node: 1 }), device("c", { node: 1 })];
  const plugin = await start({ devices });
  await allocatable("3");
  assert.equal(await admit(podWith("one", 2)), undefined);
  assert.deepEqual(plugin.calls, ["allocate b,c"]);
  assert.equal((await admit(podWith("two", 3)))?.reason, "TopologyAffinityError");
});

test("device plugins: what they may not call themselves", async (t) => {
  const { start } = await setUp(t);
  await assert.rejects(start({ version: "v9" }), /requested API version "v9" is not supported by kubelet/);
  await assert.rejects(start({ resource: "cpu" }), /the ResourceName "cpu" is invalid/);
});

test("device plugins: those in the folder of all plugins", async (t) => {
  const { start, plugins, allocatable, folder, clock } = await setUp(t);
  const stop = new AbortController();
  const registry = join(folder, "plugins_registry");
  await mkdir(registry);
  const handlers = { DevicePlugin: plugins().handler };
  const running = runPluginRegistry({ folder: registry, handlers, clock, log }, stop.signal);
  const plugin = await start({ watched: true });
  await allocatable("3");
  await plugin.stop();
  await allocatable("0");
  assert.deepEqual(plugin.calls, ["registered"]);
  stop.abort();
  await running;
});

test("pod resources: who has which devices and cpus", async (t) => {
  const { start, plugins, admit, allocatable, folder, pods } = await setUp(t);
  await start({ devices: [device("a", { node: 1 }), device("b")] });
  await allocatable("2");
  await admit(podWith("one", 1));
  const stop = await servePodResources({
    folder: join(folder, "pod-resources"),
    plugins: plugins(),
    pods: () => [...pods.values()],
    cpusOf: () => [2, 3],
    allocatableCpus: () => [1, 2, 3],
    claimsOf: () => [],
  });
  const connection = await connectPlugin(join(folder, "pod-resources", "kubelet.sock"));
  const ask = (method: string, message: object = {}) =>
    connection.call<object>("v1.PodResourcesLister", method, message, 5_000);
  const pod = {
    name: "one",
    namespace: "ns",
    containers: [
      {
        name: "c",
        devices: [{ resourceName: resource, deviceIds: ["a"], topology: { nodes: [{ ID: 1 }] } }],
        cpuIds: [2, 3],
        memory: [],
        dynamicResources: [],
      },
    ],
  };
  assert.deepEqual(await ask("List"), { podResources: [pod] });
  assert.deepEqual(await ask("Get", { podName: "one", podNamespace: "ns" }), { podResources: pod });
  await assert.rejects(ask("Get", { podName: "x", podNamespace: "ns" }), {
    message: "rpc error: code = Unknown desc = pod x in namespace ns not found",
  });
  assert.deepEqual(await ask("GetAllocatableResources"), {
    devices: [
      { resourceName: resource, deviceIds: ["a"], topology: { nodes: [{ ID: 1 }] } },
      { resourceName: resource, deviceIds: ["b"] },
    ],
    cpuIds: [1, 2, 3],
    memory: [],
  });
  connection.close();
  await stop();
});
