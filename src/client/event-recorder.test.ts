import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "#api";
import { FakeClock } from "#base";
import { FakeTransport } from "#testing";
import { createClient } from "./client.ts";
import { createEventRecorder, createSeriesRecorder } from "./event-recorder.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const pod = {
  kind: "Pod",
  apiVersion: "v1",
  metadata: { name: "web", namespace: "ns", uid: "u1", resourceVersion: "5" },
};

function setUp() {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const client = createClient(transport);
  const events = () => [...transport.objects.values()] as Event[]; // nothing else is stored
  return { transport, clock, client, events };
}

test("event recorder: an event looks as upstream's", async () => {
  const { clock, client, events } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "kubelet", host: "node-1" });
  recorder.event(pod, { type: "Normal", reason: "Pulled", message: "done", fieldPath: "spec.containers{c}" });
  await recorder.flush();
  const [event] = events();
  assert.ok(event);
  const { metadata, ...rest } = event;
  assert.match(metadata.name ?? "", /^web\.[0-9a-f]{16}$/);
  assert.equal(metadata.namespace, "ns");
  assert.deepEqual(rest, {
    kind: "Event",
    apiVersion: "v1",
    involvedObject: {
      kind: "Pod",
      namespace: "ns",
      name: "web",
      uid: "u1",
      apiVersion: "v1",
      resourceVersion: "5",
      fieldPath: "spec.containers{c}",
    },
    reason: "Pulled",
    message: "done",
    source: { component: "kubelet", host: "node-1" },
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-01T00:00:00Z",
    count: 1,
    type: "Normal",
    reportingComponent: "kubelet",
    reportingInstance: "node-1",
  });
});

test("event recorder: a repeat raises the count of the same event, also after it expired", async () => {
  const { transport, clock, client, events } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "c" });
  const record = async () => {
    recorder.event(pod, { type: "Warning", reason: "BackOff", message: "again" });
    await recorder.flush();
    clock.advance(1_000);
  };
  await record();
  await record();
  await record();
  assert.equal(events().length, 1);
  assert.equal(events()[0]?.count, 3);
  assert.equal(events()[0]?.firstTimestamp, "2026-01-01T00:00:00Z");
  assert.equal(events()[0]?.lastTimestamp, "2026-01-01T00:00:02Z");
  transport.objects.clear();
  await record();
  assert.equal(events()[0]?.count, 4);
});

test("event recorder: a burst of one event is one request", async () => {
  const { transport, clock, client, events } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "c" });
  for (let i = 0; i < 4; i++) {
    for (const name of "abcdef") {
      recorder.event({ ...pod, metadata: { name, namespace: "ns" } }, { type: "Normal", reason: "R", message: "m" });
    }
  }
  await recorder.flush();
  assert.deepEqual(
    events()
      .map(({ count }) => count)
      .sort(),
    [4, 4, 4, 4, 4, 4],
  );
  assert.ok(transport.requests.length <= 12);
});

test("event recorder: from the tenth different message on they are combined", async () => {
  const { clock, client, events } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "c" });
  for (let i = 1; i <= 12; i++) {
    recorder.event(pod, { type: "Warning", reason: "Failed", message: `try ${i}` });
    await recorder.flush();
  }
  const messages = events().map(({ message, count }) => `${message} x${count}`);
  assert.equal(messages.length, 10);
  assert.equal(messages[9], "(combined from similar events): try 12 x3");
});

test("event recorder: 25 about one object, then one each five minutes", async () => {
  const { transport, clock, client } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "c" });
  const record = async () => {
    recorder.event(pod, { type: "Normal", reason: "R", message: "m" });
    await recorder.flush();
  };
  for (let i = 0; i < 40; i++) await record();
  assert.equal(transport.requests.length, 25);
  clock.advance(300_000);
  await record();
  await record();
  assert.equal(transport.requests.length, 26);
});

test("event recorder: retries while the server can't be reached, and close gives up", async () => {
  const { transport, clock, client, events } = setUp();
  const recorder = createEventRecorder({ client, clock, component: "c" });
  transport.intercept = () => {
    throw new Error("connection refused");
  };
  recorder.event(pod, { type: "Normal", reason: "R", message: "m" });
  await settle();
  clock.advance(10_000);
  await settle();
  assert.equal(transport.requests.length, 2);
  transport.intercept = undefined;
  clock.advance(10_000);
  await recorder.flush();
  assert.equal(events().length, 1);
  transport.intercept = () => {
    throw new Error("connection refused");
  };
  recorder.event(pod, { type: "Normal", reason: "R2", message: "m" });
  await settle();
  const closed = recorder.close();
  await settle();
  clock.advance(2_000);
  await closed;
});

test("series recorder: eventTime and action, then a series that is completed when it ends", async () => {
  const { transport, clock, client, events } = setUp();
  const recorder = createSeriesRecorder({ client, clock, component: "default-scheduler", host: "m" });
  const record = async (message: string) => {
    recorder.event(pod, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", message });
    await recorder.flush();
    clock.advance(1_000);
  };
  await record("no nodes");
  const [first] = events();
  assert.equal(first?.eventTime, "2026-01-01T00:00:00.000000Z");
  assert.equal(first?.reportingComponent, "default-scheduler");
  assert.equal(first?.reportingInstance, "default-scheduler-m");
  assert.equal(first?.action, "Scheduling");
  assert.equal(first?.source, undefined);
  assert.equal(first?.series, undefined);
  for (let i = 0; i < 3; i++) await record("still no nodes");
  assert.deepEqual(events()[0]?.series, { count: 2, lastObservedTime: "2026-01-01T00:00:01.000000Z" });
  assert.equal(transport.requests.length, 2);
  clock.advance(720_000);
  await recorder.flush();
  assert.deepEqual(events()[0]?.series, { count: 4, lastObservedTime: "2026-01-01T00:00:03.000000Z" });
  await recorder.close();
});
