import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { type KubernetesObject, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { createClient } from "./client.ts";
import { createInformers } from "./informer.ts";

const widgets = { group: "example.com", version: "v1", resource: "widgets", namespaced: true };
const collection = "/apis/example.com/v1/namespaces/ns/widgets";

/** Lets everything that is ready to run do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function start(prepare: (transport: FakeTransport) => void = () => undefined) {
  const transport = new FakeTransport();
  prepare(transport);
  const clock = new FakeClock();
  const informers = createInformers(createClient(transport), { clock });
  const informer = informers.of(widgets);
  const seen: string[] = [];
  informer.addHandler({
    added: (object) => seen.push(`+${object.metadata?.name}`),
    updated: (object) => seen.push(`~${object.metadata?.name}`),
    deleted: (object) => seen.push(`-${object.metadata?.name}`),
  });
  const stop = new AbortController();
  const done = informers.run(stop.signal);
  return {
    transport,
    clock,
    informers,
    informer,
    seen,
    stop: () => {
      stop.abort();
      return done;
    },
  };
}

const widget = (name: string, labels = {}): KubernetesObject => ({ metadata: { name, labels } });

test("informer: lists at version 0, then follows the watch, sharing objects with the server", async () => {
  const { transport, informer, seen, stop } = start((server) => server.create(collection, widget("a")));
  await informer.synced();
  assert.deepEqual(seen, ["+a"]);
  assert.equal(transport.requests[0]?.query?.resourceVersion, "0");
  await settle();
  transport.create(collection, widget("b"));
  transport.put(`${collection}/a`, widget("a", { x: "y" }));
  transport.remove(`${collection}/b`);
  assert.deepEqual(seen, ["+a", "+b", "~a", "-b"]);
  assert.equal(informer.get("ns/a"), transport.objects.get(`${collection}/a`));
  await stop();
  assert.equal(transport.watching, 0);
});

test("informer: resumes a broken watch where it ended, without listing", async () => {
  const { transport, clock, informer, seen, stop } = start();
  await informer.synced();
  await settle();
  transport.create(collection, widget("a"));
  transport.endWatches(new Error("connection reset"));
  transport.create(collection, widget("b"));
  await settle();
  assert.equal(transport.watching, 0, "waits before it tries again");
  clock.advance(1_600);
  await settle();
  assert.deepEqual(seen, ["+a", "+b"]);
  assert.equal(transport.requests.filter(({ query }) => !query?.watch).length, 1);
  await stop();
});

test("informer: a bookmark moves the version it resumes from", async () => {
  const { transport, clock, informer, stop } = start();
  await informer.synced();
  await settle();
  transport.create("/api/v1/namespaces/ns/others", widget("x"));
  transport.bookmark();
  clock.advance(2_000);
  transport.endWatches();
  await settle();
  assert.equal(transport.requests.at(-1)?.query?.resourceVersion, "101");
  await stop();
});

test("informer: after 410 it lists again and reports what went away, came and changed", async () => {
  const { transport, clock, informer, seen, stop } = start((server) => {
    for (const name of ["gone", "kept", "changed", "replaced"]) server.create(collection, widget(name));
  });
  await informer.synced();
  await settle();
  seen.length = 0;
  transport.endWatches(new Error("connection reset"));
  transport.remove(`${collection}/gone`);
  transport.put(`${collection}/changed`, widget("changed", { x: "y" }));
  transport.remove(`${collection}/replaced`);
  transport.create(collection, widget("replaced"));
  transport.create(collection, widget("new"));
  transport.compact();
  await settle();
  clock.advance(1_600);
  await settle();
  await settle();
  assert.deepEqual(seen, ["-gone", "~changed", "-replaced", "+replaced", "+new"]);
  assert.equal(transport.watching, 1);
  await stop();
});

test("informer: an ERROR event with 410 lists again", async () => {
  const { transport, informer, seen, stop } = start();
  await informer.synced();
  await settle();
  transport.sendError(statusError.expired("too old").status);
  transport.create(collection, widget("a"));
  await settle();
  await settle();
  assert.deepEqual(seen, ["+a"]);
  assert.equal(transport.watching, 1);
  await stop();
});

test("informer: a list at a version the server lacks falls back to the newest state, in pages", async () => {
  const pages: unknown[] = [];
  const { informer, seen, stop } = start((server) => {
    server.intercept = ({ query }) => {
      if (query?.watch) return undefined;
      pages.push(query);
      if (query?.resourceVersion) throw statusError.expired("gone");
      return query?.continue
        ? { kind: "WidgetList", apiVersion: "example.com/v1", metadata: { resourceVersion: "7" }, items: [widget("b")] }
        : { kind: "WidgetList", apiVersion: "example.com/v1", metadata: { continue: "c" }, items: [widget("a")] };
    };
  });
  await informer.synced();
  assert.deepEqual(seen, ["+a", "+b"]);
  assert.equal(informer.get("a")?.kind, "Widget", "items of a list get kind and apiVersion");
  assert.equal(pages.length, 3);
  await stop();
});

test("informer: indexes follow changes; a late handler sees what is there", async () => {
  const { transport, informer, stop } = start((server) => server.create(collection, widget("a", { app: "x" })));
  informer.addIndex("app", (object) => (object.metadata?.labels?.app ? [object.metadata.labels.app] : []));
  await informer.synced();
  await settle();
  transport.create(collection, widget("b", { app: "x" }));
  assert.equal(informer.by("app", "x").length, 2);
  transport.put(`${collection}/a`, widget("a", { app: "z" }));
  transport.remove(`${collection}/b`);
  assert.equal(informer.by("app", "x").length, 0);
  assert.equal(informer.by("app", "z")[0]?.metadata?.name, "a");
  assert.equal(informer.list("ns").length, 1);
  assert.equal(informer.list("other").length, 0);
  const late: string[] = [];
  const remove = informer.addHandler({ added: (object) => late.push(object.metadata?.name ?? "") });
  assert.deepEqual(late, ["a"]);
  remove();
  transport.create(collection, widget("c"));
  assert.deepEqual(late, ["a"]);
  await stop();
});

test("informer: a failing handler keeps neither the others nor the watch from going on", async () => {
  const { transport, informer, seen, stop } = start();
  informer.addHandler({
    added: () => {
      throw new Error("bug");
    },
  });
  await informer.synced();
  await settle();
  transport.create(collection, widget("a"));
  transport.create(collection, widget("b"));
  assert.deepEqual(seen, ["+a", "+b"]);
  await stop();
});

test("informer set: the same resource is watched once, selectors apart, and a late one starts at once", async () => {
  const { transport, informers, informer, stop } = start();
  assert.equal(informers.of(widgets), informer);
  await informer.synced();
  const mine = informers.of(widgets, { fieldSelector: "spec.nodeName=n" });
  assert.notEqual(mine, informer);
  await mine.synced();
  await settle();
  assert.equal(transport.watching, 2);
  await stop();
});
