import assert from "node:assert/strict";
import { test } from "node:test";
import { kubeconfigTarget } from "#client";
import { inClusterConfig } from "./in-cluster.ts";

test("in-cluster: nothing outside of a pod, the kubelet's variables and files inside", async () => {
  assert.equal(inClusterConfig({ KUBERNETES_SERVICE_HOST: "10.96.0.1" }), undefined);
  for (const [host, server] of [
    ["10.96.0.1", "https://10.96.0.1:443"],
    ["fd00::1", "https://[fd00::1]:443"],
  ] as const) {
    const config = inClusterConfig({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: "443" });
    assert.equal(config?.clusters.get(config.currentContext)?.server, server);
    // The files aren't here.
    await assert.rejects(kubeconfigTarget(config), /serviceaccount\/ca\.crt/);
  }
});
