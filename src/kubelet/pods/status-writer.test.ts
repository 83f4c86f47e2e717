import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { FakeClock, silentLogger } from "#base";
import { createClient } from "#client";
import { statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { createStatusWriter } from "./status-writer.ts";

function setUp() {
  const api = new FakeTransport();
  const pod = api.create("/api/v1/namespaces/ns/pods", { metadata: { name: "p", uid: "u" } }) as Pod; // made on this line
  const clock = new FakeClock();
  const writer = createStatusWriter(pod, { client: createClient(api), clock, log: silentLogger });
  const patches = () => api.requests.filter(({ method }) => method === "PATCH").length;
  const phase = () => (api.objects.get("/api/v1/namespaces/ns/pods/p") as Pod | undefined)?.status?.phase; // the pod
  return { api, writer, clock, patches, phase };
}

test("status: the newest is written, once", async () => {
  const { writer, patches, phase } = setUp();
  for (const status of ["Pending", "Running", "Succeeded"]) writer.write({ phase: status });
  await writer.flushed();
  assert.equal(phase(), "Succeeded");
  const written = patches();
  assert.ok(written <= 2);
  writer.write({ phase: "Succeeded" });
  await writer.flushed();
  assert.equal(patches(), written);
});

test("status: put right when somebody else changes it", async () => {
  const { api, writer, phase } = setUp();
  writer.write({ phase: "Running" });
  await writer.flushed();
  writer.seen(api.patch("/api/v1/namespaces/ns/pods/p/status", { status: { phase: "Failed" } }) as Pod); // the pod
  await writer.flushed();
  assert.equal(phase(), "Running");
});

test("status: failures are tried again, a pod that is gone is not", async () => {
  const { api, writer, clock, patches, phase } = setUp();
  let failures = 2;
  api.intercept = (request) => {
    if (request.method === "PATCH" && failures-- > 0) throw statusError.internal("no");
    return undefined;
  };
  writer.write({ phase: "Running" });
  while (patches() < 3) {
    clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await writer.flushed();
  assert.equal(phase(), "Running");
  api.remove("/api/v1/namespaces/ns/pods/p");
  writer.write({ phase: "Failed" });
  await writer.flushed();
  const before = patches();
  writer.write({ phase: "Pending" });
  await writer.flushed();
  assert.equal(patches(), before);
});
