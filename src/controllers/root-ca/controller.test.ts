import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { rootCaController } from "./controller.ts";

const path = "/api/v1/namespaces/ns/configmaps/kube-root-ca.crt";

// conformance: [sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]
test("root authority: is in every namespace, comes back when it is deleted, and is mended when it is changed", async () => {
  const transport = new FakeTransport();
  const { until, stop } = runController(rootCaController, transport, { rootCa: "PEM" });
  transport.create("/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "ns" },
    status: { phase: "Active" },
  } as ConfigMap);
  const found = () => transport.objects.get(path) as ConfigMap | undefined;
  await until(found);
  assert.deepEqual(found()?.data, { "ca.crt": "PEM" });
  transport.remove(path);
  await until(found);
  for (const data of [{ "ca.crt": "other" }, { "ca.crt": "PEM", more: "x" }, {}]) {
    transport.put(path, { ...(found() as ConfigMap), data } as ConfigMap);
    await until(() => found()?.data?.["ca.crt"] === "PEM" && !found()?.data?.more);
  }
  await stop();
});
