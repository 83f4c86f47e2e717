import assert from "node:assert/strict";
import { test } from "node:test";
import { same, statusPatch } from "./status-patch.ts";

test("equality: as JSON, where absent, null and empty are one", () => {
  assert.ok(same({ a: 1, b: undefined, c: {} }, { a: 1, c: null }));
  assert.ok(same([], undefined));
  assert.ok(!same([1], [1, 2]));
  assert.ok(!same({ a: false }, {}));
  assert.ok(!same({ a: 0 }, { a: 1 }));
});

test("patch: only what differs, nulls for what went away, addresses as a whole", () => {
  const condition = (status: string, more = {}) => ({ type: "Ready", status, ...more });
  const from = {
    phase: "Pending",
    message: "x",
    podIPs: [{ ip: "1" }],
    conditions: [condition("False", { reason: "No" })],
  };
  const to = { phase: "Running", podIPs: [{ ip: "2" }], conditions: [condition("True")] };
  assert.equal(statusPatch(from, from, "u"), undefined);
  assert.deepEqual(statusPatch(from, to, "u"), {
    metadata: { uid: "u" },
    status: {
      phase: "Running",
      message: null,
      podIPs: [{ $patch: "replace" }, { ip: "2" }],
      conditions: [{ type: "Ready", status: "True", reason: null }],
    },
  });
});

// The suite's "Pod Lifecycle should be able to have zero downtime on a Blue Green deployment using Services and Readiness Gates".
test("patch: conditions of others are left as they are now; the node's own disruption is added once", () => {
  const gate = (status: string) => ({ type: "example.com/gate", status });
  const disruption = { type: "DisruptionTarget", status: "True" };
  assert.equal(statusPatch({ conditions: [gate("False")] }, { conditions: [gate("True")] }, "u"), undefined);
  assert.equal(statusPatch({ conditions: [] }, { conditions: [gate("True")] }, "u"), undefined);
  assert.deepEqual(statusPatch({}, { conditions: [disruption] }, "u"), {
    metadata: { uid: "u" },
    status: { conditions: [disruption] },
  });
});
