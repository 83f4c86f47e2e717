import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap, Pod, Secret, ServiceAccount } from "#api";
import { formatTime } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testNow } from "../lib/fixture.ts";
import { legacyTokenCleaner } from "./controller.ts";
import { dateOf, tokenFate } from "./reconcile.ts";

const dayMs = 86_400_000;
const days = (count: number) => dateOf(testNow - count * dayMs);
const secret = (name: string, labels: Record<string, string> = {}, ageDays = 400): Secret => ({
  ...{ apiVersion: "v1", kind: "Secret", type: "kubernetes.io/service-account-token" },
  metadata: {
    ...{ name, namespace: "default", labels, creationTimestamp: formatTime(testNow - ageDays * dayMs) },
    annotations: { "kubernetes.io/service-account.name": "robot" },
  },
});

test("legacy tokens: what becomes of one", () => {
  const [used, invalid] = ["kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"];
  const cases: [Secret, string | undefined, inUse?: boolean][] = [
    [secret("a"), "invalidate"],
    [secret("a", {}, 364), undefined],
    [secret("a"), undefined, true],
    [secret("a", { [used]: days(366) }), "invalidate"],
    [secret("a", { [used]: days(365) }), undefined],
    [secret("a", { [used]: "yesterday" }), undefined],
    [secret("a", { [invalid]: days(365) }), undefined],
    [secret("a", { [invalid]: days(366) }), "delete"],
    [secret("a", { [invalid]: "2025-02-31" }), "invalidate"],
    [secret("a", { [invalid]: days(366), [used]: days(3) }), undefined],
    [secret("a", { [invalid]: days(366) }), undefined, true],
  ];
  for (const [token, fate, inUse = false] of cases) {
    const now = { now: testNow, unusedMs: 365 * dayMs, inUse: () => inUse };
    assert.equal(tokenFate(token, now), fate, JSON.stringify(token.metadata.labels));
  }
});

test("legacy token cleaner: only those that the account names and no pod mounts", async () => {
  const transport = new FakeTransport();
  const at = (resource: string, namespace = "default") => `/api/v1/namespaces/${namespace}/${resource}`;
  const named = (kind: string, name: string, namespace = "default") => ({
    ...{ apiVersion: "v1", kind, metadata: { name, namespace } },
  });
  const robot = { ...named("ServiceAccount", "robot"), secrets: ["free", "mounted", "over"].map((name) => ({ name })) };
  transport.create(at("serviceaccounts"), robot as ServiceAccount);
  const containers = [
    { name: "c", env: [{ name: "T", valueFrom: { secretKeyRef: { name: "mounted", key: "token" } } }] },
  ];
  transport.create(at("pods"), { ...named("Pod", "p"), spec: { containers } } as Pod);
  const tracking = named("ConfigMap", "kube-apiserver-legacy-service-account-token-tracking", "kube-system");
  transport.create(at("configmaps", "kube-system"), { ...tracking, data: { since: days(367) } } as ConfigMap);
  for (const name of ["free", "mounted", "asked"]) transport.create(at("secrets"), secret(name));
  transport.create(at("secrets"), secret("over", { "kubernetes.io/legacy-token-invalid-since": days(366) }));
  const controller = runController(legacyTokenCleaner, transport);
  const labels = (name: string) => transport.objects.get(`${at("secrets")}/${name}`)?.metadata?.labels;
  await controller.until(() => !labels("over") && Object.keys(labels("free") ?? {}).length === 1);
  assert.deepEqual(labels("free"), { "kubernetes.io/legacy-token-invalid-since": days(0) });
  assert.deepEqual([labels("mounted"), labels("asked")], [{}, {}]);
  await controller.stop();
});
