import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { persistentVolumeBinder } from "./controller.ts";

const claimsPath = "/api/v1/namespaces/ns/persistentvolumeclaims";
const volumesPath = "/api/v1/persistentvolumes";

const claim = (name: string, spec: PersistentVolumeClaim["spec"] = {}): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name, namespace: "ns", uid: `u-${name}` },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
  status: { phase: "Pending" },
});
const volume = (name: string, spec: PersistentVolume["spec"] = {}, phase = "Pending"): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name, uid: `u-${name}` },
  spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, ...spec },
  status: { phase },
});
const left = { claimRef: { namespace: "ns", name: "gone", uid: "u-gone" } };

function cluster(transport = new FakeTransport()) {
  const running = runController(persistentVolumeBinder, transport);
  const at = (path: string) => transport.objects.get(path) as PersistentVolume | undefined; // claims have a phase too
  const phase = (path: string) => at(path)?.status?.phase;
  return { transport, running, at, phase };
}

test("binder: many claims at once each get a volume of their own", async () => {
  const { transport, running, phase } = cluster();
  const names = Array.from({ length: 20 }, (_, at) => String(at));
  for (const name of names) transport.create(claimsPath, claim(name));
  for (const name of names) transport.create(volumesPath, volume(name));
  await running.until(() => names.every((name) => phase(`${claimsPath}/${name}`) === "Bound"));
  const taken = names.map(
    (name) => (transport.objects.get(`${claimsPath}/${name}`) as PersistentVolumeClaim).spec?.volumeName,
  );
  assert.equal(new Set(taken).size, 20);
  await running.stop();
});

test("binder: stopped after any write, it goes on where it was", async () => {
  for (let writes = 0; writes <= 4; writes++) {
    const transport = new FakeTransport();
    let count = 0;
    transport.intercept = ({ method }) => {
      if (method === "PUT" && ++count > writes) throw new Error("killed");
      return undefined;
    };
    const killed = cluster(transport);
    // Not its own phase, which would be one write more.
    transport.create(volumesPath, volume("a", {}, "Available"));
    transport.create(claimsPath, claim("c"));
    await killed.running.until(() => count > Math.min(writes, 3));
    await killed.running.stop();
    transport.intercept = undefined;
    const { running, at, phase } = cluster(transport);
    await running.until(() => phase(`${claimsPath}/c`) === "Bound" && phase(`${volumesPath}/a`) === "Bound");
    assert.equal(at(`${volumesPath}/a`)?.spec?.claimRef?.uid, "u-c");
    await running.stop();
  }
});

test("binder: a claim that the cache lacks isn't gone", async () => {
  const transport = new FakeTransport();
  const fresh = { ...claim("gone"), metadata: { ...claim("gone").metadata, uid: "u-gone" }, spec: { volumeName: "a" } };
  transport.intercept = ({ path }) => (path === `${claimsPath}/gone` ? fresh : undefined);
  const { running, phase } = cluster(transport);
  transport.create(
    volumesPath,
    volume("a", { ...left, persistentVolumeReclaimPolicy: "Delete", hostPath: { path: "/tmp" } }),
  );
  await running.until(() => phase(`${volumesPath}/a`) === "Bound");
  await running.stop();
});

test("binder: a pod empties a volume, which then is free; when it can't, the volume has failed", async () => {
  const { transport, running, at, phase } = cluster();
  const recycled = { ...left, persistentVolumeReclaimPolicy: "Recycle", hostPath: { path: "/data" } };
  for (const name of ["a", "b"]) {
    const found = volume(name, recycled, "Bound");
    found.metadata.annotations = { "pv.kubernetes.io/bound-by-controller": "yes" };
    transport.create(volumesPath, found);
  }
  const pod = (name: string) => `/api/v1/namespaces/default/pods/recycler-for-${name}`;
  await running.until(() => transport.objects.get(pod("a")) && transport.objects.get(pod("b")));
  transport.patch(pod("a"), { status: { phase: "Succeeded" } });
  await running.until(() => phase(`${volumesPath}/a`) === "Available");
  assert.equal(at(`${volumesPath}/a`)?.spec?.claimRef, undefined);
  assert.equal(transport.objects.get(pod("a")), undefined);
  transport.patch(pod("b"), { status: { phase: "Failed", message: "no luck" } });
  await running.until(() => phase(`${volumesPath}/b`) === "Failed");
  assert.equal(at(`${volumesPath}/b`)?.status?.message, "Recycle failed: failed to recycle volume: no luck");
  assert.deepEqual(running.events.map(({ reason }) => reason).sort(), ["VolumeFailedRecycle", "VolumeRecycled"]);
  await running.stop();
});

test("binder: a folder below /tmp goes with its volume, nothing else does", async (t) => {
  const root = await mkdtemp("/tmp/sampan-binder-");
  t.after(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "v"));
  await writeFile(join(root, "v/f"), "x");
  const { transport, running, at, phase } = cluster();
  const deleted = { ...left, persistentVolumeReclaimPolicy: "Delete" };
  const paths = { good: join(root, "v"), escape: "/tmp/../no/such/tmp/x", other: "/no/such/tmp/x" };
  for (const [name, path] of Object.entries(paths))
    transport.create(volumesPath, volume(name, { ...deleted, hostPath: { path } }, "Bound"));
  // The disk takes its time.
  while (at(`${volumesPath}/good`)) await new Promise((resolve) => setTimeout(resolve, 1));
  await assert.rejects(stat(join(root, "v")), { code: "ENOENT" });
  await running.until(() => ["escape", "other"].every((name) => phase(`${volumesPath}/${name}`) === "Failed"));
  assert.match(at(`${volumesPath}/other`)?.status?.message ?? "", /^host_path deleter only supports \/tmp\/\.\+/);
  await running.stop();
});
