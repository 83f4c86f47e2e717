import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { persistentVolumeExpander } from "./controller.ts";

const claimsPath = "/api/v1/namespaces/ns/persistentvolumeclaims";

test("expander: a claim that wants more hears who makes it larger, once for each wish", async () => {
  const transport = new FakeTransport();
  const running = runController(persistentVolumeExpander, transport);
  const make = (name: string, source: object) => {
    const volume: PersistentVolume = {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name },
      spec: { ...source, claimRef: { namespace: "ns", name, uid: `u-${name}` } },
    };
    transport.create("/api/v1/persistentvolumes", volume);
    const claim: PersistentVolumeClaim = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name, namespace: "ns", uid: `u-${name}` },
      spec: { volumeName: name, resources: { requests: { storage: "1Gi" } } },
      status: { phase: "Bound", capacity: { storage: "1Gi" } },
    };
    transport.create(claimsPath, claim);
  };
  make("csi", { csi: { driver: "d.dev", volumeHandle: "h" } });
  make("disk", { gcePersistentDisk: { pdName: "d" } });
  const wish = (name: string, storage: string) =>
    transport.patch(`${claimsPath}/${name}`, { spec: { volumeName: name, resources: { requests: { storage } } } });
  wish("csi", "2Gi");
  wish("disk", "2Gi");
  await running.until(() => running.events.length === 2);
  transport.patch(`${claimsPath}/csi`, { metadata: { labels: { a: "b" } } });
  wish("csi", "3Gi");
  await running.until(() => running.events.length === 3);
  const waiting = "PersistentVolumeClaim/csi waiting for an external controller to expand this PVC";
  assert.deepEqual(running.events.map(({ about, message }) => `${about} ${message}`).sort(), [
    waiting,
    waiting,
    "PersistentVolumeClaim/disk CSI migration enabled for kubernetes.io/gce-pd; waiting for external resizer to expand the pvc",
  ]);
  const resizer = () =>
    transport.objects.get(`${claimsPath}/disk`)?.metadata?.annotations?.["volume.kubernetes.io/storage-resizer"];
  await running.until(() => resizer() === "pd.csi.storage.gke.io");
  await running.stop();
});
