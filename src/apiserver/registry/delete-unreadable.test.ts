import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { realClock } from "#base";
import { isStatusError, type Status } from "#machinery";
import { openSqliteStore, type Store } from "#store";
import { configMap, configMaps, startTestServer, type TestServer } from "../test-server.ts";

const option = "ignoreStoreReadErrorWithClusterBreakingPotential";
const keyOf = (name: string) => `/registry/configmaps/default/${name}`;

let store: Store;
let api: TestServer;
let mayUnsafely = true;

const spoil = (name: string) =>
  store.transact({
    compare: [],
    operations: [{ type: "put", key: keyOf(name), value: Buffer.from("k8s:enc:lost") }],
  });

before(async () => {
  store = await openSqliteStore({ path: ":memory:", clock: realClock });
  const authorizer = {
    authorize: ({ verb }: { verb: string }) => ({
      allowed: mayUnsafely || !verb.startsWith("unsafe-"),
      reason: "no rule",
    }),
  };
  api = await startTestServer({ store, unsafeDeletion: true, authorizer });
});
after(() => api.close());

async function refused(answer: Promise<unknown>): Promise<Status> {
  try {
    await answer;
  } catch (error) {
    if (isStatusError(error)) return error.status;
    throw error;
  }
  throw new Error("was not refused");
}

const remove = (name: string, query: Record<string, string | boolean> = { [option]: true }) =>
  api.call("DELETE", `${configMaps}/${name}`, undefined, { query });

test("unreadable objects: all of them are named, and go when somebody insists", async () => {
  await api.call("POST", configMaps, configMap("whole"));
  for (const name of ["a", "b"]) await spoil(name);
  const { message, reason, details } = await refused(api.call("GET", configMaps, undefined, { query: { limit: 500 } }));
  assert.equal(message, "failed to read one or more configmaps from the storage");
  assert.equal(reason, "StorageReadError");
  assert.deepEqual(
    details?.causes?.map(({ field }) => field),
    [keyOf("a"), keyOf("b")],
  );
  const one = await refused(api.call("GET", `${configMaps}/a`));
  assert.match(
    one.message ?? "",
    /^Internal error occurred: StorageError: corrupt object, Code: 7, Key: \/configmaps\/default\/a, ResourceVersion: 0, AdditionalErrorMsg: data from the storage is not transformable revision=0: /,
  );
  assert.equal((await refused(remove("a", {}))).code, 500);
  for (const name of ["a", "b"]) assert.equal((await remove(name)).kind, "Status");
  const { items } = await api.call("GET", configMaps);
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ["whole"],
  );
});

test("unreadable objects: what can be read isn't deleted like that, nor many at once, nor by everybody", async () => {
  assert.equal(
    (await refused(remove("whole"))).message,
    `configmaps "whole" is invalid: ${option}: Invalid value: true: is exclusively used to delete corrupt object(s), try again by removing this option`,
  );
  assert.equal((await refused(remove("none"))).code, 422);
  const all = refused(api.call("DELETE", configMaps, undefined, { query: { [option]: true } }));
  assert.match((await all).message ?? "", /is not allowed with DELETECOLLECTION, try again after removing the option$/);
  const together = await refused(remove("whole", { [option]: true, dryRun: "All" }));
  assert.match(together.message ?? "", /Invalid value: true: cannot be set together with \.dryRun$/);
  await spoil("c");
  mayUnsafely = false;
  const forbidden = await refused(remove("c"));
  assert.equal(
    forbidden.message,
    'configmaps "c" is forbidden: not permitted to do "unsafe-delete-ignore-read-errors", reason: no rule',
  );
});
