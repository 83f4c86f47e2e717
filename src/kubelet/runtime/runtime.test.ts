import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { type CriClient, CriError } from "../cri/client.ts";
import { readEnvelope } from "./containerd-events.ts";
import { createObserver } from "./observe.ts";
import { lastLogLines } from "./termination-message.ts";
import { watchRuntime } from "./watch.ts";

test("containerd events: topic and container id, whatever else is in them; the end of an executed command is none", () => {
  const field = (number: number, bytes: Buffer) =>
    Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  const envelope = (processId: string, topic = "/tasks/exit") => {
    const exit = [field(1, Buffer.from("abc")), Buffer.from([0x18, 0x96, 0x01]), field(2, Buffer.from(processId))];
    const any = [field(1, Buffer.from("type.url")), field(2, Buffer.concat(exit))];
    return Buffer.concat([
      field(1, Buffer.from([0x08, 1])),
      field(2, Buffer.from("k8s.io")),
      field(3, Buffer.from(topic)),
      field(4, Buffer.concat(any)),
    ]);
  };
  assert.deepEqual(readEnvelope(envelope("abc")), { topic: "/tasks/exit", containerId: "abc" });
  assert.equal(readEnvelope(envelope("command")), undefined);
  assert.deepEqual(readEnvelope(envelope("folder", "/tasks/create")), { topic: "/tasks/create", containerId: "abc" });
  assert.equal(readEnvelope(Buffer.alloc(0)), undefined);
});

test("last words: the end of a log, partial lines joined", () => {
  const log = ["t stdout F one", "t stderr P two ", "t stderr F three", "broken", ""].join("\n");
  assert.equal(lastLogLines(log), "one\ntwo three\n");
  const long = Array.from({ length: 200 }, (_, line) => `t stdout F ${line}`).join("\n");
  assert.equal(lastLogLines(long).split("\n").length, 81);
  assert.equal(Buffer.byteLength(lastLogLines(`t stdout F ${"x".repeat(5000)}`)), 2048);
});

/** A runtime with one container whose state the test changes. */
function fakeRuntime() {
  const calls = { status: 0 };
  const labels = {
    "io.kubernetes.pod.uid": "u",
    "io.kubernetes.pod.name": "p",
    "io.kubernetes.pod.namespace": "ns",
    "io.kubernetes.container.name": "c",
  };
  const container = {
    id: "c1",
    podSandboxId: "s1",
    state: "CONTAINER_RUNNING",
    labels,
    annotations: {},
    reason: "",
    exitCode: 0,
    finishedAt: 0,
  };
  const runtime = {
    version: async () => ({}),
    listPodSandbox: async () => ({
      items: [{ id: "s1", state: "SANDBOX_READY", labels, createdAt: 1e6, metadata: { attempt: 0 } }],
    }),
    listContainers: async () => ({ containers: [container] }),
    podSandboxStatus: async () => ({
      status: { state: "SANDBOX_READY", network: { ip: "10.0.0.2", additionalIps: [] } },
    }),
    containerStatus: async () => {
      calls.status++;
      return {
        status: {
          ...container,
          mounts: [],
          message: "",
          createdAt: 2e6,
          startedAt: 3e6,
          imageRef: "r",
          logPath: "",
          metadata: { name: "c", attempt: 0 },
        },
      };
    },
  };
  return { cri: { runtime } as unknown as CriClient, container, calls }; // what observing calls
}

test("observing: details are asked for only when a state changed, and again while a kill may turn out to be for memory", async () => {
  const { cri, container, calls } = fakeRuntime();
  const clock = new FakeClock();
  const observer = createObserver(cri, clock);
  const look = () => observer.pod("u", { namespace: "ns", name: "p" });
  assert.deepEqual((await look()).sandboxes[0]?.ips, ["10.0.0.2"]);
  assert.equal((await look()).containers[0]?.state, "running");
  assert.equal(calls.status, 1);
  assert.equal(observer.podOf("c1"), "u");
  Object.assign(container, {
    state: "CONTAINER_EXITED",
    exitCode: 137,
    reason: "Error",
    finishedAt: clock.now() * 1e6,
  });
  assert.equal((await look()).containers[0]?.reason, "Error");
  container.reason = "OOMKilled";
  assert.equal((await look()).containers[0]?.reason, "OOMKilled");
  await look();
  assert.equal(calls.status, 3);
});

test("watching: a runtime without events is looked at, fast while something may change", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  let gaps = 0;
  let active = true;
  const cri = {
    runtime: {
      version: async () => ({}),
      // biome-ignore lint/correctness/useYield: it fails before the first event
      getContainerEvents: async function* () {
        throw new CriError("GetContainerEvents", "UNIMPLEMENTED", "");
      },
    },
  } as unknown as CriClient; // what watching calls
  const watching = watchRuntime(
    {
      cri,
      endpoint: "/nowhere/at/all.sock",
      clock,
      log: silentLogger,
      // biome-ignore lint/correctness/useYield: it fails before the first event
      events: async function* () {
        throw new CriError("Subscribe", "UNIMPLEMENTED", "");
      },
      onPod: () => undefined,
      onGap: () => void gaps++,
      onLost: async () => undefined,
      podOf: () => undefined,
      isActive: () => active,
    },
    stop.signal,
  );
  const tick = async (ms: number) => {
    clock.advance(ms);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  await tick(0);
  const start = gaps;
  await tick(1000);
  await tick(1000);
  assert.equal(gaps - start, 2);
  active = false;
  await tick(1000);
  const before = gaps;
  await tick(9000);
  assert.equal(gaps, before);
  await tick(1000);
  assert.equal(gaps, before + 1);
  stop.abort();
  await watching;
});
