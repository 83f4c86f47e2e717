import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { podDisruptionBudgetKind as kind } from "./pod-disruption-budget.ts";

const selector = { matchLabels: { a: "b" } };
const errorsOf = (spec: object) => tryCreate(kind, { spec: { selector, ...spec } }).errors;

test("budget: what is refused", () => {
  const percent =
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
  const cases: [object, string[]][] = [
    [{ minAvailable: -1 }, ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"]],
    [{ maxUnavailable: "101%" }, ['spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%']],
    [{ maxUnavailable: "few" }, [`spec.maxUnavailable: Invalid value: "few": ${percent}`]],
    [
      { unhealthyPodEvictionPolicy: "Odd" },
      ['spec.unhealthyPodEvictionPolicy: Unsupported value: "Odd": supported values: "AlwaysAllow", "IfHealthyBudget"'],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(errorsOf(spec), errors, JSON.stringify(spec));
  const both = errorsOf({ minAvailable: 1, maxUnavailable: 1 });
  assert.match(both.join(), /^spec: Invalid value: .*: minAvailable and maxUnavailable cannot be both set$/);
});

test("budget: a key that upstream keeps for itself", () => {
  const key = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";
  const none = { matchExpressions: [{ key, operator: "Exists" }] };
  const selectorOf = (selector: object) => tryCreate(kind, { spec: { selector } }).object.spec?.selector;
  assert.deepEqual(selectorOf(none), none);
  assert.deepEqual(selectorOf({ matchLabels: { a: "b" }, ...none }), { matchLabels: { a: "b" } });
});

test("budget: generation, status and cells", () => {
  const { object: old } = tryCreate(kind, { spec: { minAvailable: 1, selector } });
  assert.deepEqual(old.status, { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 });
  const changed = tryUpdate(kind, old, {
    change: ({ spec }) => void Object.assign(spec ?? {}, { minAvailable: "20%" }),
  });
  assert.equal(changed.object.metadata.generation, 2);
  const { "Min Available": least, "Max Unavailable": most } = tryColumns(kind, changed.object);
  assert.deepEqual([least, most], ["20%", "N/A"]);
  const status = { disruptionsAllowed: -1, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
  const wrong = tryUpdate(kind, old, {
    subresource: "status",
    change: (object) => void Object.assign(object, { status }),
  });
  assert.deepEqual(wrong.errors, ["status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0"]);
});
