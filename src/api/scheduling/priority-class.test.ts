import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { priorityClassKind } from "./priority-class.ts";

const made = (more: object = {}) => tryCreate(priorityClassKind, { value: 100, ...more });

test("priority class: what a client leaves out", () => {
  const { object, errors } = made();
  assert.deepEqual(errors, []);
  const { Age: _, ...cells } = tryColumns(priorityClassKind, object);
  assert.deepEqual(cells, { Value: 100, "Global-Default": false, PreemptionPolicy: "PreemptLowerPriority" });
});

test("priority class: what is refused", () => {
  const reserved =
    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only";
  const named = (name: string, value: number, more: object = {}) => ({ metadata: { name }, value, ...more });
  const critical = "system-node-critical";
  const cases: [object, string[]][] = [
    [{ value: 1_000_000_000 }, []],
    [{ value: 1_000_000_001 }, ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]],
    [named(critical, 2_000_001_000), []],
    [named(critical, 1), [`${reserved}. error: value of ${critical} PriorityClass must be 2000001000`]],
    [
      named(critical, 2_000_001_000, { globalDefault: true }),
      [`${reserved}. error: globalDefault of ${critical} PriorityClass must be false`],
    ],
    [named("system-x", 1), [`${reserved}. error: system-x is not a known system priority class`]],
    [
      { preemptionPolicy: "Odd" },
      ['preemptionPolicy: Unsupported value: "Odd": supported values: "PreemptLowerPriority", "Never"'],
    ],
    [{ preemptionPolicy: "" }, ["preemptionPolicy: Required value"]],
  ];
  for (const [more, expected] of cases) assert.deepEqual(made(more).errors, expected);
});

test("priority class: pods have copied what it says", () => {
  const { errors } = tryUpdate(priorityClassKind, made().object, {
    change(priorityClass) {
      priorityClass.value = 101;
      priorityClass.preemptionPolicy = "Never";
      priorityClass.description = "other";
    },
  });
  assert.deepEqual(errors, [
    "value: Forbidden: may not be changed in an update.",
    'preemptionPolicy: Invalid value: "Never": field is immutable',
  ]);
});
