import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { claimProtectionController, volumeProtectionController } from "./controller.ts";
import { claimFinalizer, usesClaim, volumeFinalizer } from "./reconcile.ts";

const claimsPath = "/api/v1/namespaces/default/persistentvolumeclaims";
const podsPath = "/api/v1/namespaces/default/pods";
const volumesPath = "/api/v1/persistentvolumes";
const deletionTimestamp = "2026-01-01T00:00:00Z";

const claim = (metadata: PersistentVolumeClaim["metadata"]): PersistentVolumeClaim => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", namespace: "default", uid: "c1", ...metadata },
  spec: {},
});
const user = (nodeName: string | undefined): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", uid: "p1" },
  spec: {
    nodeName,
    containers: [{ name: "c" }],
    volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }],
  },
});
const finalizersAt = (transport: FakeTransport, path: string) =>
  transport.objects.get(path)?.metadata?.finalizers ?? [];

// conformance: PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC
test("claim protection: a deleted claim goes when no pod on a node uses it any more", async () => {
  const transport = new FakeTransport();
  const running = runController(claimProtectionController, transport);
  transport.create(podsPath, user("n"));
  transport.create(claimsPath, claim({ finalizers: [claimFinalizer, "other"], deletionTimestamp }));
  transport.create(claimsPath, claim({ name: "free", finalizers: [claimFinalizer, "other"], deletionTimestamp }));
  await running.until(() => finalizersAt(transport, `${claimsPath}/free`).length === 1);
  assert.deepEqual(finalizersAt(transport, `${claimsPath}/data`), [claimFinalizer, "other"]);
  transport.remove(`${podsPath}/p`);
  await running.until(() => finalizersAt(transport, `${claimsPath}/data`).length === 1);
  assert.deepEqual(finalizersAt(transport, `${claimsPath}/data`), ["other"]);
  await running.stop();
});

test("claim protection: a claim from before gets the finalizer", async () => {
  const transport = new FakeTransport();
  const running = runController(claimProtectionController, transport);
  transport.create(claimsPath, claim({}));
  await running.until(() => finalizersAt(transport, `${claimsPath}/data`).includes(claimFinalizer));
  await running.stop();
});

test("claim protection: pods without a node use nothing; their own claims are theirs by owner", () => {
  const own = {
    name: "p-v",
    ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "p1", controller: true }],
  };
  const ephemeral = { ...user("n"), spec: { nodeName: "n", containers: [], volumes: [{ name: "v", ephemeral: {} }] } };
  const stopped = { ...ephemeral.metadata, deletionTimestamp, deletionGracePeriodSeconds: 0 };
  assert.equal(usesClaim(user("n"), claim({})), true);
  assert.equal(usesClaim(user(undefined), claim({})), false);
  assert.equal(usesClaim(ephemeral, claim(own)), true);
  assert.equal(usesClaim(ephemeral, claim({ name: "p-v" })), false);
  assert.equal(usesClaim({ ...ephemeral, metadata: stopped }, claim(own)), false);
});

test("volume protection: a deleted volume goes unless it is bound", async () => {
  const transport = new FakeTransport();
  const running = runController(volumeProtectionController, transport);
  const volume = (name: string, phase: string): PersistentVolume => ({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name, finalizers: [volumeFinalizer, "other"], deletionTimestamp },
    status: { phase },
  });
  transport.create(volumesPath, volume("bound", "Bound"));
  transport.create(volumesPath, volume("free", "Released"));
  await running.until(() => finalizersAt(transport, `${volumesPath}/free`).length === 1);
  assert.deepEqual(finalizersAt(transport, `${volumesPath}/bound`), [volumeFinalizer, "other"]);
  await running.stop();
});
