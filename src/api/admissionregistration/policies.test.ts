import assert from "node:assert/strict";
import { before, test } from "node:test";
import { loadCel } from "../cel-engine.ts";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { mutatingAdmissionPolicyKind } from "./mutating-admission-policy.ts";
import { validatingAdmissionPolicyKind } from "./validating-admission-policy.ts";

before(() => loadCel());

const resourceRules = [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }];
const matchConstraints = { resourceRules };
const validations = [{ expression: "true" }];
const mutations = [{ patchType: "JSONPatch", jsonPatch: { expression: `[JSONPatch{op: "test"}]` } }];
const made = (more: object = {}) =>
  tryCreate(validatingAdmissionPolicyKind, { spec: { matchConstraints, validations, ...more } });
const mutating = (more: object = {}) =>
  tryCreate(mutatingAdmissionPolicyKind, {
    spec: { matchConstraints, mutations, reinvocationPolicy: "Never", ...more },
  });

test("policies: what a client leaves out", () => {
  for (const { object, errors } of [made(), mutating()]) {
    assert.deepEqual(errors, []);
    assert.equal(object.spec?.failurePolicy, "Fail");
    assert.deepEqual(object.spec?.matchConstraints, {
      matchPolicy: "Equivalent",
      namespaceSelector: {},
      objectSelector: {},
      resourceRules: [{ ...resourceRules[0], scope: "*" }],
    });
  }
  const { Validations, ParamKind } = tryColumns(validatingAdmissionPolicyKind, made().object);
  assert.deepEqual([Validations, ParamKind], [1, "<unset>"]);
  const paramKind = { apiVersion: "v1", kind: "ConfigMap" };
  assert.equal(tryColumns(mutatingAdmissionPolicyKind, mutating({ paramKind }).object).ParamKind, "v1/ConfigMap");
});

test("validating policy: what is refused", () => {
  const item = "Required value: validations or auditAnnotations must contain at least one item";
  const label = /^spec\.paramKind\.kind: Invalid value: "A_B": may have mixed case, but should otherwise match: /;
  assert.match(made({ paramKind: { apiVersion: "v1", kind: "A_B" } }).errors[0] ?? "", label);
  const cases: [object, string[]][] = [
    [{ matchConstraints: undefined }, ["spec.matchConstraints: Required value"]],
    [{ matchConstraints: {} }, ["spec.matchConstraints.resourceRules: Required value"]],
    [{ failurePolicy: "Odd" }, ['spec.failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"']],
    [{ validations: [] }, [`spec.validations: ${item}`, `spec.auditAnnotations: ${item}`]],
    [
      { validations: [{ expression: " ", message: " ", messageExpression: " ", reason: "Odd" }] },
      [
        "spec.validations[0].expression: Required value: expression is not specified",
        'spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified',
        'spec.validations[0].message: Invalid value: " ": must be non-empty if specified',
        'spec.validations[0].reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
      ],
    ],
    [
      { validations: [{ expression: "true", message: "a\nb" }] },
      ['spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks'],
    ],
    [
      { auditAnnotations: [{ key: "a", valueExpression: "'x'" }, { key: "a" }] },
      [
        "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
        'spec.auditAnnotations[1].key: Duplicate value: "a"',
      ],
    ],
    [
      { variables: [{}, { name: "in", expression: "1" }] },
      [
        "spec.variables[0].name: Required value: name is not specified",
        "spec.variables[0].expression: Required value: expression is not specified",
        'spec.variables[1].name: Invalid value: "in": must be a valid CEL identifier',
      ],
    ],
    [{ paramKind: {} }, ["spec.paramKind.apiVersion: Required value", "spec.paramKind.kind: Required value"]],
    [
      { paramKind: { apiVersion: "a/b/c", kind: "K" } },
      ['spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
});

test("mutating policy: what is refused", () => {
  const at = "spec.mutations[0]";
  const both = { jsonPatch: { expression: `[JSONPatch{op: "test"}]` }, applyConfiguration: { expression: "Object{}" } };
  const cases: [object, string[]][] = [
    [{ mutations: [] }, ["spec.mutations: Required value: mutations must contain at least one item"]],
    [{ mutations: [{}] }, [`${at}.patchType: Required value`]],
    [
      { mutations: [{ patchType: "Odd" }] },
      [`${at}.patchType: Unsupported value: "Odd": supported values: "ApplyConfiguration", "JSONPatch"`],
    ],
    [
      { mutations: [{ patchType: "ApplyConfiguration" }] },
      [`${at}.applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration`],
    ],
    [{ mutations: [{ patchType: "JSONPatch", jsonPatch: {} }] }, [`${at}.jsonPatch.expression: Required value`]],
    [
      { mutations: [{ patchType: "JSONPatch", ...both }] },
      [
        `${at}.applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch`,
      ],
    ],
    [
      { reinvocationPolicy: "Odd" },
      ['spec.reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"'],
    ],
    [
      { matchConstraints: { resourceRules: [{ ...resourceRules[0], operations: ["DELETE"] }] } },
      [
        'spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
      ],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(mutating(spec).errors, expected);
});

test("validating policy: its status says what type checking found", () => {
  const { object } = made();
  const { errors, object: after } = tryUpdate(validatingAdmissionPolicyKind, object, {
    subresource: "status",
    change(policy) {
      policy.spec = {};
      policy.status = { observedGeneration: 1, typeChecking: { expressionWarnings: [{ fieldRef: " ", warning: "" }] } };
    },
  });
  const at = "status.typeChecking.expressionWarnings[0]";
  assert.deepEqual(errors, [`${at}.warning: Required value`, `${at}.fieldRef: Required value`]);
  assert.equal(after.spec?.validations?.length, 1);
  const changed = tryUpdate(validatingAdmissionPolicyKind, object, {
    change({ spec }) {
      if (spec) spec.failurePolicy = "Ignore";
    },
  });
  assert.deepEqual([changed.errors, changed.object.metadata.generation], [[], 2]);
});
