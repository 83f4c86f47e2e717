import assert from "node:assert/strict";
import { test } from "node:test";
import { schedulerFileFlags } from "./scheduler-file-flags.ts";

test("scheduler file: says what flags say, and is read as a whole by its own", () => {
  const file = {
    kind: "KubeSchedulerConfiguration",
    clientConnection: { kubeconfig: "/k" },
    leaderElection: { leaderElect: false, leaseDuration: "30s" },
  };
  assert.deepEqual(schedulerFileFlags("/f", file), {
    "leader-elect": false,
    "leader-elect-lease-duration": "30s",
    kubeconfig: "/k",
    "scheduler-config": "/f",
  });
  assert.deepEqual(schedulerFileFlags("/f", { kind: file.kind }), { "scheduler-config": "/f" });
  assert.equal(schedulerFileFlags("/f", { "log-level": "debug" }), undefined);
});
