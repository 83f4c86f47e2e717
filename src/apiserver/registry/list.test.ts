import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FakeClock } from "#base";
import { isStatusError, type StatusError } from "#machinery";
import { configMap, configMaps, startTestServer, type TestObject, type TestServer } from "../test-server.ts";

let api: TestServer;
before(async () => {
  api = await startTestServer();
});
after(() => api.close());

const names = ({ items }: TestObject) => items.map(({ metadata }) => metadata.name);
const list = (query: Record<string, string | number>, path = configMaps) => api.call("GET", path, undefined, { query });

async function refused(work: Promise<unknown>): Promise<StatusError> {
  try {
    await work;
  } catch (error) {
    if (isStatusError(error)) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}

test("list: pages show one state of the world, whatever is written between them", async () => {
  for (const name of ["a", "b", "c", "d", "e"]) await api.call("POST", configMaps, configMap(name));
  const first = await list({ limit: 2 });
  assert.deepEqual(names(first), ["a", "b"]);
  assert.equal(first.metadata.remainingItemCount, 3);
  await api.call("DELETE", `${configMaps}/c`);
  await api.call("POST", configMaps, configMap("bb"));
  const second = await list({ limit: 2, continue: first.metadata.continue ?? "" });
  assert.deepEqual(names(second), ["c", "d"]);
  assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
  const third = await list({ limit: 2, continue: second.metadata.continue ?? "" });
  assert.deepEqual(names(third), ["e"]);
  assert.equal(third.metadata.continue, undefined);
  assert.deepEqual(names(await list({})), ["a", "b", "bb", "d", "e"]);
});

test("list: an exact revision is read from the store when the cache has moved on", async () => {
  const { metadata } = await list({});
  await api.call("POST", configMaps, configMap("later"));
  const then = await list({ resourceVersion: metadata.resourceVersion ?? "", resourceVersionMatch: "Exact" });
  assert.equal(names(then).includes("later"), false);
  const page = await list({ resourceVersion: metadata.resourceVersion ?? "", resourceVersionMatch: "Exact", limit: 2 });
  assert.equal(page.items.length, 2);
  assert.equal(page.metadata.remainingItemCount, then.items.length - 2);
});

test("list: history that was compacted is gone, and a page's token can go on inconsistently", async () => {
  const first = await list({ limit: 1 });
  for (let i = 0; i < 12; i++) {
    await api.call("POST", configMaps, configMap(`filler-${i}`));
    // New first pages push the snapshot of this one out.
    await list({ limit: 1 });
  }
  await api.store.compact(api.store.revision());
  const exact = { resourceVersion: first.metadata.resourceVersion ?? "", resourceVersionMatch: "Exact" };
  assert.equal((await refused(list(exact))).reason, "Expired");
  const error = await refused(list({ limit: 1, continue: first.metadata.continue ?? "" }));
  assert.equal(error.code, 410);
  const { continue: token } = error.status.metadata as { continue: string };
  const rest = await list({ continue: token });
  assert.equal(names(rest).includes("filler-0"), true);
  assert.equal(names(rest).includes(first.items[0]?.metadata.name ?? ""), false);
});

// conformance: Servers with support for API chunking should support continue listing from the last key if the original version has
// been compacted away, though the list is inconsistent
test("list: pages of a kind that nobody writes to expire too", async (t) => {
  const clock = new FakeClock();
  const quiet = await startTestServer({ clock });
  t.after(() => quiet.close());
  for (const name of ["a", "b"]) await quiet.call("POST", configMaps, configMap(name));
  const first = await quiet.call("GET", configMaps, undefined, { query: { limit: 1 } });
  await quiet.call("POST", "/api/v1/namespaces", { metadata: { name: "elsewhere" } });
  await quiet.store.compact(quiet.store.revision());
  clock.advance(120_000);
  const next = quiet.call("GET", configMaps, undefined, {
    query: { limit: 1, continue: first.metadata.continue ?? "" },
  });
  assert.equal((await refused(next)).reason, "Expired");
});

test("list: a revision from the future is waited for, then refused", async () => {
  const future = api.store.revision() + 1;
  const waiting = list({ resourceVersion: future });
  await api.call("POST", configMaps, configMap("arrived"));
  assert.equal(names(await waiting).includes("arrived"), true);
  const error = await refused(list({ resourceVersion: future + 1_000_000, resourceVersionMatch: "Exact" }));
  assert.match(error.message, /^Timeout: Too large resource version: \d+, current: \d+$/);
});

test("list: labels and fields", async () => {
  await api.call("POST", configMaps, configMap("red", {}, { colour: "red" }));
  await api.call("POST", configMaps, configMap("blue", {}, { colour: "blue" }));
  assert.deepEqual(names(await list({ labelSelector: "colour in (red,green)" })), ["red"]);
  assert.deepEqual(names(await list({ fieldSelector: "metadata.name=blue" })), ["blue"]);
  assert.deepEqual(names(await list({ fieldSelector: "metadata.namespace=none" })), []);
  assert.match((await refused(list({ fieldSelector: "data.x=1" }))).message, /is not a known field selector/);
});

test("list: namespaces whose names begin alike stay apart", async () => {
  for (const namespace of ["n", "n-1", "n0"]) {
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    await api.call("POST", `/api/v1/namespaces/${namespace}/configmaps`, configMap(`in-${namespace}`));
  }
  assert.deepEqual(names(await list({}, "/api/v1/namespaces/n/configmaps")), ["in-n"]);
  const all = names(await list({ labelSelector: "!none" }, "/api/v1/configmaps"));
  for (const namespace of ["n", "n-1", "n0"]) assert.equal(all.includes(`in-${namespace}`), true);
});
