import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { ephemeralVolumeController } from "./controller.ts";

const claimsPath = "/api/v1/namespaces/ns/persistentvolumeclaims";

const pod = (name: string, more: Pod["metadata"] = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "ns", uid: `u-${name}`, ...more },
  spec: {
    containers: [],
    volumes: [
      { name: "plain", emptyDir: {} },
      {
        name: "v",
        ephemeral: { volumeClaimTemplate: { metadata: { labels: { a: "b" } }, spec: { storageClassName: "s" } } },
      },
    ],
  },
});

test("ephemeral volumes: the claim is the pod's, comes again when deleted, and isn't made for pods that go", async () => {
  const transport = new FakeTransport();
  const running = runController(ephemeralVolumeController, transport);
  const claim = (name: string) => transport.objects.get(`${claimsPath}/${name}`);
  transport.create("/api/v1/namespaces/ns/pods", pod("going", { deletionTimestamp: "2026-01-01T00:00:00Z" }));
  transport.create("/api/v1/namespaces/ns/pods", pod("p"));
  await running.until(() => claim("p-v"));
  const { metadata, spec } = claim("p-v") as { metadata: Pod["metadata"]; spec: object }; // a claim has both
  assert.deepEqual(metadata.labels, { a: "b" });
  assert.deepEqual(spec, { storageClassName: "s" });
  assert.deepEqual(metadata.ownerReferences, [
    { apiVersion: "v1", kind: "Pod", name: "p", uid: "u-p", controller: true, blockOwnerDeletion: true },
  ]);
  transport.remove(`${claimsPath}/p-v`);
  await running.until(() => claim("p-v"));
  assert.equal(claim("going-v"), undefined);
  await running.stop();
});

test("ephemeral volumes: somebody else's claim of that name is said, and left alone", async () => {
  const transport = new FakeTransport();
  transport.create(claimsPath, { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "p-v" } });
  const running = runController(ephemeralVolumeController, transport);
  transport.create("/api/v1/namespaces/ns/pods", pod("p"));
  await running.until(() => running.events.length > 0);
  const [{ reason, message } = { reason: "", message: "" }] = running.events;
  assert.equal(reason, "FailedBinding");
  assert.equal(message, "ephemeral volume v: PVC ns/p-v was not created for pod ns/p (pod is not owner)");
  await running.stop();
});
