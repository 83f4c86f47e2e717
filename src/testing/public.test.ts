import assert from "node:assert/strict";
import { test } from "node:test";
import type * as declared from "./package-types.d.ts";
import * as real from "./public.ts";

test("the package: is what its types say, and makes a cluster whose pods run", async () => {
  const { startCluster, scaledClock }: typeof declared = real;
  const cluster = await startCluster({ nodes: 2, clock: scaledClock(20) });
  try {
    assert.deepEqual(cluster.nodes?.names, ["node-0", "node-1"]);
    assert.match(cluster.kubeconfig, new RegExp(`server: "?${cluster.server}`));
    const pods = cluster.client.resource({ group: "", version: "v1", resource: "pods", namespaced: true }, "default");
    await pods.create({
      metadata: { name: "once" },
      spec: { restartPolicy: "Never", containers: [{ name: "c", image: "x" }] },
    });
    for (let phase = ""; phase !== "Succeeded"; ) {
      const pod = (await pods.get("once")) as { status?: { phase?: string } };
      phase = pod.status?.phase ?? "";
      assert.notEqual(phase, "Failed");
      await new Promise((next) => setTimeout(next, 5));
    }
  } finally {
    await cluster.close();
  }
});
