import assert from "node:assert/strict";
import { test } from "node:test";
import { assertChanges, changePod, madePod } from "./update-trial.ts";

const frozen =
  "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const tolerated = { tolerations: [{ key: "a", operator: "Exists" }] };
const gated = { schedulingGates: [{ name: "a" }] };
const needs = (...keys: string[]) => ({
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: [{ matchExpressions: keys.map((key) => ({ key, operator: "Exists" })) }],
  },
});

test("what may change in a pod", () => {
  assertChanges([
    ["an image", madePod(), ({ spec }) => Object.assign(spec.containers[0] ?? {}, { image: "x:2" }), []],
    ["a deadline comes", madePod(), ({ spec }) => Object.assign(spec, { activeDeadlineSeconds: 60 }), []],
    [
      "a deadline comes nearer",
      madePod({ activeDeadlineSeconds: 60 }),
      ({ spec }) => Object.assign(spec, { activeDeadlineSeconds: 50 }),
      [],
    ],
    [
      "a toleration more",
      madePod(tolerated),
      ({ spec }) => spec.tolerations?.push({ key: "b", operator: "Exists" }),
      [],
    ],
    [
      "an odd grace period becomes what it means",
      madePod({ terminationGracePeriodSeconds: -1 }),
      ({ spec }) => Object.assign(spec, { terminationGracePeriodSeconds: 1 }),
      [],
    ],
    ["a gate opens", madePod(gated), ({ spec }) => Object.assign(spec, { schedulingGates: [] }), []],
    [
      "a gated pod wants more of its node",
      madePod({ ...gated, nodeSelector: { a: "b" } }),
      ({ spec }) => Object.assign(spec, { nodeSelector: { a: "b", c: "d" } }),
      [],
    ],
    [
      "a gated pod narrows its affinity",
      madePod({ ...gated, affinity: { nodeAffinity: needs("a") } }),
      ({ spec }) => Object.assign(spec, { affinity: { nodeAffinity: needs("a", "b") } }),
      [],
    ],
    ["its status stays its status", madePod(), ({ status }) => Object.assign(status, { phase: "Running" }), []],
  ]);
  assert.equal(
    changePod(madePod(), ({ status }) => Object.assign(status, { phase: "Running" })).object.status?.phase,
    "Pending",
  );
});

test("what may not", () => {
  assertChanges([
    [
      "no image",
      madePod(),
      ({ spec }) => Object.assign(spec.containers[0] ?? {}, { image: "" }),
      ["spec.containers[0].image: Required value", "spec.containers[0].image: Required value"],
    ],
    [
      "a container less",
      madePod(),
      ({ spec }) => spec.containers.pop(),
      ["spec.containers: Forbidden: pod updates may not add or remove containers"],
    ],
    [
      "environment",
      madePod(),
      ({ spec }) => Object.assign(spec.containers[0] ?? {}, { env: [{ name: "a" }] }),
      [frozen],
    ],
    ["the node", madePod(), ({ spec }) => Object.assign(spec, { nodeName: "n" }), [frozen]],
    [
      "a deadline goes",
      madePod({ activeDeadlineSeconds: 60 }),
      ({ spec }) => {
        delete spec.activeDeadlineSeconds;
      },
      ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"],
    ],
    [
      "a deadline moves away",
      madePod({ activeDeadlineSeconds: 60 }),
      ({ spec }) => Object.assign(spec, { activeDeadlineSeconds: 70 }),
      ["spec.activeDeadlineSeconds: Invalid value: 70: must be less than or equal to previous value"],
    ],
    [
      "a toleration less",
      madePod(tolerated),
      ({ spec }) => Object.assign(spec, { tolerations: [] }),
      ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    ],
    [
      "a new gate",
      madePod(gated),
      ({ spec }) => spec.schedulingGates?.push({ name: "b" }),
      ["spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"],
    ],
    [
      "a gated pod wants something else of its node",
      madePod({ ...gated, nodeSelector: { a: "b" } }),
      ({ spec }) => Object.assign(spec, { nodeSelector: { a: "c" } }),
      [
        'spec.nodeSelector: Invalid value: {"a":"c"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
      ],
    ],
    [
      "a pod that isn't gated wants more of its node",
      madePod({ nodeSelector: { a: "b" } }),
      ({ spec }) => Object.assign(spec, { nodeSelector: { a: "b", c: "d" } }),
      [frozen],
    ],
    [
      "a gated pod has another affinity",
      madePod({ ...gated, affinity: { nodeAffinity: needs("a") } }),
      ({ spec }) => Object.assign(spec, { affinity: { nodeAffinity: needs("b") } }),
      [
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {"matchExpressions":[{"key":"b","operator":"Exists"}]}: only additions are allowed (no mutations or deletions)',
      ],
    ],
    [
      "it isn't a node's own pod",
      madePod({ nodeName: "n" }),
      ({ pod }) => Object.assign(pod.metadata, { annotations: { "kubernetes.io/config.mirror": "x" } }),
      ["metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation"],
    ],
  ]);
});

test("the generation counts what changes in the spec", () => {
  const old = madePod();
  const generation = (change: Parameters<typeof changePod>[1]) => changePod(old, change).object.metadata.generation;
  assert.equal(
    generation(({ spec }) => Object.assign(spec.containers[0] ?? {}, { image: "x:2" })),
    2,
  );
  assert.equal(
    generation(({ pod }) => Object.assign(pod.metadata, { labels: { a: "b" } })),
    1,
  );
});
