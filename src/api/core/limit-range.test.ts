import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate } from "../trial.ts";
import { limitRangeKind } from "./limit-range.ts";

const create = (...limits: object[]) => tryCreate(limitRangeKind, { spec: { limits } });

test("for containers the most is the usual limit, and what is limited is requested", () => {
  const { object, errors } = create({
    type: "Container",
    max: { cpu: "2", memory: "1Gi" },
    default: { cpu: "1" },
    min: { cpu: "100m", "ephemeral-storage": "1" },
  });
  assert.deepEqual(errors, []);
  const [item] = object.spec?.limits ?? [];
  assert.deepEqual(item?.default, { cpu: "1", memory: "1Gi" });
  assert.deepEqual(item?.defaultRequest, { cpu: "1", memory: "1Gi", "ephemeral-storage": "1" });
  assert.equal(create({ type: "Pod", max: { cpu: "2" } }).object.spec?.limits?.[0]?.default, undefined);
});

test("limit ranges: what is refused", () => {
  const at = "spec.limits[0]";
  const cases: [object[], string[]][] = [
    [
      [{ type: "Container", min: { cpu: "2" }, max: { cpu: "1" } }],
      [
        `${at}.min[cpu]: Invalid value: "2": min value 2 is greater than max value 1`,
        `${at}.defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1`,
        `${at}.default[cpu]: Invalid value: "2": min value 2 is greater than default value 1`,
      ],
    ],
    [
      [{ type: "Container", max: { cpu: "1" }, default: { cpu: "3" } }],
      [
        `${at}.defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than max value 1`,
        `${at}.default[cpu]: Invalid value: "1": default value 3 is greater than max value 1`,
      ],
    ],
    [
      [{ type: "Container", default: { cpu: "1" }, defaultRequest: { cpu: "2" } }],
      [`${at}.defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1`],
    ],
    [
      [{ type: "Pod", default: { cpu: "1" }, defaultRequest: { cpu: "1" } }],
      [
        `${at}.default: Forbidden: may not be specified when \`type\` is 'Pod'`,
        `${at}.defaultRequest: Forbidden: may not be specified when \`type\` is 'Pod'`,
      ],
    ],
    [
      [{ type: "Odd" }, { type: "example.com/Odd" }, { type: "Container" }, { type: "Container" }],
      [
        `${at}.type: Invalid value: "Odd": must be a standard limit type or fully qualified`,
        'spec.limits[3].type: Duplicate value: "Container"',
      ],
    ],
    [
      [{ type: "Pod", maxLimitRequestRatio: { cpu: "500m" } }],
      [`${at}.maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1`],
    ],
    [
      [{ type: "Pod", min: { cpu: "1" }, max: { cpu: "2" }, maxLimitRequestRatio: { cpu: "3" } }],
      [`${at}.maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000`],
    ],
    [
      [{ type: "PersistentVolumeClaim" }],
      [`${at}.limits: Required value: either minimum or maximum storage value is required, but neither was provided`],
    ],
    [
      [{ type: "Container", default: { "example.com/a": "2" }, defaultRequest: { "example.com/a": "1" } }],
      [
        `${at}.defaultRequest[example.com/a]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in example.com/a`,
      ],
    ],
  ];
  for (const [limits, errors] of cases) assert.deepEqual(create(...limits).errors, errors, JSON.stringify(limits));
});

test("one without a name gets one", () => {
  const { object } = tryCreate(limitRangeKind, { metadata: { namespace: "n" }, spec: { limits: [] } });
  assert.match(object.metadata.name ?? "", /^[0-9a-f-]{36}$/);
});
