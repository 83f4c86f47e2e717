import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#base";
import { openSqliteStore } from "#store";
import { startTestServer } from "../test-server.ts";

const events = "/api/v1/namespaces/default/events";
const event = (name: string) => ({
  metadata: { name },
  involvedObject: { kind: "Pod", namespace: "default", name: "p" },
  reason: "r",
});

for (const [what, eventSeconds, secondsMax] of [
  ["an hour", undefined, 3_600],
  ["as long as they are told to", 120, 120],
] as const)
  test(`events: live for ${what}`, async () => {
    const clock = new FakeClock();
    const store = await openSqliteStore({ path: ":memory:", clock });
    const api = await startTestServer({ clock, store, network: { ...(eventSeconds && { eventSeconds }) } });
    await api.call("POST", events, event("a"));
    clock.advance((secondsMax - 1) * 1000);
    const count = async () => (await api.call("GET", events)).items.length;
    assert.equal(await count(), 1);
    // The first of a minute lives as long as the last of it.
    clock.advance(62_000);
    for (let i = 0; i < 200 && (await count()) > 0; i++) await new Promise((next) => setTimeout(next, 10));
    assert.equal(await count(), 0);
    await api.close();
  });
