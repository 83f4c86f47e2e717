import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "#api";
import { createLogger, FakeClock } from "#base";
import { defaultConfiguration } from "../config/configuration.ts";
import { podOf, runtimeOf } from "../core/testing.ts";
import { type CriClient, CriError } from "../cri/client.ts";
import type { PodCgroups } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import { createNodeResources } from "./node-resources.ts";

async function setUp(
  t: { after(end: () => Promise<void>): void },
  config: object,
  more: { swapBytes?: number; driver?: string } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "resources-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const updates: string[] = [];
  const cri = {
    runtime: {
      async updateContainerResources({ containerId, linux }: { containerId: string; linux: { cpusetCpus: string } }) {
        updates.push(`${containerId} ${linux.cpusetCpus}`);
      },
      async runtimeConfig() {
        if (more.driver === undefined) throw new CriError("RuntimeConfig", "UNIMPLEMENTED", "unknown method");
        return { linux: { cgroupDriver: more.driver } };
      },
    },
  } as unknown as CriClient; // all that it is asked
  const clock = new FakeClock(0);
  const resources = await createNodeResources({
    config: { ...defaultConfiguration(), ...config },
    machine: { memoryBytes: 2 ** 30, swapBytes: more.swapBytes ?? 0 } as MachineFacts, // what it reads
    cgroups: { hierarchy: undefined, pageSizes: [] } as unknown as PodCgroups, // what it reads
    folder,
    cri,
    clock,
    log: createLogger({ write: () => undefined }),
    allocatable: () => ({}),
  });
  return { resources, updates, clock };
}

test("node resources: what this node can't do doesn't start", async (t) => {
  const cases: [name: string, config: object, more: { swapBytes?: number; driver?: string }, message: RegExp][] = [
    ["swap is on", {}, { swapBytes: 1 }, /^Error: running with swap on is not supported, please disable swap/],
    ["memory manager", { memoryManagerPolicy: "Static" }, {}, /memoryManagerPolicy Static/],
    [
      "the runtime uses systemd",
      { containerRuntimeEndpoint: "/r" },
      { driver: "SYSTEMD" },
      /what the container runtime uses/,
    ],
    ["systemd is configured", { cgroupDriver: "systemd" }, {}, /is configured/],
    ["nothing is reserved", { cpuManagerPolicy: "static" }, {}, /greater than zero/],
  ];
  for (const [name, config, more, message] of cases) await assert.rejects(setUp(t, config, more), message, name);
  await setUp(t, { failSwapOn: false }, { swapBytes: 1 });
  await setUp(t, { containerRuntimeEndpoint: "/r", cgroupDriver: "systemd" }, { driver: "CGROUPFS" });
});

test("node resources: running containers follow the shared cpus", async (t) => {
  const { resources, updates, clock } = await setUp(t, {
    cpuManagerPolicy: "static",
    kubeReserved: { cpu: "500m" },
    cpuManagerReconcilePeriod: 10_000,
  });
  const whole = { requests: { cpu: "1", memory: "1Mi" }, limits: { cpu: "1", memory: "1Mi" } };
  const own: Pod = { metadata: { name: "own", uid: "own" }, spec: { containers: [{ name: "c", resources: whole }] } };
  const shared = podOf({ containers: ["s"] });
  const running = { pod: shared, runtime: runtimeOf(shared, { containers: { s: {} } }) };
  const pods = [running, { pod: own, runtime: runtimeOf(own, {}) }];
  resources.attach({ pods: () => pods, onHealth: () => undefined, onAmounts: () => undefined, claimsOf: () => [] });
  const refused = await resources.allocate(own);
  if (refused) return; // a machine with one cpu has none to give
  assert.equal(resources.hasOwnCpus(own), true);
  const { cpusetCpus, cpuQuota } = resources.linux(own, own.spec!.containers[0]!);
  assert.deepEqual([cpusetCpus, cpuQuota], ["1", -1]);
  const everybodys = resources.linux(shared, shared.spec!.containers[0]!).cpusetCpus ?? "";
  const stop = new AbortController();
  const ended = resources.run(stop.signal);
  pods.pop();
  resources.released();
  stop.abort();
  await ended;
  const all = resources.linux(shared, shared.spec!.containers[0]!).cpusetCpus;
  assert.deepEqual(updates.at(-1), `s-0 ${all}`);
  assert.notEqual(all, everybodys);
  clock.advance(1);
});
