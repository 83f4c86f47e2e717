/** Against a real message bus, with a logind of the test's own. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLogger, realClock } from "#base";
import { defaultConfiguration } from "../config/configuration.ts";
import type { PodVerdict } from "../core/pod-status.ts";
import type { PodView } from "../core/types.ts";
import { connectDbus, type Dbus } from "./dbus.ts";
import { decodeMessage, encodeMessage } from "./dbus-wire.ts";
import { groupPods, requestedMs, shutdownPeriods } from "./groups.ts";
import { createNodeShutdown, type NodeShutdownOptions } from "./node-shutdown.ts";

const podOf = (name: string, priority?: number, seconds = 30): { pod(): PodView } => {
  const spec = {
    containers: [],
    terminationGracePeriodSeconds: seconds,
    ...(priority === undefined ? {} : { priority }),
  };
  return { pod: () => ({ metadata: { name }, spec }) };
};

test("shutdown: two periods are groups of common and critical pods; others are as given, lowest first", () => {
  const config = { ...defaultConfiguration(), shutdownGracePeriod: 30_000, shutdownGracePeriodCriticalPods: 10_000 };
  const periods = shutdownPeriods(config);
  assert.deepEqual(periods, [
    { priority: 0, shutdownGracePeriodSeconds: 20 },
    { priority: 2_000_000_000, shutdownGracePeriodSeconds: 10 },
  ]);
  assert.equal(requestedMs(periods), 30_000);
  assert.deepEqual(shutdownPeriods(defaultConfiguration()), []);
  assert.deepEqual(shutdownPeriods({ ...config, featureGates: { GracefulNodeShutdown: false } }), []);
  const given = [
    { priority: 100, shutdownGracePeriodSeconds: 1 },
    { priority: 10, shutdownGracePeriodSeconds: 2 },
  ];
  const pods = [undefined, -5, 10, 99, 100, 3_000].map((priority) => podOf(`${priority}`, priority));
  const groups = groupPods(
    shutdownPeriods({ ...defaultConfiguration(), shutdownGracePeriodByPodPriority: given }),
    pods,
  );
  assert.deepEqual(
    groups.map(({ period, pods: each }) => [period.priority, each.map((one) => one.pod().metadata.name)]),
    [
      [10, ["undefined", "-5", "10", "99"]],
      [100, ["100", "3000"]],
    ],
  );
});

test("dbus: a message reads as it was written, in parts, in either byte order, and after another", () => {
  const message = {
    type: "signal",
    serial: 7,
    path: "/a/b",
    interface: "a.b",
    member: "M",
    signature: "ybusa{sv}(it)as",
    body: [1, true, 4_000_000_000, "über", [["k", { signature: "as", value: ["x", "yy"] }]], [-5, 2n ** 60n], []],
  } as const;
  const writable = { ...message, signature: "ybusa(sv)(it)as" };
  const bytes = encodeMessage(writable);
  for (const length of [0, 15, bytes.length - 1]) assert.equal(decodeMessage(bytes.subarray(0, length)), undefined);
  const read = decodeMessage(Buffer.concat([bytes, bytes]));
  assert.equal(read?.length, bytes.length);
  assert.deepEqual(read?.message.body, message.body);
  assert.equal(read?.message.member, "M");
  // org.freedesktop.DBus.NameAcquired(":1.0"), as a big-endian peer sends it.
  const big = Buffer.from(
    "4204010100000009000000010000000f01016f0000000001 2f000000000000000000000901".replace(/ /g, ""),
    "hex",
  );
  assert.equal(decodeMessage(big), undefined);
  assert.throws(() =>
    decodeMessage(Buffer.from("l\x09\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", "latin1")),
  );
});

const whyNoBus = (() => {
  try {
    execFileSync("dbus-daemon", ["--version"], { stdio: "pipe" });
    return undefined;
  } catch {
    return "needs dbus-daemon";
  }
})();

/** A bus, and on it what logind and systemd answer. */
async function startBus(folder: string) {
  const address = `unix:path=${join(folder, "bus")}`;
  const daemon = spawn(
    "dbus-daemon",
    ["--session", "--nofork", "--nopidfile", `--address=${address}`, "--print-address"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await once(daemon.stdout, "data");
  const bus = await connectDbus(address);
  const ask = {
    destination: "org.freedesktop.DBus",
    path: "/",
    interface: "org.freedesktop.DBus",
    member: "RequestName",
  };
  for (const name of ["org.freedesktop.login1", "org.freedesktop.systemd1"])
    await bus.call({ ...ask, signature: "su", body: [name, 0] });
  const settings = join(folder, "99-kubelet.conf");
  let delayUs = 5_000_000;
  bus.onMessage(({ type, member, serial, sender, body }) => {
    if (type !== "call") return;
    const reply = (signature: string, value: unknown[]) =>
      bus.send({
        type: "reply",
        replySerial: serial,
        ...(sender ? { destination: sender } : {}),
        signature,
        body: value,
      });
    if (member === "Get") return void reply("v", [{ signature: "t", value: delayUs }]);
    assert.deepEqual([member, body], ["KillUnit", ["systemd-logind.service", "all", 1]]);
    void readFile(settings, "utf8").then((text) => {
      delayUs = Number(/InhibitDelayMaxSec=(\d+)/.exec(text)?.[1]) * 1e6;
      reply("", []);
    });
  });
  return {
    address,
    delayUs: () => delayUs,
    prepare: (begins: boolean) => signalShutdown(bus, begins),
    async close() {
      bus.close();
      daemon.kill();
      await once(daemon, "exit");
    },
  };
}

const signalShutdown = (bus: Dbus, begins: boolean): void =>
  void bus.send({
    ...{ type: "signal", path: "/org/freedesktop/login1", interface: "org.freedesktop.login1.Manager" },
    ...{ member: "PrepareForShutdown", signature: "b", body: [begins] },
  });

/** A pod that ends when it is told to, after the others of its kind. */
function worker(name: string, priority: number, ended: string[], seconds?: number) {
  const listeners = new Set<() => void>();
  let stage = "running";
  let told: { verdict: PodVerdict; graceSeconds: number } | undefined;
  return {
    ...podOf(name, priority, seconds),
    stage: () => stage,
    told: () => told,
    onLook(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    evict(verdict: PodVerdict, { graceSeconds }: { graceSeconds: number }) {
      told = { verdict, graceSeconds };
      setImmediate(() => {
        stage = "ended";
        ended.push(name);
        for (const listener of listeners) listener();
      });
    },
  };
}

test("shutdown: logind is made to wait, pods end in their order, new ones are refused, and a cancellation is noticed", {
  skip: whyNoBus ?? false,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "shutdown-"));
  const bus = await startBus(folder);
  const ended: string[] = [];
  const events: string[] = [];
  const waiting: [string, () => void][] = [];
  const said = (text: string) =>
    events.includes(text) ? undefined : new Promise<void>((resolve) => waiting.push([text, resolve]));
  const note = (text: string) => {
    events.push(text);
    for (const [wanted, resolve] of waiting) if (wanted === text) resolve();
  };
  const workers = [worker("critical", 2_000_000_000, ended), worker("a", 0, ended, 5), worker("b", -1, ended)];
  const pids = join(folder, "holders");
  const shutdown = createNodeShutdown({
    periods: shutdownPeriods({
      ...defaultConfiguration(),
      shutdownGracePeriod: 30_000,
      shutdownGracePeriodCriticalPods: 10_000,
    }),
    ...{ folder, clock: realClock, logindFolder: folder, busAddress: bus.address, workers: () => workers },
    log: createLogger({ write: (line) => note(line.replace(/^\S+ +\S+ +/, "").trim()), level: "info" }),
    event: (type, reason, message) => note(`${type} ${reason} ${message}`),
    onChange: () => note(`problems: ${shutdown.problems()}`),
    inhibitor: ["sh", "-c", `echo begin >> ${pids}; trap 'echo end >> ${pids}; kill $!; exit' TERM; sleep 1000 & wait`],
  } satisfies NodeShutdownOptions);
  const stop = new AbortController();
  const running = shutdown.run(stop.signal);
  const holders = async (text: string) => {
    while ((await readFile(pids, "utf8").catch(() => "")) !== text) await new Promise((next) => setTimeout(next, 5));
  };
  try {
    await holders("begin\n");
    assert.equal(bus.delayUs(), 30_000_000);
    assert.equal(shutdown.refuse(), undefined);
    bus.prepare(true);
    await said("pods ended before the machine");
    assert.deepEqual(ended, ["a", "b", "critical"]);
    assert.deepEqual(
      workers.map((one) => one.told()?.graceSeconds),
      [10, 5, 20],
    );
    const { verdict } = workers[1]?.told() ?? {};
    assert.equal(verdict?.reason, "Terminated");
    assert.equal(verdict?.message, "Pod was terminated in response to imminent node shutdown.");
    assert.deepEqual(
      [verdict?.condition?.type, verdict?.condition?.reason],
      ["DisruptionTarget", "TerminationByKubelet"],
    );
    assert.deepEqual(shutdown.problems(), ["node is shutting down"]);
    assert.deepEqual(shutdown.refuse(), {
      reason: "NodeShutdown",
      message: "Pod was rejected as the node is shutting down.",
    });
    assert.ok(events.includes("Normal NodeShutdown Shutdown manager detected shutdown event"));
    // The machine may go now.
    await holders("begin\nend\n");
    const state = JSON.parse(await readFile(join(folder, "graceful_node_shutdown_state"), "utf8")) as object;
    assert.deepEqual(Object.keys(state), ["startTime", "endTime"]);
    bus.prepare(false);
    await said("problems: ");
    await holders("begin\nend\nbegin\n");
    assert.ok(events.includes("Normal NodeShutdown Shutdown manager detected shutdown cancellation"));
    assert.equal(shutdown.refuse(), undefined);
  } finally {
    stop.abort();
    await running;
    await holders("begin\nend\nbegin\nend\n");
    await bus.close();
    await rm(folder, { recursive: true, force: true });
  }
});

test("shutdown: a machine without a message bus is said to be one", async () => {
  const lines: string[] = [];
  const shutdown = createNodeShutdown({
    ...{ periods: [], folder: "/nowhere", clock: realClock, busAddress: "unix:path=/nowhere/bus", workers: () => [] },
    log: createLogger({ write: (line) => lines.push(line), level: "warn" }),
    event: () => undefined,
    onChange: () => undefined,
  });
  await shutdown.run(new AbortController().signal);
  assert.match(lines.join(""), /nobody tells when the machine shuts down.*ENOENT/);
});
