import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate } from "../trial.ts";
import { mutatingAdmissionPolicyBindingKind } from "./mutating-admission-policy-binding.ts";
import { validatingAdmissionPolicyBindingKind } from "./validating-admission-policy-binding.ts";

const made = (more: object = {}) =>
  tryCreate(validatingAdmissionPolicyBindingKind, { spec: { policyName: "p", validationActions: ["Deny"], ...more } });

test("policy bindings: what is refused", () => {
  const at = "spec.paramRef";
  const cases: [object, string[]][] = [
    [{}, []],
    [{ policyName: "" }, ["spec.policyName: Required value"]],
    [{ validationActions: [] }, ["spec.validationActions: Required value: at least one validation action is required"]],
    [
      { validationActions: ["Odd", "Audit", "Audit"] },
      [
        'spec.validationActions[0]: Unsupported value: "Odd": supported values: "Audit", "Deny", "Warn"',
        'spec.validationActions[2]: Duplicate value: "Audit"',
      ],
    ],
    [
      { validationActions: ["Deny", "Warn"] },
      [
        'spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ],
    ],
    [
      { paramRef: {} },
      [
        `${at}: Required value: one of name or selector must be specified`,
        `${at}.parameterNotFoundAction: Required value`,
      ],
    ],
    [
      { paramRef: { name: "a", selector: {}, parameterNotFoundAction: "Odd" } },
      [
        `${at}.name: Forbidden: name and selector are mutually exclusive`,
        `${at}.selector: Forbidden: name and selector are mutually exclusive`,
        `${at}.parameterNotFoundAction: Unsupported value: "Odd": supported values: "Deny", "Allow"`,
      ],
    ],
    [
      { matchResources: { matchPolicy: "Odd" } },
      ['spec.matchResources.matchPolicy: Unsupported value: "Odd": supported values: "Equivalent", "Exact"'],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
  assert.deepEqual(tryCreate(validatingAdmissionPolicyBindingKind, {}).errors, [
    "spec.policyName: Required value",
    "spec.validationActions: Required value: at least one validation action is required",
  ]);
  assert.deepEqual(tryCreate(mutatingAdmissionPolicyBindingKind, {}).errors, ["spec.policyName: Required value"]);
});

test("policy bindings: which parameters a row shows", () => {
  const action = { parameterNotFoundAction: "Deny" };
  const cases: [object | undefined, string][] = [
    [undefined, "<unset>"],
    [{ name: "c", ...action }, "*/c"],
    [{ name: "c", namespace: "n", ...action }, "n/c"],
    [
      { selector: { matchLabels: { b: "2", a: "1" } }, ...action },
      "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{},}",
    ],
    [
      { selector: { matchExpressions: [{ key: "a", operator: "In", values: ["1", "2"] }] }, ...action },
      "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:a,Operator:In,Values:[1 2],},},}",
    ],
  ];
  for (const [paramRef, expected] of cases) {
    const { errors, object } = made({ paramRef });
    const { PolicyName, ParamRef } = tryColumns(validatingAdmissionPolicyBindingKind, object);
    assert.deepEqual([errors, PolicyName, ParamRef], [[], "p", expected]);
  }
});
