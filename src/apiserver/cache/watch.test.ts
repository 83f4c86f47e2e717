import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FakeClock } from "#base";
import type { Status, WatchEvent } from "#machinery";
import { configMap, configMaps, startTestServer, type TestObject, type TestServer } from "../test-server.ts";
import { bookmarkEveryMs } from "./bookmarks.ts";

const clock = new FakeClock();
let api: TestServer;
before(async () => {
  api = await startTestServer({ clock });
});
after(() => api.close());

const merge = { contentType: "application/merge-patch+json" };

interface Watching {
  readonly events: WatchEvent[];
  object(position: number): TestObject;
  /** Resolves when this many have come. */
  count(number: number): Promise<string[]>;
  stop(): Promise<void>;
  readonly done: Promise<void>;
}

const print = ({ type, object }: WatchEvent) => `${type} ${(object as TestObject).metadata.name ?? ""}`;

function watch(query: Record<string, string | number | boolean>, path = configMaps): Watching {
  const events: WatchEvent[] = [];
  const waiting: { number: number; resolve: (texts: string[]) => void }[] = [];
  const stop = new AbortController();
  const done = api.transport.watch({ method: "GET", path, query, signal: stop.signal }, (event) => {
    events.push(event);
    for (const each of waiting) if (events.length >= each.number) each.resolve(events.map(print));
  });
  return {
    events,
    done,
    object: (position) => events.at(position)?.object as TestObject,
    count: (number) =>
      new Promise((resolve) => {
        if (events.length >= number) resolve(events.map(print));
        else waiting.push({ number, resolve });
      }),
    async stop() {
      stop.abort();
      await done;
    },
  };
}

// conformance: Watchers should observe add, update, and delete watch notifications on configmaps
test("watch: the state first, then every change once, in order", async () => {
  await api.call("POST", configMaps, configMap("a"));
  const watching = watch({});
  await watching.count(1);
  await api.call("POST", configMaps, configMap("b"));
  await api.call("PATCH", `${configMaps}/a`, { data: { x: "1" } }, merge);
  await api.call("DELETE", `${configMaps}/b`);
  assert.deepEqual(await watching.count(4), ["ADDED a", "ADDED b", "MODIFIED a", "DELETED b"]);
  await watching.stop();
});

// conformance: Watchers should be able to start watching from a specific resource version
// conformance: Watchers should be able to restart watching from the last resource version observed by the previous watch
test("watch: resumes after a revision without losing or repeating", async () => {
  const { metadata } = await api.call("GET", configMaps);
  await api.call("POST", configMaps, configMap("c"));
  await api.call("DELETE", `${configMaps}/c`);
  const watching = watch({ resourceVersion: metadata.resourceVersion ?? "" });
  assert.deepEqual(await watching.count(2), ["ADDED c", "DELETED c"]);
  await api.call("POST", configMaps, configMap("d"));
  assert.deepEqual(await watching.count(3), ["ADDED c", "DELETED c", "ADDED d"]);
  await watching.stop();
});

// conformance: Watchers should observe an object deletion if it stops meeting the requirements of the selector
test("watch: objects that come to match are added, those that stop are deleted, with the new revision", async () => {
  const watching = watch({ labelSelector: "in=yes" });
  await api.call("POST", configMaps, configMap("e"));
  await api.call("PATCH", `${configMaps}/e`, { metadata: { labels: { in: "yes" } } }, merge);
  await api.call("PATCH", `${configMaps}/e`, { data: { x: "1" } }, merge);
  const out = await api.call("PATCH", `${configMaps}/e`, { metadata: { labels: { in: "no" } } }, merge);
  assert.deepEqual(await watching.count(3), ["ADDED e", "MODIFIED e", "DELETED e"]);
  const last = watching.object(-1);
  assert.deepEqual(last.metadata.labels, { in: "yes" });
  assert.equal(last.metadata.resourceVersion, out.metadata.resourceVersion);
  await watching.stop();
});

test("watch: one object by name", async () => {
  const watching = watch({ fieldSelector: "metadata.name=f" });
  await api.call("POST", configMaps, configMap("other"));
  await api.call("POST", configMaps, configMap("f"));
  assert.deepEqual(await watching.count(1), ["ADDED f"]);
  await watching.stop();
});

test("watch: too old a revision is answered with an error event, and the watch ends", async () => {
  const { server } = api;
  // Longer than the history keeps.
  const big = "x".repeat(60_000);
  const { metadata } = await api.call("GET", configMaps);
  for (let i = 0; i < 150; i++) await api.call("PATCH", `${configMaps}/a`, { data: { big: `${big}${i}` } }, merge);
  await api.store.compact(server.caches.revision);
  const watching = watch({ resourceVersion: metadata.resourceVersion ?? "" });
  await watching.done;
  assert.equal(watching.events.length, 1);
  const status = watching.events[0]?.object as Status;
  assert.equal(status.reason, "Expired");
  assert.match(status.message ?? "", /^too old resource version: \d+ \(\d+\)$/);
});

test("watch: what the cache has forgotten comes from the store's history", async () => {
  const big = "x".repeat(60_000);
  const { metadata } = await api.call("GET", configMaps);
  const changes = 150;
  for (let i = 0; i < changes; i++) await api.call("PATCH", `${configMaps}/a`, { data: { big: `${big}${i}` } }, merge);
  const watching = watch({ resourceVersion: metadata.resourceVersion ?? "", fieldSelector: "metadata.name=a" });
  const texts = await watching.count(changes);
  assert.deepEqual(new Set(texts), new Set(["MODIFIED a"]));
  await api.call("PATCH", `${configMaps}/a`, { data: { big: null } }, merge);
  await watching.count(changes + 1);
  const revisions = watching.events.map(({ object }) => Number((object as TestObject).metadata.resourceVersion));
  assert.deepEqual(
    revisions,
    [...new Set(revisions)].sort((a, b) => a - b),
  );
  await watching.stop();
});

test("watch: sendInitialEvents ends the state with a marked bookmark", async () => {
  const watching = watch({
    sendInitialEvents: true,
    resourceVersionMatch: "NotOlderThan",
    allowWatchBookmarks: true,
    fieldSelector: "metadata.name=a",
  });
  assert.deepEqual(await watching.count(2), ["ADDED a", "BOOKMARK "]);
  const { metadata } = watching.object(1);
  assert.deepEqual(metadata.annotations, { "k8s.io/initial-events-end": "true" });
  await watching.stop();
});

test("watch: bookmarks tell where the state ends, how far the server is, every minute and before the end", async () => {
  const watching = watch({ allowWatchBookmarks: true, fieldSelector: "metadata.name=none", timeoutSeconds: 100 });
  await watching.count(1);
  const { metadata: start } = watching.object(0);
  assert.deepEqual(start.annotations, { "k8s.io/initial-events-end": "true" });
  await api.call("POST", configMaps, configMap("elsewhere"));
  clock.advance(bookmarkEveryMs);
  await watching.count(2);
  const { metadata } = watching.object(1);
  assert.equal(metadata.resourceVersion, String(api.server.caches.revision));
  assert.notEqual(metadata.resourceVersion, start.resourceVersion);
  clock.advance(38_000);
  await watching.count(3);
  clock.advance(2_000);
  await watching.done;
  assert.deepEqual(
    watching.events.map(({ type }) => type),
    ["BOOKMARK", "BOOKMARK", "BOOKMARK"],
  );
});

test("watch: pods of one node", async () => {
  const pods = "/api/v1/namespaces/default/pods";
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  const pod = (name: string, nodeName?: string) => ({
    metadata: { name },
    spec: { containers: [{ name: "c", image: "i" }], ...(nodeName && { nodeName }) },
  });
  const watching = watch({ fieldSelector: "spec.nodeName=n1" }, "/api/v1/pods");
  await api.call("POST", pods, pod("there", "n2"));
  await api.call("POST", pods, pod("waiting"));
  await api.call("POST", `${pods}/waiting/binding`, {
    metadata: { name: "waiting" },
    target: { kind: "Node", name: "n1" },
  });
  await api.call("DELETE", `${pods}/waiting`, { gracePeriodSeconds: 0 });
  assert.deepEqual(await watching.count(2), ["ADDED waiting", "DELETED waiting"]);
  const { items } = await api.call("GET", "/api/v1/pods", undefined, { query: { fieldSelector: "spec.nodeName=n2" } });
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ["there"],
  );
  await watching.stop();
});
