import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMap } from "#api";
import { createInformers } from "#client";
import { startCluster } from "#testing";

test("in-process caches: objects come without managedFields, the same one to all, and what is written back keeps its owners", async () => {
  const cluster = await startCluster({ controllers: false });
  const stop = new AbortController();
  try {
    const maps = cluster.client.resource("v1/configmaps", "default");
    const made = await maps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "m" }, data: { a: "1" } });
    assert.equal(made.metadata.managedFields?.length, 1);
    const seen = [1, 2].map(() => {
      const informers = createInformers(cluster.client);
      const informer = informers.of("v1/configmaps");
      return { informer, done: informers.run(stop.signal) };
    });
    await Promise.all(seen.map(({ informer }) => informer.synced()));
    const [mine, theirs] = seen.map(({ informer }) => informer.get("default/m"));
    assert.equal(mine, theirs);
    assert.equal("managedFields" in (mine?.metadata ?? {}), false);
    const changed = await maps.update({ ...(mine as ConfigMap), data: { a: "2" } });
    assert.deepEqual(
      changed.metadata.managedFields?.map(({ fieldsV1 }) => fieldsV1),
      made.metadata.managedFields?.map(({ fieldsV1 }) => fieldsV1),
    );
    stop.abort();
    await Promise.all(seen.map(({ done }) => done));
  } finally {
    await cluster.close();
  }
});
