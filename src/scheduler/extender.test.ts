import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { Pod } from "#api";
import { createClient, createInformers } from "#client";
import { FakeTransport } from "#testing";
import { makeNode, makePod } from "./core/fixtures.ts";
import type { ExtenderConfiguration } from "./extender.ts";
import { createScheduler } from "./shell.ts";

interface Arguments {
  readonly Pod?: Pod;
  readonly Nodes?: { readonly items: readonly { readonly metadata: { readonly name: string } }[] } | null;
  readonly NodeNames?: readonly string[] | null;
  readonly NodeNameToMetaVictims?: Readonly<
    Record<string, { readonly Pods: readonly { readonly UID: string }[] }>
  > | null;
  readonly PodName?: string;
  readonly Node?: string;
}

/** `answers`: by verb; a number is a status. */
async function setUp(
  answers: Readonly<Record<string, (sent: Arguments) => unknown>>,
  configuration: Partial<ExtenderConfiguration> = {},
) {
  const asked: [verb: string, sent: Arguments][] = [];
  const transport = new FakeTransport();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer); // a body comes in buffers
    const verb = request.url?.split("/").at(-1) ?? "";
    const sent = JSON.parse(Buffer.concat(chunks).toString()) as Arguments; // what is under test sends it
    asked.push([verb, sent]);
    const answer = answers[verb]?.(sent);
    if (typeof answer === "number") response.writeHead(answer).end();
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // listens on TCP
  const bound = Promise.withResolvers<string>();
  const told = Promise.withResolvers<string>();
  transport.intercept = ({ path, body }) => {
    if (path.endsWith("/binding")) {
      bound.resolve((body as { target: { name: string } }).target.name);
      return {};
    }
    if (path.endsWith("/status")) {
      const [condition] = (body as Pod).status?.conditions ?? [];
      if (condition?.type === "PodScheduled") told.resolve(`${condition.reason}: ${condition.message}`);
    }
    return undefined;
  };
  for (const name of ["a", "b", "c"]) transport.create("/api/v1/nodes", makeNode(name, { allocatable: { cpu: "2" } }));
  const stop = new AbortController();
  const client = createClient(transport);
  const informers = createInformers(client);
  const verbs = Object.fromEntries(Object.keys(answers).map((verb) => [`${verb}Verb`, verb]));
  const extenders = [{ urlPrefix: `http://127.0.0.1:${port}/scheduler/`, weight: 1, ...verbs, ...configuration }];
  const done = Promise.all([
    informers.run(stop.signal),
    createScheduler({ client, informers, extenders, random: () => 0.99 }).run(stop.signal),
  ]);
  return {
    asked,
    transport,
    bound: bound.promise,
    told: told.promise,
    create: (pod: Pod) => transport.create("/api/v1/namespaces/ns/pods", pod),
    async close() {
      stop.abort();
      await done;
      server.closeAllConnections();
      server.close();
    },
  };
}

const namesOf = ({ Nodes, NodeNames }: Arguments) =>
  NodeNames ?? Nodes?.items.map(({ metadata }) => metadata.name) ?? [];

test("extender: rejects nodes and scores the rest, which it is sent as a whole", async () => {
  const { asked, bound, create, close } = await setUp({
    filter: ({ Nodes }) => ({ Nodes: { items: Nodes?.items.filter(({ metadata }) => metadata.name !== "b") } }),
    prioritize: () => [
      { Host: "a", Score: 1 },
      { Host: "c", Score: 9 },
    ],
  });
  create(makePod("p", { requests: { cpu: "1" } }));
  assert.equal(await bound, "c");
  assert.deepEqual(
    asked.map(([verb, sent]) => [verb, namesOf(sent).toSorted()]),
    [
      ["filter", ["a", "b", "c"]],
      ["prioritize", ["a", "c"]],
    ],
  );
  assert.equal(asked[0]?.[1].Pod?.metadata.name, "p");
  await close();
});

test("extender: names are enough for one that knows the nodes; only pods with its resources are its business", async () => {
  const managedResources = [{ name: "example.com/a" }];
  const { asked, bound, create, close } = await setUp(
    { filter: () => ({ NodeNames: ["b"] }) },
    { nodeCacheCapable: true, managedResources },
  );
  create(makePod("p", { requests: { cpu: "1" } }));
  await bound;
  assert.deepEqual(asked, []);
  await close();
  const other = await setUp({ filter: () => ({ NodeNames: ["b"] }) }, { nodeCacheCapable: true });
  other.create(makePod("p", { requests: { cpu: "1" } }));
  assert.equal(await other.bound, "b");
  assert.deepEqual([other.asked[0]?.[1].Nodes, other.asked[0]?.[1].NodeNames?.toSorted()], [null, ["a", "b", "c"]]);
  await other.close();
});

test("extender: its reasons are told, and what it can't resolve isn't tried by preemption", async () => {
  const { told, create, close } = await setUp({
    filter: () => ({ FailedNodes: { a: "busy", b: "busy" }, FailedAndUnresolvableNodes: { c: "never" } }),
  });
  create(makePod("p", { requests: { cpu: "1" } }));
  assert.equal(
    await told,
    "Unschedulable: 0/3 nodes are available: 1 never, 2 busy. no new claims to deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
  );
  await close();
});

test("extender: one that fails keeps pods from being placed, unless it may be ignored", async () => {
  const { told, create, close } = await setUp({ filter: () => 500 });
  create(makePod("p"));
  assert.match(
    await told,
    /^SchedulerError: failed filter with extender at URL http:\/\/127\.0\.0\.1:\d+\/scheduler\/filter, code 500$/,
  );
  await close();
  const other = await setUp({ filter: () => 500 }, { ignorable: true });
  other.create(makePod("p"));
  assert.ok(await other.bound);
  await other.close();
});

test("extender: binds instead of the scheduler", async () => {
  const sent = Promise.withResolvers<Arguments>();
  const { create, close } = await setUp({
    bind: (given) => {
      sent.resolve(given);
      return {};
    },
  });
  create(makePod("p"));
  const { PodName, Node } = await sent.promise;
  assert.equal(PodName, "p");
  assert.ok(["a", "b", "c"].includes(Node ?? ""));
  await close();
});

test("extender: chooses among candidates of a preemption", async () => {
  const { asked, bound, transport, create, close } = await setUp(
    { preempt: ({ NodeNameToMetaVictims: of }) => ({ NodeNameToMetaVictims: { b: of?.b } }) },
    { nodeCacheCapable: true },
  );
  for (const nodeName of ["a", "b", "c"])
    create(makePod(`on-${nodeName}`, { requests: { cpu: "2" }, spec: { nodeName } }));
  create(makePod("p", { requests: { cpu: "1" }, spec: { priority: 5 } }));
  assert.equal(await bound, "b");
  assert.deepEqual(asked[0]?.[1].NodeNameToMetaVictims?.b?.Pods, [{ UID: "uid-on-b" }]);
  assert.deepEqual(
    ["a", "b", "c"].filter((name) => transport.objects.has(`/api/v1/namespaces/ns/pods/on-${name}`)),
    ["a", "c"],
  );
  await close();
});
