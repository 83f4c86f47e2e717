import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { runtimeClassKind } from "./runtime-class.ts";

const made = (more: object = {}) => tryCreate(runtimeClassKind, { handler: "runc", ...more });

test("runtime class: what is refused", () => {
  const toleration = { key: "k", operator: "Exists", effect: "NoSchedule" };
  const label =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const cases: [object, string[]][] = [
    [{}, []],
    [{ handler: "" }, [`handler: Invalid value: "": ${label}`]],
    [{ handler: "a.b" }, ['handler: Invalid value: "a.b": must not contain dots']],
    [{ overhead: { podFixed: { cpu: "100m" } } }, []],
    [
      { overhead: { podFixed: { cpu: "-1" } } },
      [`overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0`],
    ],
    [{ scheduling: { tolerations: [toleration] } }, []],
    [
      { scheduling: { tolerations: [toleration, toleration] } },
      [
        'scheduling.tolerations[1]: Duplicate value: {"Key":"k","Operator":"Exists","Value":"","Effect":"NoSchedule","TolerationSeconds":null}',
      ],
    ],
  ];
  for (const [more, expected] of cases) {
    assert.deepEqual(made(more).errors, expected);
  }
});

test("runtime class: the handler stays", () => {
  const { object } = made();
  assert.equal(tryColumns(runtimeClassKind, object).Handler, "runc");
  const { errors } = tryUpdate(runtimeClassKind, object, {
    change(runtimeClass) {
      runtimeClass.handler = "kata";
    },
  });
  assert.deepEqual(errors, ['handler: Invalid value: "kata": field is immutable']);
});

test("runtime class: labels that nodes have no longer", () => {
  const { warnings } = made({ scheduling: { nodeSelector: { "beta.kubernetes.io/os": "linux" } } });
  assert.deepEqual(warnings, ['scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead']);
});
