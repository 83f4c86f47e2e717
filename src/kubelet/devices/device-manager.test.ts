import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import type { Pod, ResourceClaim } from "#api";
import { realClock, silentLogger } from "#base";
import { createClient } from "#client";
import { type DeviceDriver, FakeTransport, startDeviceDriver } from "#testing";
import { applyCdi, knowsCdi } from "./cdi.ts";
import { createDeviceManager } from "./device-manager.ts";

const group = "/apis/resource.k8s.io/v1";
const claimsPath = `${group}/namespaces/ns/resourceclaims`;
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function start() {
  const folder = await mkdtemp(join(tmpdir(), "devices-"));
  endings.push(() => rm(folder, { recursive: true }));
  const transport = new FakeTransport();
  const client = createClient(transport);
  const waiters = new Set<() => void>();
  const changes: unknown[] = [];
  const look = () => {
    for (const each of [...waiters]) each();
  };
  const startManager = async () => {
    const manager = await createDeviceManager({
      client,
      nodeName: "n1",
      folder,
      clock: realClock,
      log: silentLogger,
      wipingDelayMs: 20,
      onChange(uids) {
        changes.push(uids);
        look();
      },
    });
    const stopper = new AbortController();
    const running = manager.run(stopper.signal);
    const stop = async () => {
      stopper.abort();
      await running;
    };
    endings.push(stop);
    return { manager, stop };
  };
  transport.intercept = () => {
    setImmediate(look);
    return undefined;
  };
  return {
    folder,
    transport,
    changes,
    startManager,
    driver: async (versions?: ("v1" | "v1beta1")[]): Promise<DeviceDriver> => {
      const driver = await startDeviceDriver({
        name: "d.io",
        nodeName: "n1",
        nodeFolder: folder,
        cdiFolder: join(folder, "cdi"),
        client,
        devices: [{ name: "gpu" }],
        ...(versions ? { versions } : {}),
      });
      endings.push(() => driver.stop());
      return driver;
    },
    /** Woken by requests and by the manager; each test's end comes from a driver, so it can't wait in vain. */
    until: (condition: () => unknown) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (!condition()) return;
          waiters.delete(check);
          resolve();
        };
        waiters.add(check);
        check();
      }),
    slices: () => [...transport.objects.values()].filter(({ kind }) => kind === "ResourceSlice").length,
  };
}

const claim = (name: string, reservedFor = ["p"]): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name, namespace: "ns", uid: `uid-${name}` },
  spec: {},
  status: {
    allocation: { devices: { results: [{ request: "r", driver: "d.io", pool: "n1", device: "gpu" }] } },
    reservedFor: reservedFor.map((pod) => ({ resource: "pods", name: pod, uid: `uid-${pod}` })),
  },
});
const pod = (name = "p", change: Partial<Pod> = {}): Pod => ({
  metadata: { name, namespace: "ns", uid: `uid-${name}` },
  spec: {
    containers: [{ name: "c", resources: { claims: [{ name: "gpu", request: "r" }] } }, { name: "d" }],
    resourceClaims: [{ name: "gpu", resourceClaimName: "x" }],
  },
  ...change,
});
const container = (of: Pod, at: number) => of.spec?.containers[at] as NonNullable<Pod["spec"]>["containers"][number];

test("device manager: prepares claims for pods, gives containers their devices, takes them back with the last pod", async () => {
  const { startManager, driver, until, transport, changes, folder } = await start();
  const { manager } = await startManager();
  transport.create(claimsPath, claim("x", ["p", "q"]));
  await assert.rejects(manager.prepare(pod()), /^Error: prepare dynamic resources: DRA driver d.io is not registered$/);
  const { calls } = await driver();
  await until(() => changes.includes("all"));
  await manager.prepare(pod());
  await manager.prepare(pod("q"));
  const id = "d.io/test=uid-x-r-gpu";
  assert.deepEqual(manager.cdiDevices(pod(), container(pod(), 0)), [id]);
  assert.deepEqual(manager.cdiDevices(pod(), container(pod(), 1)), []);
  const config = await applyCdi({ envs: [{ key: "A", value: Buffer.from("b") }] }, [id], [join(folder, "cdi")]);
  assert.deepEqual(
    config.envs?.map(({ key, value }) => `${key}=${value}`),
    ["A=b", "DEVICE_r=gpu"],
  );
  await assert.rejects(
    applyCdi({}, ["d.io/test=none"], [join(folder, "cdi")]),
    /unresolvable CDI devices d.io\/test=none/,
  );
  await manager.unprepare(pod());
  assert.ok(!calls.includes("unprepare x"));
  await manager.unprepare(pod("q"));
  assert.deepEqual(
    calls.filter((call) => call.endsWith("x")),
    ["prepare x", "unprepare x"],
  );
  assert.deepEqual(await readdir(join(folder, "cdi")), []);
});

test("device manager: what a driver refuses, and who may not use a claim", async () => {
  const { startManager, driver, until, transport, changes } = await start();
  const { manager } = await startManager();
  const refusing = await driver(["v1beta1"]);
  await until(() => changes.includes("all"));
  transport.create(claimsPath, claim("x"));
  refusing.failure = "no";
  await assert.rejects(
    manager.prepare(pod()),
    /prepare dynamic resources: NodePrepareResources failed for ResourceClaim x: no$/,
  );
  refusing.failure = undefined;
  await manager.prepare(pod());
  await assert.rejects(manager.prepare(pod("q")), /pod q \(uid-q\) is not allowed to use ResourceClaim x \(uid-x\)$/);
  transport.remove(`${claimsPath}/x`);
  transport.create(claimsPath, { ...claim("x", ["q"]), metadata: { name: "x", namespace: "ns", uid: "other" } });
  await assert.rejects(
    manager.prepare(pod("q")),
    /old ResourceClaim with same name x and different UID uid-x still exists/,
  );
});

test("device manager: a node that was restarted takes back what its pods had", async () => {
  const { startManager, driver, until, transport, changes, folder } = await start();
  const first = await startManager();
  const { calls } = await driver();
  await until(() => changes.includes("all"));
  transport.create(claimsPath, claim("x"));
  await first.manager.prepare(pod());
  await first.stop();
  const { Data } = JSON.parse(await readFile(join(folder, "dra_manager_state"), "utf8")) as { Data: string };
  assert.deepEqual(JSON.parse(Data).ClaimInfoStateList[0].PodUIDs, { "uid-p": {} });
  changes.length = 0;
  const { manager } = await startManager();
  await until(() => changes.includes("all"));
  await manager.reconcile(new Set(["uid-p"]));
  assert.ok(!calls.includes("unprepare x"));
  await manager.reconcile(new Set());
  assert.ok(calls.includes("unprepare x"));
});

test("device manager: slices go when a node starts, and with a driver that is gone for long", async () => {
  const { startManager, driver, until, transport, changes } = await start();
  const wipes = () =>
    transport.requests
      .filter(({ method, path }) => method === "DELETE" && path === `${group}/resourceslices`)
      .map(({ query }) => query?.fieldSelector);
  await startManager();
  const running = await driver();
  await until(() => changes.includes("all"));
  await running.stop();
  await until(() => wipes().length === 2);
  assert.deepEqual(wipes(), ["spec.nodeName=n1", "spec.nodeName=n1,spec.driver=d.io"]);
});

test("cdi: containerd before 2.0 is taken not to know it", () => {
  const known = (name: string, version: string) => knowsCdi({ name, version });
  assert.deepEqual(
    [known("containerd", "1.6.20~ds1"), known("containerd", "v2.1.0"), known("cri-o", "1.30")],
    [false, true, true],
  );
});
