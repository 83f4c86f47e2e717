import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, MetricRegistry, printMetrics } from "#base";
import { statusError, type Transport } from "#machinery";
import { meteredTransport } from "./metered-transport.ts";
import { createWorkQueue } from "./work-queue.ts";

const show = async (registry: MetricRegistry) => [...printMetrics(await registry.collect(), "text")].join("");
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("work queue: tells how many wait, how long they waited and how long the work took", async () => {
  const [clock, metrics, stop] = [new FakeClock(), new MetricRegistry(), new AbortController()];
  const queue = createWorkQueue({ name: "q", clock, metrics });
  for (const key of ["a", "b", "a"]) queue.add(key);
  assert.match(await show(metrics), /workqueue_depth\{name="q"} 2\n/);
  clock.advance(2_000);
  const gates: (() => void)[] = [];
  const failing = new Set(["b"]);
  const done = queue.run(stop.signal, {
    concurrency: 2,
    work: (key) =>
      new Promise((resolve, reject) => gates.push(() => (failing.delete(key) ? reject(new Error("no")) : resolve()))),
  });
  await settle();
  clock.advance(3_000);
  const busy = await show(metrics);
  assert.match(busy, /workqueue_depth\{name="q"} 0\n/);
  assert.match(busy, /workqueue_unfinished_work_seconds\{name="q"} 6\n/);
  assert.match(busy, /workqueue_longest_running_processor_seconds\{name="q"} 3\n/);
  for (const open of gates.splice(0)) open();
  await settle();
  clock.advance(5);
  await settle();
  for (const open of gates.splice(0)) open();
  await settle();
  stop.abort();
  await done;
  const text = await show(metrics);
  assert.match(text, /workqueue_adds_total\{name="q"} 3\n/);
  assert.match(text, /workqueue_retries_total\{name="q"} 1\n/);
  assert.match(text, /workqueue_queue_duration_seconds_sum\{name="q"} 4\n/);
  assert.match(text, /workqueue_work_duration_seconds_sum\{name="q"} 6\n/);
  assert.match(text, /workqueue_work_duration_seconds_count\{name="q"} 3\n/);
});

test("transport: counts requests by code, and how long they took", async () => {
  const [clock, metrics] = [new FakeClock(), new MetricRegistry()];
  const inner: Transport = {
    async request({ path }) {
      clock.advance(1_500);
      if (path === "/gone") throw statusError.unknownPath();
      if (path === "/broken") throw new Error("connection reset");
      return {};
    },
    watch: async () => undefined,
    close: () => undefined,
  };
  const transport = meteredTransport(inner, { metrics, host: "server:6443", clock });
  await transport.request({ method: "GET", path: "/" });
  await transport.request({ method: "POST", path: "/" });
  await assert.rejects(transport.request({ method: "GET", path: "/gone" }));
  await assert.rejects(transport.request({ method: "GET", path: "/broken" }));
  const text = await show(metrics);
  for (const [code, method] of [
    ["200", "GET"],
    ["201", "POST"],
    ["404", "GET"],
    ["<error>", "GET"],
  ])
    assert.ok(text.includes(`rest_client_requests_total{code="${code}",method="${method}",host="server:6443"} 1\n`));
  assert.match(text, /rest_client_request_duration_seconds_sum\{verb="GET",host="server:6443"} 4\.5\n/);
});
