import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lease } from "#api";
import { FakeClock } from "#base";
import { FakeTransport } from "#testing";
import { createClient } from "./client.ts";
import { createLeaderElection } from "./leader-election.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/c";

/** A candidate whose work lasts as long as it leads. */
function candidate(transport: FakeTransport, clock: FakeClock, identity: string) {
  const stop = new AbortController();
  const state = { leads: false, led: 0, leaders: [] as string[], ended: false };
  const election = createLeaderElection({
    client: createClient(transport),
    namespace: "kube-system",
    name: "c",
    identity,
    clock,
    onNewLeader: (leader) => state.leaders.push(leader),
    lead: async (signal) => {
      state.leads = true;
      state.led++;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      state.leads = false;
    },
  });
  const done = election.run(stop.signal).then((outcome) => {
    state.ended = true;
    return outcome;
  });
  return { state, stop: () => stop.abort(), done, election };
}

async function run(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    await settle();
  }
}

test("leader election: the first takes the lease, the second waits and takes over when it is released", async () => {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const a = candidate(transport, clock, "a");
  await settle();
  const b = candidate(transport, clock, "b");
  await run(clock, 30_000);
  assert.ok(a.state.leads);
  assert.equal(b.state.led, 0);
  const lease = transport.objects.get(path) as Lease;
  assert.equal(lease.spec?.holderIdentity, "a");
  assert.equal(lease.spec?.leaseDurationSeconds, 15);
  assert.equal(lease.spec?.acquireTime, "2026-01-01T00:00:00.000000Z");
  assert.equal(lease.spec?.leaseTransitions, 0);
  a.stop();
  await a.done;
  assert.equal((transport.objects.get(path) as Lease).spec?.holderIdentity, "");
  await run(clock, 5_000);
  assert.ok(b.state.leads, "does not wait for the lease to run out");
  const transitions = (transport.objects.get(path) as Lease).spec?.leaseTransitions;
  assert.equal(transitions, 1);
  assert.deepEqual(
    b.state.leaders,
    ["a", "", "b"].filter((leader) => b.state.leaders.includes(leader)),
  );
  b.stop();
  await b.done;
});

test("leader election: a holder that can't renew stops before another may start", async () => {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const a = candidate(transport, clock, "a");
  await settle();
  transport.intercept = ({ body }) => {
    if ((body as Lease | undefined)?.spec?.holderIdentity === "a") throw new Error("unreachable");
    return undefined;
  };
  const b = candidate(transport, clock, "b");
  await run(clock, 9_500);
  assert.ok(a.state.leads);
  await run(clock, 2_000);
  assert.equal(a.state.leads, false);
  assert.ok(a.state.ended);
  assert.equal(b.state.led, 0);
  await run(clock, 12_000);
  assert.ok(b.state.leads);
  b.stop();
  await b.done;
});

test("leader election: a request that hangs does not keep it leading", async () => {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const a = candidate(transport, clock, "a");
  await settle();
  transport.intercept = () => new Promise(() => undefined);
  await run(clock, 12_000);
  assert.equal(a.state.leads, false);
  assert.equal(await a.done, "lost");
});

test("leader election: others wait as long as the holder said, not as long as they would", async () => {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const spec = { holderIdentity: "gone", leaseDurationSeconds: 40, leaseTransitions: 7 };
  const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "c" }, spec };
  transport.create(path.slice(0, -2), lease as Lease);
  const a = candidate(transport, clock, "a");
  await run(clock, 38_000);
  assert.equal(a.state.led, 0);
  await run(clock, 8_000);
  assert.ok(a.state.leads);
  assert.equal((transport.objects.get(path) as Lease).spec?.leaseTransitions, 8);
  a.stop();
  assert.equal(await a.done, "ended");
});

test("leader election: a holder whose renewals hang is overdue", async () => {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const a = candidate(transport, clock, "a");
  await run(clock, 5_000);
  assert.equal(a.election.isOverdue(20_000), false);
  transport.intercept = () => new Promise(() => undefined);
  await run(clock, 40_000);
  assert.ok(a.election.isOverdue(20_000));
  assert.equal(await a.done, "lost");
});
