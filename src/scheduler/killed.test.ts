/** A scheduler that dies at any request, before or after the server carried it out, and its successor: each pod is bound once, nobody is removed twice over. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding, Pod } from "#api";
import { createClient, createInformers } from "#client";
import { type ApiRequest, statusError, type Transport } from "#machinery";
import { FakeTransport } from "#testing";
import { makeNode, makePod } from "./core/fixtures.ts";
import { createScheduler } from "./shell.ts";

const collection = "/api/v1/namespaces/ns/pods";
const podPath = (name: string) => `${collection}/${name}`;
const settle = async () => {
  for (let turn = 0; turn < 12; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** A server that binds a pod once, and counts. */
function createServer() {
  const transport = new FakeTransport();
  const bindings = new Map<string, string[]>();
  transport.intercept = ({ path, body }) => {
    if (path.endsWith("/events")) return {};
    if (!path.endsWith("/binding")) return undefined;
    const target = path.slice(0, -"/binding".length);
    const pod = transport.objects.get(target) as Pod | undefined; // pods live at pod paths
    const { name = "" } = (body as Binding).target; // what is sent to a binding
    if (!pod) throw statusError.notFound({ group: "", resource: "pods" }, "gone");
    if (pod.spec?.nodeName) throw statusError.conflict({ group: "", resource: "pods/binding" }, "p", "is assigned");
    const uid = pod.metadata.uid ?? "";
    bindings.set(uid, [...(bindings.get(uid) ?? []), name]);
    transport.put(target, { ...pod, spec: { containers: [], ...pod.spec, nodeName: name } } as Pod);
    return {};
  };
  return { transport, bindings };
}

/** Dies at the write with this number, which is carried out or not; nothing it sends afterwards arrives, nothing is answered. */
function mortal(
  server: Transport,
  { dyingAt, isCarriedOut }: { dyingAt: number; isCarriedOut: boolean },
  stop: AbortController,
): Transport {
  let writes = 0;
  const never = new Promise<never>(() => undefined);
  return {
    async request(request: ApiRequest) {
      if (stop.signal.aborted) return never;
      if (request.method !== "GET" && ++writes === dyingAt) {
        if (isCarriedOut) await server.request(request);
        stop.abort();
        return never;
      }
      return server.request(request);
    },
    watch: (request, onEvent) => server.watch(request, (event) => !stop.signal.aborted && onEvent(event)),
    close: () => undefined,
  };
}

function start(transport: Transport, stop: AbortController) {
  const client = createClient(transport);
  const informers = createInformers(client);
  const scheduler = createScheduler({ client, informers, backoff: { firstMs: 1, maxMs: 1 } });
  return Promise.all([informers.run(stop.signal), scheduler.run(stop.signal)]);
}

for (const isCarriedOut of [true, false]) {
  test(`scheduler: killed ${isCarriedOut ? "behind" : "before"} any of its requests, its successor leaves each pod bound once and removes no more than it must`, async () => {
    let dyingAt = 1;
    let died = true;
    for (; died; dyingAt++) {
      const { transport, bindings } = createServer();
      for (const name of ["a", "b"]) transport.create("/api/v1/nodes", makeNode(name, { allocatable: { cpu: "2" } }));
      const low = (name: string, nodeName: string) =>
        makePod(name, { requests: { cpu: "1" }, spec: { nodeName, priority: 1 } });
      for (const [name, node] of [
        ["l1", "a"],
        ["l2", "a"],
        ["l3", "b"],
      ] as const)
        transport.create(collection, low(name, node));
      for (const name of ["h1", "h2", "h3"]) {
        transport.create(collection, makePod(name, { requests: { cpu: "1" }, spec: { priority: 100 } }));
      }
      const first = new AbortController();
      void start(mortal(transport, { dyingAt, isCarriedOut }, first), first);
      await settle();
      died = first.signal.aborted;
      const second = new AbortController();
      const done = died ? start(transport, second) : undefined;
      for (
        let turn = 0;
        turn < 40 &&
        ["h1", "h2", "h3"].some((name) => !(transport.objects.get(podPath(name)) as Pod | undefined)?.spec?.nodeName);
        turn++
      ) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        await settle();
      }
      const left = [...transport.objects.values()].filter(({ kind }) => kind === "Pod") as Pod[];
      const names = left.map(({ metadata }) => metadata.name).sort();
      const at = `killed at request ${dyingAt}`;
      assert.equal(
        names.filter((name) => name?.startsWith("l")).length,
        1,
        `${at}: two have to go, one stays: ${names}`,
      );
      for (const name of ["h1", "h2", "h3"])
        assert.equal(bindings.get(`uid-${name}`)?.length, 1, `${at}: ${name} is bound once`);
      for (const node of ["a", "b"]) {
        assert.equal(
          left.filter(({ spec }) => spec?.nodeName === node).length,
          2,
          `${at}: ${node} is full, not overfull`,
        );
      }
      second.abort();
      if (!died) first.abort();
      await done;
    }
    assert.ok(dyingAt > 8, `there were ${dyingAt - 1} requests to die at`);
  });
}
