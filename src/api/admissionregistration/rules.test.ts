import assert from "node:assert/strict";
import { test } from "node:test";
import { Place } from "../place.ts";
import { validateNamedRule, validateRule } from "./rules.ts";

const rule = { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] };
const errorsOf = (more: object): string[] => {
  const at = Place.root("rule");
  validateRule({ ...rule, ...more }, at);
  return at.errors.map(({ field, message }) => `${field}: ${message}`);
};

test("rules of webhooks and policies", () => {
  const cases: [object, string[]][] = [
    [{}, []],
    [
      { operations: [], apiGroups: [], apiVersions: [], resources: [] },
      ["operations", "apiGroups", "apiVersions", "resources"].map((field) => `rule.${field}: Required value`),
    ],
    [
      { operations: ["*", "CREATE"] },
      [`rule.operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations`],
    ],
    [
      { operations: ["READ"] },
      ['rule.operations[0]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'],
    ],
    [
      { apiGroups: ["*", "a"] },
      [`rule.apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other API groups`],
    ],
    [
      { apiVersions: ["*", ""] },
      [
        `rule.apiVersions: Invalid value: ["*",""]: if '*' is present, must not specify other API versions`,
        "rule.apiVersions[1]: Required value",
      ],
    ],
    [{ scope: "Galaxy" }, ['rule.scope: Unsupported value: "Galaxy": supported values: "*", "Cluster", "Namespaced"']],
  ];
  for (const [more, expected] of cases) assert.deepEqual(errorsOf(more), expected);
});

test("rules: resources that are part of others", () => {
  const cases: [string[], string[]][] = [
    [["*"], []],
    [["*/*"], []],
    [["pods", "pods/log"], []],
    [["*", "pods/log"], []],
    [[""], ["rule.resources[0]: Required value"]],
    [
      ["*/*", "pods"],
      [`rule.resources: Invalid value: ["*/*","pods"]: if '*/*' is present, must not specify other resources`],
    ],
    [
      ["*", "pods"],
      [
        `rule.resources: Invalid value: ["*","pods"]: if '*' is present, must not specify other resources without subresources`,
      ],
    ],
    [
      ["pods/*", "pods/log"],
      [`rule.resources[1]: Invalid value: "pods/log": if 'pods/*' is present, must not specify pods/log`],
    ],
    [
      ["*/log", "pods/log"],
      [`rule.resources[1]: Invalid value: "pods/log": if '*/log' is present, must not specify pods/log`],
    ],
  ];
  for (const [resources, expected] of cases) assert.deepEqual(errorsOf({ resources }), expected, resources.join());
});

test("rules of policies name objects", () => {
  const at = Place.root("rule");
  validateNamedRule({ ...rule, resourceNames: ["a", "a", "b/c"] }, at);
  const errors = at.errors.map(({ field, message }) => `${field}: ${message}`);
  assert.deepEqual(errors, [
    'rule.resourceNames[1]: Duplicate value: "a"',
    `rule.resourceNames[2]: Invalid value: "b/c": may not contain '/'`,
  ]);
});
