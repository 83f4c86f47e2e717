import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FlowSchema, PriorityLevelConfiguration, RequestUser } from "#api";
import { FakeClock, MetricRegistry, printMetrics } from "#base";
import { Query } from "../query.ts";
import { parseTarget } from "../request-target.ts";
import { bootstrapLevels, bootstrapSchemas } from "./bootstrap-objects.ts";
import { FlowControl, type Objects } from "./flow-control.ts";
import type { FlowRequest } from "./flow-request.ts";
import type { TurnGate } from "./turn-gate.ts";
import { type Passage, TooManyRequests, type Visit } from "./visit.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Lets `left` requests in, then the rest has to wait for `turn`. */
class CountingGate implements TurnGate {
  left = Number.POSITIVE_INFINITY;
  #run: (() => void) | undefined;

  open(): boolean {
    return this.left-- > 0;
  }

  next(run: () => void): void {
    this.#run = run;
  }

  turn(requests: number): void {
    this.left = requests;
    const run = this.#run;
    this.#run = undefined;
    run?.();
  }
}

const standard: Objects = {
  levels: bootstrapLevels().map(({ object }) => object),
  schemas: bootstrapSchemas().map(({ object }) => object),
};

class Fixture {
  readonly clock = new FakeClock();
  readonly gate = new CountingGate();
  readonly metrics = new MetricRegistry();
  readonly control: FlowControl;
  /** Users in the order in which their requests were started. */
  readonly started: string[] = [];
  readonly passages: Passage[] = [];

  constructor(objects: Objects = standard, seats = 600) {
    const { clock, gate, metrics } = this;
    this.control = new FlowControl({ seats, clock, gate, metrics, stock: () => ({ objects: 1000, bytes: 500_000 }) });
    this.control.configure(objects);
  }

  visit(user: string, more: Partial<Visit> & { groups?: string[]; query?: Query } = {}): Visit {
    const { groups = ["system:authenticated"], path = "/api/v1/namespaces/default/configmaps/a" } = more;
    const target = parseTarget(path);
    assert.ok(target);
    const who: RequestUser = { name: user, uid: "", groups, extra: {} };
    const arrivedMs = this.clock.now();
    return { user: who, verb: "get", target, path, query: new Query(""), arrivedMs, waitMs: 15_000, ...more };
  }

  /** Resolves when it runs. */
  async enter(user: string, more?: Parameters<Fixture["visit"]>[1]): Promise<Passage> {
    const entered = this.control.enter(this.visit(user, more));
    const passage = entered instanceof Promise ? await entered : entered;
    this.started.push(user);
    this.passages.push(passage);
    return passage;
  }

  /** Those that run are answered, and whoever is started thereby runs. */
  async finish(count: number): Promise<void> {
    for (const passage of this.passages.splice(0, count)) passage.finish(this.clock.now());
    await settle();
  }

  async text(): Promise<string> {
    return [...printMetrics(await this.metrics.collect(), "text")].join("");
  }

  level(name: string) {
    const level = this.control.levels.get(name);
    assert.ok(level);
    return level;
  }
}

const schema = (name: string, more: Partial<FlowSchema["spec"] & {}>): FlowSchema => ({
  metadata: { name, uid: `uid-${name}` },
  spec: {
    priorityLevelConfiguration: { name: "only" },
    matchingPrecedence: 1000,
    distinguisherMethod: { type: "ByUser" },
    rules: [
      {
        subjects: [{ kind: "Group", group: { name: "*" } }],
        resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true }],
      },
    ],
    ...more,
  },
});

const limited = (name: string, more: object = {}, queuing: object | undefined = {}): PriorityLevelConfiguration => ({
  metadata: { name, uid: `uid-${name}` },
  spec: {
    type: "Limited",
    limited: {
      nominalConcurrencyShares: 100,
      lendablePercent: 0,
      borrowingLimitPercent: 0,
      limitResponse: queuing
        ? { type: "Queue", queuing: { queues: 64, handSize: 4, queueLengthLimit: 50, ...queuing } }
        : { type: "Reject" },
      ...more,
    },
  },
});

/** One level with all seats but the catch-all's one. */
const single = (seats: number, queuing?: object): [Objects, number] => [
  {
    levels: [limited("only", {}, queuing), ...standard.levels.filter(({ metadata: { name } }) => name === "exempt")],
    schemas: [schema("all", {})],
  },
  seats,
];

describe("flow control: who belongs where", () => {
  const fixture = new Fixture();
  const cases: [string, string[], Partial<Visit>, string][] = [
    ["admin", ["system:masters"], {}, "exempt exempt"],
    ["alice", ["system:authenticated"], {}, "global-default global-default"],
    ["alice", ["system:authenticated"], { path: "/healthz" }, "probes exempt"],
    ["alice", ["system:authenticated"], { path: "/healthz/etcd" }, "probes exempt"],
    ["alice", ["system:authenticated"], { path: "/version" }, "global-default global-default"],
    ["system:anonymous", ["system:unauthenticated"], {}, "global-default global-default"],
    ["nobody", [], {}, "catch-all catch-all"],
    ["system:serviceaccount:a:b", ["system:serviceaccounts"], {}, "service-accounts workload-low"],
    ["system:serviceaccount:kube-system:c", [], {}, "kube-system-service-accounts workload-high"],
    [
      "system:serviceaccount:kube-system:c",
      [],
      { verb: "update", path: "/apis/coordination.k8s.io/v1/namespaces/x/leases/y" },
      "system-leader-election leader-election",
    ],
    ["system:kube-scheduler", [], {}, "kube-scheduler workload-high"],
    ["system:node:n", ["system:nodes"], {}, "system-nodes system"],
    [
      "system:node:n",
      ["system:nodes"],
      { verb: "patch", path: "/api/v1/nodes/n/status" },
      "system-node-high node-high",
    ],
    ["system:node:n", ["system:nodes"], { path: "/api/v1/nodes/n/proxy" }, "system-nodes system"],
  ];
  for (const [user, groups, more, expected] of cases)
    test(`flow control: ${user} ${more.verb ?? "get"} ${more.path ?? "an object"} is ${expected}`, async () => {
      const request = (await fixture.enter(user, { groups, ...more })) as FlowRequest;
      assert.equal(`${request.schema.name} ${request.schema.level.name}`, expected);
      request.finish(fixture.clock.now());
    });
});

test("flow control: the seats of the suggested levels", () => {
  const { control } = new Fixture();
  const limits = [...control.levels.values()].map(({ name, nominal, lower, upper, current, requestSeatsMax }) => [
    name,
    nominal,
    lower,
    upper,
    current,
    requestSeatsMax,
  ]);
  assert.deepEqual(limits, [
    ["system", 74, 50, 674, 117, 12],
    ["node-high", 98, 73, 698, 170, 15],
    ["leader-election", 25, 25, 625, 58, 4],
    ["workload-high", 98, 49, 698, 114, 15],
    ["workload-low", 245, 24, 845, 56, 37],
    ["global-default", 49, 24, 649, 56, 8],
    ["exempt", 0, 0, 600, 0, 0],
    ["catch-all", 13, 13, 613, 30, 0],
  ]);
});

test("flow control: a flood doesn't keep others from their turn", async () => {
  const fixture = new Fixture(...single(4, { queues: 16, handSize: 2 }));
  const limit = fixture.level("only").current;
  const noisy = Array.from({ length: 60 }, () => fixture.enter("noisy"));
  await settle();
  assert.equal(fixture.started.length, limit, "as many run as there are seats");
  const quiet = Array.from({ length: 3 }, () => fixture.enter("quiet"));
  await settle();
  for (let round = 0; round < 3; round++) {
    fixture.clock.advance(1);
    await fixture.finish(limit);
  }
  const since = fixture.started.slice(limit);
  const position = since.map((user, at) => (user === "quiet" ? at : -1)).filter((at) => at >= 0);
  assert.equal(position.length, 3, `all of the quiet ones ran: ${since}`);
  assert.ok(Math.max(...position) <= 2 * 3 + 1, `in turns with the noisy ones, not after 56 of them: ${position}`);
  while (fixture.passages.length > 0) await fixture.finish(limit);
  await Promise.all([...noisy, ...quiet]);
  assert.ok(fixture.level("only").queues.idle);
});

test("flow control: while the event loop has no time, requests wait and are started in fair order", async () => {
  const fixture = new Fixture(...single(500, { queues: 16, handSize: 2 }));
  fixture.gate.left = 2;
  const all = Array.from({ length: 20 }, () => fixture.enter("noisy"));
  await settle();
  assert.equal(fixture.started.length, 2, "there are seats, but no time");
  all.push(fixture.enter("quiet"));
  fixture.gate.turn(1);
  await settle();
  fixture.gate.turn(2);
  await settle();
  assert.deepEqual(fixture.started.slice(2).sort(), ["noisy", "noisy", "quiet"]);
  fixture.gate.turn(100);
  await settle();
  assert.ok(fixture.started.length < 21, "a few at a time");
  for (let turn = 0; turn < 10; turn++) {
    fixture.gate.turn(100);
    await settle();
  }
  await Promise.all(all);
});

test("flow control: levels take turns by their seats", async () => {
  const levels = [
    limited("small", { nominalConcurrencyShares: 100 }),
    limited("large", { nominalConcurrencyShares: 300 }),
  ];
  const of = (level: string, group: string): FlowSchema =>
    schema(level, {
      priorityLevelConfiguration: { name: level },
      rules: [
        {
          subjects: [{ kind: "Group", group: { name: group } }],
          resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true }],
        },
      ],
    });
  const fixture = new Fixture({ levels, schemas: [of("small", "s"), of("large", "l")] }, 400);
  fixture.gate.left = 0;
  for (let i = 0; i < 40; i++) {
    void fixture.enter("s", { groups: ["s"] });
    void fixture.enter("l", { groups: ["l"] });
  }
  await settle();
  for (let turn = 0; turn < 5; turn++) {
    fixture.gate.turn(8);
    await settle();
  }
  const small = fixture.started.filter((user) => user === "s").length;
  assert.deepEqual([fixture.started.length, small], [40, 10]);
});

test("flow control: what doesn't fit into the queue is refused, with a longer wait the more are", async () => {
  const fixture = new Fixture(...single(1, { queues: 1, handSize: 1, queueLengthLimit: 2 }));
  const limit = fixture.level("only").current;
  for (let i = 0; i < limit; i++) await fixture.enter("alice");
  const waiting = [fixture.enter("alice"), fixture.enter("alice")];
  const refused: TooManyRequests[] = [];
  for (let i = 0; i < 8; i++) {
    await fixture.enter("alice").catch((error: unknown) => refused.push(error as TooManyRequests));
    if (i === 3) fixture.clock.advance(1000);
  }
  assert.deepEqual(refused[0]?.flow, { schemaUid: "uid-all", levelUid: "uid-only" });
  assert.deepEqual(
    refused.map(({ retrySeconds }) => retrySeconds),
    [1, 1, 1, 1, 2, 2, 2, 2],
  );
  assert.match(
    await fixture.text(),
    /rejected_requests_total\{priority_level="only",flow_schema="all",reason="queue-full"} 8\n/,
  );
  while (fixture.passages.length > 0) await fixture.finish(1);
  await Promise.all(waiting);
});

test("flow control: who waited too long, or went away, is refused and waits no more", async () => {
  const fixture = new Fixture(...single(1));
  const limit = fixture.level("only").current;
  for (let i = 0; i < limit; i++) await fixture.enter("alice");
  const gone = new AbortController();
  const late = fixture.enter("alice", { waitMs: 5_000 });
  const left = fixture.enter("bob", { signal: () => gone.signal });
  const refusedLate = assert.rejects(late, TooManyRequests);
  const refusedLeft = assert.rejects(left, TooManyRequests);
  assert.equal(fixture.level("only").queues.waiting, 2);
  gone.abort();
  await refusedLeft;
  fixture.clock.advance(5_000);
  await refusedLate;
  const { waiting, rejected, cancelled } = fixture.level("only").queues;
  assert.deepEqual({ waiting, rejected, cancelled }, { waiting: 0, rejected: 2, cancelled: 2 });
  assert.match(await fixture.text(), /reason="time-out"} 2\n/);
});

test("flow control: a level without queues refuses at once, an exempt one never", async () => {
  const fixture = new Fixture();
  const limit = fixture.level("catch-all").current;
  for (let i = 0; i < limit; i++) await fixture.enter("nobody", { groups: [] });
  await assert.rejects(fixture.enter("nobody", { groups: [] }), TooManyRequests);
  for (let i = 0; i < 2000; i++) await fixture.enter("admin", { groups: ["system:masters"] });
  assert.equal(fixture.level("exempt").queues.executing.length, 2000);
});

test("flow control: seats that nobody uses are lent, and come back", async () => {
  const fixture = new Fixture();
  const busy = fixture.level("workload-low");
  const before = busy.current;
  const all = Array.from({ length: 400 }, (_, i) =>
    fixture.enter(`system:serviceaccount:a:${i}`, { groups: ["system:serviceaccounts"] }),
  );
  await settle();
  assert.equal(fixture.started.length, before);
  fixture.clock.advance(10_000);
  await settle();
  assert.ok(busy.current > before + 200, `${busy.current} seats of ${before}`);
  for (let turn = 0; turn < 60; turn++) {
    fixture.gate.turn(100);
    await settle();
  }
  assert.equal(fixture.started.length, busy.current, "what they were given is used at once");
  while (fixture.passages.length > 0) await fixture.finish(50);
  await Promise.all(all);
  for (let period = 0; period < 400; period++) fixture.clock.advance(10_000);
  assert.ok(Math.abs(busy.current - before) <= 1, `${busy.current} again about ${before}`);
});

test("flow control: lists take seats by what they gather, writes by who hears of them", async () => {
  const fixture = new Fixture();
  const path = "/api/v1/namespaces/default/configmaps";
  const seats = async (verb: string, more: Partial<Visit> = {}) =>
    ((await fixture.enter("admin", { groups: ["system:masters"], verb, path, ...more })) as FlowRequest).work;
  assert.equal((await seats("list")).initialSeats, 5);
  assert.equal((await seats("list", { query: new Query("limit=300") })).initialSeats, 2);
  assert.equal((await seats("list", { query: new Query("fieldSelector=metadata.name%3Da") })).initialSeats, 1);
  assert.equal((await seats("watch", { query: new Query("watch=1&resourceVersion=5") })).initialSeats, 1);
  assert.equal((await seats("watch", { query: new Query("watch=1") })).initialSeats, 5);
  const target = parseTarget(path);
  assert.ok(target?.type === "resource");
  const forget = Array.from({ length: 250 }, () => fixture.control.watches.add(target, new Query("")));
  assert.deepEqual(await seats("create"), { initialSeats: 1, finalSeats: 10, extraMs: 12.5 });
  for (const each of forget) each();
  assert.deepEqual(await seats("create"), { initialSeats: 1, finalSeats: 0, extraMs: 0 });
});

test("flow control: the seats of a write are taken until its watchers have been told", async () => {
  const fixture = new Fixture();
  const path = "/api/v1/namespaces/default/configmaps";
  const target = parseTarget(path);
  assert.ok(target?.type === "resource");
  for (let i = 0; i < 40; i++) fixture.control.watches.add(target, new Query(""));
  const passage = await fixture.enter("alice", { verb: "create", path });
  const { queues } = fixture.level("global-default");
  passage.finish(fixture.clock.now());
  assert.deepEqual([queues.executing.length, queues.seatsInUse], [0, 4]);
  fixture.clock.advance(5);
  assert.equal(queues.seatsInUse, 0);
});

test("flow control: a level that is no longer wanted stays until its requests are done", async () => {
  const fixture = new Fixture(...single(100));
  await fixture.enter("alice");
  fixture.control.configure({ levels: [], schemas: [] });
  assert.equal(fixture.level("only").quiescing, true);
  const next = (await fixture.enter("alice")) as FlowRequest;
  assert.equal(next.schema.name, "catch-all");
  await fixture.finish(1);
  assert.equal(fixture.control.levels.has("only"), false);
});

test("flow control: fewer queues, while some are in use", async () => {
  const [objects, seats] = single(1, { queues: 8, handSize: 1 });
  const fixture = new Fixture(objects, seats);
  const all = Array.from({ length: 30 }, (_, i) => fixture.enter(`user-${i}`));
  await settle();
  const [smaller] = single(1, { queues: 2, handSize: 1 });
  fixture.control.configure(smaller);
  all.push(...Array.from({ length: 10 }, (_, i) => fixture.enter(`user-${i}`)));
  while (fixture.passages.length > 0) await fixture.finish(1);
  await Promise.all(all);
  assert.equal(fixture.level("only").queues.queues.length, 2);
});
