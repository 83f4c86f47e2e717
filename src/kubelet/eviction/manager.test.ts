/** The eviction manager with readings that a test makes up: what it tells, frees and ends, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { defaultConfiguration } from "../config/configuration.ts";
import type { PodVerdict } from "../core/pod-status.ts";
import type { PodView } from "../core/types.ts";
import { createKubeletMetrics } from "../metrics/kubelet-metrics.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import { createEvictionManager, type EvictionOptions } from "./manager.ts";
import type { PodUsage } from "./rank.ts";
import type { Signal } from "./thresholds.ts";

const mebi = 2 ** 20;

function createNode(config: Partial<EvictionOptions["config"]>) {
  const clock = new FakeClock(1_000_000);
  const left = new Map<Signal, number>();
  const calls: string[] = [];
  const workers: PodWorker[] = [];
  const usage = new Map<string, PodUsage>();
  const evictions = createEvictionManager({
    config: { ...defaultConfiguration(), evictionHard: {}, ...config },
    nodeName: "n",
    clock,
    log: silentLogger,
    recorder: {
      event: ({ kind }, { reason, message }) => void calls.push(`${kind} ${reason}: ${message}`),
    } as EvictionOptions["recorder"], // what is called of it
    metrics: createKubeletMetrics(),
    observe: async () => ({
      observations: new Map(
        [...left].map(([signal, available]) => [signal, { available, capacity: 1000 * mebi, timeMs: clock.now() }]),
      ),
      layout: { dedicated: false, split: false },
    }),
    workers: () => workers,
    usage: async () => usage,
    reclaim: {
      containers: async () => void calls.push("containers removed"),
      images: async () => {
        calls.push("images removed");
        if (left.has("nodefs.available"))
          left.set("nodefs.available", (left.get("nodefs.available") ?? 0) + 100 * mebi);
      },
    },
    onConditions: () => calls.push(`conditions ${evictions.conditions().join()}`),
  });
  const addPod = (name: string, memoryBytes: number, spec: Partial<NonNullable<PodView["spec"]>> = {}) => {
    const pod: PodView = { metadata: { name, uid: name }, spec: { containers: [{ name: "c", image: "i" }], ...spec } };
    usage.set(name, { memoryBytes, containers: [{ name: "c", memoryBytes }], volumes: new Map() });
    const listeners = new Set<() => void>();
    let isCleaned = false;
    const worker = {
      uid: name,
      pod: () => pod,
      admitted: () => true,
      stage: () => "running",
      cleaned: () => isCleaned,
      onLook(listener: () => void) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      evict(verdict: PodVerdict, { graceSeconds }: { graceSeconds: number }) {
        calls.push(`evict ${name} within ${graceSeconds} s${verdict.condition ? " disrupted" : ""}`);
        workers.splice(workers.indexOf(worker), 1);
        end = () => {
          isCleaned = true;
          for (const listener of listeners) listener();
        };
      },
    } as unknown as PodWorker; // what is called of it
    workers.push(worker);
  };
  let end = (): void => undefined;
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const settled = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  return {
    evictions,
    addPod,
    /** Sets what is left in MiB, lets ten seconds pass and answers what happened. */
    async look(amounts: Partial<Record<Signal, number>>): Promise<string[]> {
      for (const [signal, amount] of Object.entries(amounts)) left.set(signal as Signal, amount * mebi); // keys of the argument
      if (clock.now() === 1_000_000) running = evictions.run(stop.signal);
      clock.advance(10_000);
      await settled();
      return calls.splice(0);
    },
    /** The evicted pod is gone; answers what happened then. */
    async gone(): Promise<string[]> {
      end();
      await settled();
      return calls.splice(0);
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}

test("memory: the greediest pod goes at once, the next only when it is gone; the node tells for a while", async () => {
  const node = createNode({ evictionHard: { "memory.available": "100Mi" } });
  node.addPod("small", 10 * mebi);
  node.addPod("large", 300 * mebi);
  node.addPod("critical", 900 * mebi, { priority: 2_000_000_000 });
  assert.deepEqual(await node.look({ "memory.available": 500 }), []);
  const message = (used: string) =>
    `The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using ${used}, request is 0, has larger consumption of memory. `;
  assert.deepEqual(await node.look({ "memory.available": 50 }), [
    "conditions MemoryPressure",
    "Node EvictionThresholdMet: Attempting to reclaim memory",
    `Pod Evicted: ${message("300Mi")}`,
    "evict large within 1 s disrupted",
  ]);
  assert.deepEqual(await node.look({}), []);
  // It didn't help: another one, without waiting. Critical ones stay.
  assert.deepEqual(await node.gone(), [
    "Node EvictionThresholdMet: Attempting to reclaim memory",
    `Pod Evicted: ${message("10Mi")}`,
    "evict small within 1 s disrupted",
  ]);
  assert.deepEqual(await node.look({ "memory.available": 400 }), []);
  assert.deepEqual(await node.gone(), []);
  assert.deepEqual(node.evictions.conditions(), ["MemoryPressure"]);
  assert.equal(node.evictions.refuse({ metadata: {}, spec: { containers: [] } })?.reason, "Evicted");
  for (let looks = 0; looks < 27; looks++) await node.look({});
  assert.deepEqual(node.evictions.conditions(), ["MemoryPressure"]);
  for (let looks = 0; looks < 4; looks++) await node.look({});
  assert.deepEqual(node.evictions.conditions(), []);
  await node.close();
});

test("disk: what nobody needs goes before any pod does", async () => {
  const node = createNode({ evictionHard: { "nodefs.available": "10%" } });
  node.addPod("p", 0);
  assert.deepEqual(await node.look({ "nodefs.available": 60 }), [
    "conditions DiskPressure",
    "Node EvictionThresholdMet: Attempting to reclaim ephemeral-storage",
    "containers removed",
    "images removed",
  ]);
  assert.deepEqual(await node.look({}), []);
  await node.close();
});

test("soft: after its grace period, with the time that the pod asks for, at most as much as the node allows", async () => {
  const node = createNode({
    evictionSoft: { "memory.available": "30%" },
    evictionSoftGracePeriod: { "memory.available": "25s" },
    evictionMaxPodGracePeriod: 60,
  });
  node.addPod("p", mebi, { terminationGracePeriodSeconds: 20 });
  assert.deepEqual(await node.look({ "memory.available": 200 }), ["conditions MemoryPressure"]);
  assert.deepEqual(await node.look({}), []);
  assert.deepEqual(await node.look({}), []);
  const [, , last] = await node.look({});
  assert.equal(last, "evict p within 20 s disrupted");
  await node.gone();
  await node.close();
});
