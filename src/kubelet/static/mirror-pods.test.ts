import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { realClock, silentLogger } from "#base";
import { createClient, createInformers } from "#client";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import type { PodView } from "../core/types.ts";
import { createMirrorPods } from "./mirror-pods.ts";

const path = "/api/v1/namespaces/default/pods/a-n";
const pod = (hash: string): PodView => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a-n", namespace: "default", uid: hash, annotations: { "kubernetes.io/config.hash": hash } },
  spec: { nodeName: "n", containers: [{ name: "c" }] },
  status: { phase: "Pending" },
});

/** Mirrors whose changes come back as from a watch. */
function start() {
  const api = new FakeTransport();
  const informers = createInformers(createClient(api));
  const mirrors = createMirrorPods({
    ...{ client: createClient(api), clock: realClock, log: silentLogger, nodeName: "n" },
    nodes: informers.of("v1/nodes"),
  });
  const stop = new AbortController();
  const running = informers.run(stop.signal);
  // Later than the mirrors are asked for.
  void api.request({ method: "POST", path: "/api/v1/nodes", body: { metadata: { name: "n" } } });
  const watching = api.watch(
    { method: "GET", path: "/api/v1/namespaces/default/pods", signal: stop.signal },
    ({ type, object }) => {
      mirrors.seen(object as Pod, type === "DELETED" ? "gone" : undefined); // only pods are there
      for (const look of [...waiting]) look();
    },
  );
  const waiting = new Set<() => void>();
  const read = () => api.objects.get(path) as Pod | undefined; // only pods are there
  return {
    api,
    mirrors,
    read,
    until: (wanted: (found: Pod | undefined) => boolean) =>
      new Promise<Pod | undefined>((resolve) => {
        const look = () => {
          if (!wanted(read())) return;
          waiting.delete(look);
          resolve(read());
        };
        waiting.add(look);
        look();
      }),
    async close() {
      mirrors.close();
      stop.abort();
      await Promise.all([watching, running]);
    },
  };
}

test("mirror pod: is made with its owner, made again when deleted, and takes the status", async () => {
  const { mirrors, api, until, close } = start();
  const writer = mirrors.show(pod("h1"));
  const first = await until(Boolean);
  assert.equal(first?.metadata.annotations?.["kubernetes.io/config.mirror"], "h1");
  const nodeUid = api.objects.get("/api/v1/nodes/n")?.metadata?.uid;
  assert.deepEqual(first?.metadata.ownerReferences, [
    { apiVersion: "v1", kind: "Node", name: "n", uid: nodeUid, controller: true },
  ]);
  assert.equal(mirrors.staticUid(first?.metadata.uid ?? ""), "h1");
  writer.write({ phase: "Running" });
  await until((one) => one?.status?.phase === "Running");
  await api.request({ method: "DELETE", path });
  const second = await until((one) => one?.metadata.uid !== first?.metadata.uid && one?.status?.phase === "Running");
  assert.ok(second);
  await close();
});

test("mirror pod: one that is of another text, or being deleted, gives way", async () => {
  const { mirrors, api, read, until, close } = start();
  mirrors.show(pod("h1"));
  const first = await until(Boolean);
  mirrors.show(pod("h2"));
  await until((one) => one?.metadata.annotations?.["kubernetes.io/config.mirror"] === "h2");
  const second = read();
  assert.notEqual(second?.metadata.uid, first?.metadata.uid);
  await api.request({ method: "PATCH", path, body: { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } } });
  await until((one) => one !== undefined && one.metadata.uid !== second?.metadata.uid);
  await close();
});

test("mirror pod: goes with its static pod; strangers go when all sources were read, not before", async () => {
  const { mirrors, api, read, until, close } = start();
  mirrors.show(pod("h1"));
  const mirror = await until(Boolean);
  const stranger = { ...mirror, metadata: { ...mirror?.metadata, name: "b-n", uid: "x" } };
  await api.request({ method: "POST", path: "/api/v1/namespaces/default/pods", body: stranger });
  mirrors.settle();
  await until(() => !api.objects.has("/api/v1/namespaces/default/pods/b-n"));
  assert.ok(read());
  mirrors.hide("default/a-n");
  await until((one) => one === undefined);
  await close();
});

test("mirror pod: the API refuses at first", async () => {
  const { mirrors, api, until, close } = start();
  let refusals = 2;
  api.intercept = ({ method }) => {
    if (method === "POST" && refusals-- > 0)
      throw statusError.forbidden({ group: "", resource: "pods" }, "a-n", "not yet");
    return undefined;
  };
  mirrors.show(pod("h1"));
  await until(Boolean);
  assert.equal(refusals, -1);
  await close();
});
