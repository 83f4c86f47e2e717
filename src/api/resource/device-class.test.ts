import assert from "node:assert/strict";
import { before, test } from "node:test";
import { loadCel } from "../cel-engine.ts";
import { tryCreate, tryUpdate } from "../trial.ts";
import { deviceClassKind } from "./device-class.ts";

before(() => loadCel());

const opaque = { driver: "d.example.com", parameters: { a: 1 } };

test("device class: what is refused", () => {
  const cases: [object, string[]][] = [
    [{}, []],
    [{ selectors: [{ cel: { expression: "true" } }], config: [{ opaque }], extendedResourceName: "e.com/gpu" }, []],
    [{ selectors: new Array(33).fill({}) }, ["spec.selectors: Too many: 33: must have at most 32 items"]],
    [
      { selectors: [{ cel: { expression: "1" } }] },
      ['spec.selectors[0].cel.expression: Invalid value: "1": must evaluate to bool or the unknown type, not int'],
    ],
    [
      {
        selectors: [
          {
            cel: {
              expression:
                "device.attributes.map(a, device.attributes.map(b, device.attributes.map(c, device.attributes.map(d, 1)))).size() > 0",
            },
          },
        ],
      },
      ["spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"],
    ],
    [{ config: [{}] }, ["spec.config[0].opaque: Required value"]],
    ...["gpu", "kubernetes.io/gpu", "requests.e.com/gpu"].map((name): [object, string[]] => [
      { extendedResourceName: name },
      [`spec.extendedResourceName: Invalid value: "${name}": must be a valid extended resource name`],
    ]),
  ];
  for (const [spec, expected] of cases) assert.deepEqual(tryCreate(deviceClassKind, { spec }).errors, expected);
});

test("device class: long parameters stay, and are not taken anew", () => {
  const long = { opaque: { ...opaque, parameters: { a: "x".repeat(10_240) } } };
  const tooLong = ["spec.config[0].opaque.parameters: Too long: may not be more than 10240 bytes"];
  assert.deepEqual(tryCreate(deviceClassKind, { spec: { config: [long] } }).errors, tooLong);
  const { object } = tryCreate(deviceClassKind, { spec: { config: [{ opaque }] } });
  const old = { ...object, spec: { config: [long] } };
  const renamed = tryUpdate(deviceClassKind, old, {
    change({ spec }) {
      spec.extendedResourceName = "e.com/gpu";
    },
  });
  assert.deepEqual([renamed.errors, renamed.object.metadata.generation], [[], 2]);
  const more = tryUpdate(deviceClassKind, old, { change: ({ spec }) => void spec.config?.push({ opaque }) });
  assert.deepEqual(more.errors, tooLong);
});
