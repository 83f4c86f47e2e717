import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate } from "../trial.ts";
import { resourceSliceKind } from "./resource-slice.ts";

const pool = { name: "node-1", generation: 1, resourceSliceCount: 1 };
const at = "spec.devices[0]";
const errorsOf = (device: object): string[] => {
  const spec = { driver: "d", pool, nodeName: "n", devices: [{ name: "x", ...device }] };
  return tryCreate(resourceSliceKind, { spec }).errors;
};

test("devices: attributes", () => {
  const one = "exactly one value must be specified";
  const both =
    '{"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}';
  const identifier = `a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')`;
  const long = `a${"b".repeat(100)}`;
  const shown = `a${"b".repeat(46)}...${"b".repeat(46)}`;
  const cases: [object, string[]][] = [
    [{ a: { int: 0 }, b: { bool: false }, c: { string: "" }, "d.e/f": { version: "0.1.0" } }, []],
    [{ a: {} }, [`${at}.attributes[a]: Invalid value: "": ${one}`]],
    [{ a: { strings: ["not", "served"] } }, [`${at}.attributes[a]: Invalid value: "": ${one}`]],
    [{ a: { int: 1, bool: true } }, [`${at}.attributes[a]: Invalid value: ${both}: ${one}`]],
    [
      { a: { version: "01.2" } },
      [`${at}.attributes[a].version: Invalid value: "01.2": must be a string compatible with semver.org spec 2.0.0`],
    ],
    [{ a: { string: "s".repeat(65) } }, [`${at}.attributes[a].string: Too long: may not be more than 64 bytes`]],
    [{ "a-b": { int: 1 } }, [`${at}.attributes[a-b]: Invalid value: "a-b": ${identifier}`]],
    [
      { "/": { int: 1 } },
      [
        `${at}.attributes[/]: Invalid value: "": the domain must not be empty`,
        `${at}.attributes[/]: Invalid value: "": the name must not be empty`,
      ],
    ],
    [{ [long]: { int: 1 } }, [`${at}.attributes[${shown}]: Too long: may not be more than 32 bytes`]],
    [
      Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, { int: i }])),
      [`${at}: Invalid value: 33: the total number of attributes and capacities must not exceed 32`],
    ],
  ];
  for (const [attributes, expected] of cases) assert.deepEqual(errorsOf({ attributes }), expected);
});

test("devices: how capacity may be shared", () => {
  const path = `${at}.capacity[m].requestPolicy`;
  const shared = (requestPolicy: object) => ({
    allowMultipleAllocations: true,
    capacity: { m: { value: "10Gi", requestPolicy } },
  });
  const cases: [object, string[]][] = [
    [shared({ default: "1Gi", validValues: ["1Gi", "2Gi"] }), []],
    [shared({ default: "2Gi", validRange: { min: "1Gi", max: "4Gi", step: "1Gi" } }), []],
    [
      { capacity: { m: { value: "1", requestPolicy: {} } } },
      [`${path}: Forbidden: allowMultipleAllocations must be true`],
    ],
    [
      shared({ validValues: ["1"], validRange: { min: "1" } }),
      [
        `${path}: Forbidden: exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`,
      ],
    ],
    [shared({ validValues: ["1"] }), [`${path}.default: Required value: required when validValues is defined`]],
    [shared({ validRange: { min: "1" } }), [`${path}.default: Required value: required when validRange is defined`]],
    [
      shared({ default: "3Gi", validValues: ["2Gi", "1Gi", "11Gi", "11Gi"] }),
      [
        `${path}.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order`,
        `${path}.validValues[2]: Invalid value: "11Gi": option is larger than capacity value: 10Gi`,
        `${path}.validValues[3]: Invalid value: "11Gi": option is larger than capacity value: 10Gi`,
        `${path}.validValues[3]: Duplicate value: "11811160064"`,
        `${path}.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy`,
      ],
    ],
    [
      shared({ default: "1Gi", validRange: { min: "2Gi", max: "11Gi", step: "9Gi" } }),
      [
        `${path}.validRange.min: Invalid value: "1Gi": default is less than min: 2Gi`,
        `${path}.validRange.max: Invalid value: "11Gi": max is larger than capacity value: 10Gi`,
        `${path}.validRange.step: Invalid value: "9Gi": one step 11Gi is larger than capacity value: 10Gi`,
        `${path}.validRange.step: Invalid value: "1Gi": value is not a multiple of a given step (9Gi) from (2Gi)`,
      ],
    ],
    [
      shared({ default: "1", validRange: { max: "2" } }),
      [`${path}.validRange.min: Required value: required when validRange is defined`],
    ],
  ];
  for (const [device, expected] of cases) assert.deepEqual(errorsOf(device), expected);
});

test("devices: taints, counters and conditions", () => {
  const counters = { a: { value: "1" } };
  const cases: [object, string[]][] = [
    [{ taints: [{ key: "k", value: "v", effect: "NoExecute" }] }, []],
    [
      { taints: [{ key: "k" }, { key: "k", effect: "Odd" }] },
      [
        `${at}.taints[0].effect: Required value`,
        `${at}.taints[1].effect: Unsupported value: "Odd": supported values: "NoExecute", "NoSchedule", "None"`,
      ],
    ],
    [
      { taints: new Array(17).fill({ key: "k", effect: "None" }) },
      [`${at}.taints: Too many: 17: must have at most 16 items`],
    ],
    [
      { consumesCounters: [{ counterSet: "s", counters }, { counterSet: "s" }] },
      [`${at}.consumesCounters[1].counters: Required value`, `${at}.consumesCounters[1]: Duplicate value: "s"`],
    ],
    [{ consumesCounters: [{ counters }] }, [`${at}.consumesCounters[0].counterSet: Required value`]],
    [{ bindingConditions: ["a"], bindingFailureConditions: ["b"] }, []],
    [
      { bindingConditions: ["a"], bindingFailureConditions: ["a"] },
      [
        `${at}.bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions`,
      ],
    ],
    [
      { bindingFailureConditions: ["a"] },
      [`${at}.bindingConditions: Invalid value: null: bindingConditions are required to use bindingFailureConditions`],
    ],
  ];
  for (const [device, expected] of cases) assert.deepEqual(errorsOf(device), expected);
});
