import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { parseResourceMetrics } from "./scrape.ts";
import type { NodeUsage } from "#api";
import { UsageCollector } from "./usage-collector.ts";

const startMs = 1_000_000;

/** One container that burns `cores`, on a node with one more. */
function machine(clock: FakeClock, cores = 0.5) {
  const looks: number[] = [];
  let startedMs = 0;
  const fetch = async (): Promise<NodeUsage> => {
    const timeMs = clock.now();
    looks.push(timeMs - startMs);
    const used = (since: number, rate: number) => (timeMs - since) * 1e6 * rate;
    const point = { namespace: "ns", pod: "p", container: "c", startedMs, timeMs, memoryBytes: 2048 };
    return {
      node: { timeMs, cpuNanoSeconds: used(0, cores + 1), memoryBytes: 4096 },
      containers: [{ ...point, cpuNanoSeconds: used(startedMs, cores) }],
    };
  };
  const restart = () => {
    startedMs = clock.now();
  };
  return { fetch, looks, restart };
}

async function ask(collector: UsageCollector, clock: FakeClock) {
  const asking = collector.rates(["n"]);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  clock.advance(1000);
  const rates = (await asking).get("n");
  const rate = rates?.pods.get("ns/p")?.get("c");
  return { node: rates?.node?.cpuNanoCores, cpu: rate?.cpuNanoCores, window: rate?.windowMs };
}

test("usage: who asks first waits for a second look, who asks again is told since the last one", async () => {
  const clock = new FakeClock(startMs);
  const { fetch, looks } = machine(clock);
  const collector = new UsageCollector({ fetch, clock });
  assert.deepEqual(await ask(collector, clock), { node: 1.5e9, cpu: 5e8, window: 1000 });
  clock.advance(14_000);
  assert.deepEqual(await ask(collector, clock), { node: 1.5e9, cpu: 5e8, window: 14_000 });
  // Just asked: nobody looks.
  assert.deepEqual(await ask(collector, clock), { node: 1.5e9, cpu: 5e8, window: 14_000 });
  assert.deepEqual(looks, [0, 1000, 15_000]);
  clock.advance(200_000);
  assert.equal((await ask(collector, clock)).window, 1000);
});

test("usage: however often somebody asks, a rate is of the last ten to twenty seconds", async () => {
  const clock = new FakeClock(startMs);
  const collector = new UsageCollector({ ...machine(clock), clock });
  const windows: (number | undefined)[] = [];
  for (let round = 0; round < 8; round++) {
    windows.push((await ask(collector, clock)).window);
    clock.advance(4000);
  }
  for (const window of windows.slice(2)) assert.ok(window && window >= 10_000 && window <= 20_000, String(windows));
});

test("usage: a container that was started since counts from its start, at once it can't be told", async () => {
  const clock = new FakeClock(startMs);
  const node = machine(clock);
  const collector = new UsageCollector({ ...node, clock });
  await ask(collector, clock);
  clock.advance(9000);
  node.restart();
  clock.advance(100);
  assert.deepEqual((await ask(collector, clock)).cpu, undefined);
  clock.advance(6000);
  assert.deepEqual(await ask(collector, clock), { node: 1.5e9, cpu: 5e8, window: 7100 });
});

test("usage: a node that can't be reached has none", async () => {
  const clock = new FakeClock(startMs);
  const collector = new UsageCollector({ fetch: async () => undefined, clock });
  assert.deepEqual(await ask(collector, clock), { node: undefined, cpu: undefined, window: undefined });
});

test("usage: read from what kubelets print", () => {
  const text = `# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 1.5e+02 1700000000123
node_memory_working_set_bytes 4096 1700000000123
container_cpu_usage_seconds_total{container="c",namespace="ns",pod="p"} 0.25 1700000000456
container_cpu_usage_seconds_total{container="half",namespace="ns",pod="p"} 0.25 1700000000456
container_memory_working_set_bytes{container="c",namespace="ns",pod="p"} 2048 1700000000456
container_start_time_seconds{container="c",namespace="ns",pod="p"} 1.699999990e+09
scrape_error 0
`;
  assert.deepEqual(parseResourceMetrics(text, 5), {
    node: { timeMs: 1_700_000_000_123, cpuNanoSeconds: 150e9, memoryBytes: 4096 },
    containers: [
      {
        namespace: "ns",
        pod: "p",
        container: "c",
        timeMs: 1_700_000_000_456,
        cpuNanoSeconds: 25e7,
        memoryBytes: 2048,
        startedMs: 1_699_999_990_000,
      },
    ],
  });
});
