import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate } from "../trial.ts";
import type { Pod } from "../types.d.ts";
import { podKind } from "./pod.ts";

const containers = [{ name: "c", image: "demo/a:1" }];
const made = (fields: object = {}): Pod => tryCreate(podKind, { spec: { containers }, ...fields }).object;

test("a new pod is pending, whatever its client says", () => {
  const { metadata, status } = made({ status: { phase: "Running", podIP: "10.0.0.1" } });
  assert.equal(metadata.generation, 1);
  assert.deepEqual(status, { phase: "Pending", qosClass: "BestEffort" });
});

test("a gated pod says so from the start", () => {
  const { status } = made({ spec: { containers, schedulingGates: [{ name: "example.com/wait" }] } });
  assert.deepEqual(
    status?.conditions?.map(({ type, status: value, reason }) => [type, value, reason]),
    [["PodScheduled", "False", "SchedulingGated"]],
  );
});

test("how long a deletion takes", () => {
  const pod = (spec: object, status: object = {}): Pod => ({
    ...made(),
    spec: { containers, ...spec },
    status: { phase: "Running", ...status },
  });
  const bound = { nodeName: "n" };
  const cases: [string, Pod, number | undefined, number][] = [
    ["nowhere yet", pod({ terminationGracePeriodSeconds: 30 }), undefined, 0],
    ["nowhere yet, though asked to wait", pod({}), 60, 0],
    ["its own period", pod({ ...bound, terminationGracePeriodSeconds: 30 }), undefined, 30],
    ["the client's period", pod({ ...bound, terminationGracePeriodSeconds: 30 }), 5, 5],
    ["at once", pod({ ...bound, terminationGracePeriodSeconds: 30 }), 0, 0],
    ["less than nothing is nearly at once", pod({ ...bound, terminationGracePeriodSeconds: 30 }), -1, 1],
    ["failed", pod({ ...bound, terminationGracePeriodSeconds: 30 }, { phase: "Failed" }), 60, 0],
    ["succeeded", pod({ ...bound, terminationGracePeriodSeconds: 30 }, { phase: "Succeeded" }), undefined, 0],
  ];
  for (const [name, each, requested, seconds] of cases) {
    assert.equal(podKind.gracefulDeletion?.(each, requested).gracePeriodSeconds, seconds, name);
  }
});

test("pods are selected by what they say", () => {
  const fields = podKind.selectableFields?.({
    ...made(),
    spec: { containers, nodeName: "n", hostNetwork: true },
    status: { phase: "Running", podIPs: [{ ip: "10.0.0.1" }] },
  });
  assert.deepEqual(fields, {
    "spec.nodeName": "n",
    "spec.restartPolicy": "",
    "spec.schedulerName": "",
    "spec.serviceAccountName": "",
    "spec.hostNetwork": "true",
    "status.phase": "Running",
    "status.podIP": "10.0.0.1",
    "status.podIPs": "",
    "status.nominatedNodeName": "",
  });
});
