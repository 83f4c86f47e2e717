import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { createClient } from "#client";
import { FakeTransport } from "#testing";
import { podOf } from "../core/testing.ts";
import { createObjectCache, podReferences } from "./object-cache.ts";
import { createTokenSource } from "./tokens.ts";

test("tokens: one request until four fifths of the time are over", async () => {
  const clock = new FakeClock();
  const api = new FakeTransport();
  const bodies: unknown[] = [];
  api.intercept = ({ path, body }) => {
    if (!path.endsWith("/token")) return undefined;
    bodies.push(body);
    return {
      status: { token: `t${bodies.length}`, expirationTimestamp: new Date(clock.now() + 3_600_000).toISOString() },
    };
  };
  const tokens = createTokenSource(createClient(api), clock);
  const pod = podOf({ containers: ["a"], spec: { serviceAccountName: "sa" } });
  const get = (audience = "") => tokens.token(pod, { audience, expirationSeconds: 3600 });
  assert.deepEqual([await get(), await get(), await get("x")], ["t1", "t1", "t2"]);
  assert.deepEqual((bodies[0] as { spec: object }).spec, {
    audiences: [],
    expirationSeconds: 3600,
    boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "pod", uid: "uid-1" },
  });
  clock.advance(0.8 * 3_600_000 - 11_000);
  assert.equal(await get(), "t1");
  clock.advance(11_000);
  assert.equal(await get(), "t3");
  tokens.forget("uid-1");
  assert.equal(tokens.refreshAt("uid-1"), undefined);
});

test("objects: watched while a pod needs them, changes are told to the pods that do", async () => {
  const api = new FakeTransport();
  api.create("/api/v1/namespaces/ns/configmaps", { metadata: { name: "cfg" }, data: { k: "1" } } as object);
  const told: string[] = [];
  const cache = createObjectCache({
    client: createClient(api),
    clock: new FakeClock(),
    log: silentLogger,
    onChange: (uid) => told.push(uid),
  });
  const pod = podOf({ containers: ["a"], spec: { volumes: [{ name: "v", configMap: { name: "cfg" } }] } });
  const reference = { namespace: "ns", name: "cfg" };
  await assert.rejects(cache.configMap(reference), /not registered/);
  cache.setNeeds("uid-1", podReferences(pod));
  assert.deepEqual((await cache.configMap(reference))?.data, { k: "1" });
  assert.equal(await cache.configMap(reference).then((object) => object?.metadata.name), "cfg");
  told.length = 0;
  api.patch("/api/v1/namespaces/ns/configmaps/cfg", { data: { k: "2" } });
  assert.deepEqual(told, ["uid-1"]);
  cache.setNeeds("uid-1", []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(api.watching, 0);
  cache.close();
});
