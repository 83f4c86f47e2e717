import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate } from "../trial.ts";
import { countIndexes, findOverlap } from "./job/indexes.ts";
import { jobKind } from "./job.ts";

const template = { spec: { containers: [{ name: "c", image: "a" }], restartPolicy: "Never" } };
const errorsOf = (spec: object) => tryCreate(jobKind, { spec: { template, ...spec } }).errors;

test("job: what a failure policy can't say", () => {
  const at = "spec.podFailurePolicy.rules[0]";
  const cases: [object, string[]][] = [
    [
      {},
      [
        `${at}.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`,
        `${at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required`,
      ],
    ],
    [
      { action: "FailIndex", onExitCodes: { operator: "In", values: [0, 3, 3, 1] } },
      [
        `${at}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
        `${at}.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator`,
        `${at}.onExitCodes.values[2]: Duplicate value: 3`,
        `${at}.onExitCodes.values: Invalid value: [0,3,3,1]: must be ordered`,
      ],
    ],
    [
      {
        action: "Odd",
        onExitCodes: { operator: "Odd", containerName: "x", values: [] },
        onPodConditions: [{ type: "a b", status: "Odd" }],
      },
      [
        `${at}.action: Unsupported value: "Odd": supported values: "Count", "FailIndex", "FailJob", "Ignore"`,
        `${at}.onExitCodes.operator: Unsupported value: "Odd": supported values: "In", "NotIn"`,
        `${at}.onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template`,
        `${at}.onExitCodes.values: Invalid value: []: at least one value is required`,
        `${at}.onPodConditions[0].type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
        `${at}.onPodConditions[0].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"`,
        `${at}: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported`,
      ],
    ],
  ];
  for (const [rule, errors] of cases) assert.deepEqual(errorsOf({ podFailurePolicy: { rules: [rule] } }), errors);
});

test("job: what a success policy can't say", () => {
  const at = "spec.successPolicy.rules[0]";
  const errors = (rule: object) =>
    errorsOf({ completionMode: "Indexed", completions: 5, successPolicy: { rules: [rule] } });
  assert.deepEqual(errors({ succeededIndexes: "0-2", succeededCount: 3 }), []);
  assert.deepEqual(errors({ succeededIndexes: "0-9" }), [
    `${at}.succeededIndexes: Invalid value: "0-9": error parsing succeededIndexes: too large index: "9"`,
  ]);
  assert.deepEqual(errors({ succeededIndexes: "1,3", succeededCount: 6 }), [
    `${at}.succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)`,
    `${at}.succeededCount: Invalid value: 6: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)`,
  ]);
  assert.match(errorsOf({ successPolicy: { rules: [] } }).join(), /requires indexed completion mode$/);
});

test("job: lists of indexes", () => {
  const cases: [string, number, string][] = [
    ["", 0, ""],
    ["0,2-4,7", 5, ""],
    [
      "1-2-3",
      0,
      `the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`,
    ],
    ["x", 0, 'cannot convert string to integer for index: "x"'],
    ["1,", 0, 'cannot convert string to integer for index: ""'],
    ["10", 0, 'too large index: "10"'],
    ["3-3", 0, "non-increasing order, previous: 3, current: 3"],
    ["3,2", 0, "non-increasing order, previous: 3, current: 2"],
  ];
  for (const [text, total, problem] of cases) assert.deepEqual(countIndexes(text, 10), { total, problem }, text);
  assert.equal(findOverlap("0-2,5", "3-4,5-6", 10), 5);
  assert.equal(findOverlap("0-2", "3,x", 10), undefined);
});
