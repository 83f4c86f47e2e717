import assert from "node:assert/strict";
import { test } from "node:test";
import { realClock, silentLogger } from "#base";
import { openSqliteStore } from "#store";
import { keepKubernetesService } from "./kubernetes-service.ts";
import type { StoredKind } from "./resource.ts";

test("kubernetes service: made again when it is deleted, not when it changes, and not after the end", async () => {
  const store = await openSqliteStore({ path: ":memory:", clock: realClock });
  const kind = { prefix: "/registry/services/", namespaced: true } as StoredKind; // all that the key is made of
  const key = "/registry/services/default/kubernetes";
  let restored = Promise.withResolvers<void>();
  let count = 0;
  const end = keepKubernetesService({ store, log: silentLogger }, [
    {
      kind,
      async restore() {
        count++;
        restored.resolve();
      },
    },
  ]);
  const put = () => store.transact({ compare: [], operations: [{ type: "put", key, value: Buffer.from("{}") }] });
  const remove = () => store.transact({ compare: [], operations: [{ type: "delete", key }] });
  await put();
  await put();
  assert.equal(count, 0);
  await remove();
  await restored.promise;
  assert.equal(count, 1);
  end();
  restored = Promise.withResolvers();
  await put();
  await remove();
  assert.equal(count, 1);
  await store.close();
});
