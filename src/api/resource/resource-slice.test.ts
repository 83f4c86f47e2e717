import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { ResourceSlice } from "../types.d.ts";
import { resourceSliceKind } from "./resource-slice.ts";

const pool = { name: "node-1", generation: 1, resourceSliceCount: 1 };
const slice = (spec: object = {}) => ({ spec: { driver: "d.example.com", pool, nodeName: "n", ...spec } });
const nodesRule = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
const counters = { a: { value: "1" } };

test("resource slice: a fresh one", () => {
  const devices = [
    {
      name: "gpu-0",
      attributes: { model: { string: "x" }, "d.example.com/v": { version: "1.2.3-rc.1+b" } },
      nodeAllocatableResourceMappings: { cpu: {} },
      taints: [{ key: "k", effect: "NoSchedule" }],
    },
  ];
  const { object, errors, warnings } = tryCreate(resourceSliceKind, slice({ driver: "D.example.com", devices }));
  assert.deepEqual(errors, []);
  assert.deepEqual(warnings, [
    'spec.driver: driver names should be lowercase; "D.example.com" contains uppercase characters',
  ]);
  const [device] = object.spec.devices ?? [];
  assert.equal(device?.nodeAllocatableResourceMappings, undefined, "not served");
  assert.match(device?.taints?.[0]?.timeAdded ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(object.metadata.generation, 1);
  const { Age: _, ...cells } = tryColumns(resourceSliceKind, object);
  assert.deepEqual(cells, { Node: "n", Driver: "D.example.com", Pool: "node-1" });
  assert.equal(
    resourceSliceKind.unknownField?.("spec.x"),
    "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: spec.x",
  );
  assert.deepEqual(resourceSliceKind.selectableFields?.(object), {
    "spec.nodeName": "n",
    "spec.driver": "D.example.com",
  });
});

test("resource slice: what is refused", () => {
  const terms = (...nodeSelectorTerms: object[]) => ({ nodeName: undefined, nodeSelector: { nodeSelectorTerms } });
  const term = { matchExpressions: [{ key: "a", operator: "Exists" }] };
  const printed = '{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null}';
  const cases: [object, string[]][] = [
    [
      { driver: "", pool: { name: "", generation: -1, resourceSliceCount: 0 } },
      [
        "spec.driver: Required value",
        "spec.pool.name: Required value",
        "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
      ],
    ],
    [{ nodeName: undefined }, [`spec: Required value: ${nodesRule}`]],
    [
      { nodeName: "" },
      [
        'spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string',
        `spec: Required value: ${nodesRule}`,
      ],
    ],
    [
      { allNodes: true, perDeviceNodeSelection: false },
      [
        "spec.perDeviceNodeSelection: Invalid value: false: must be either unset or set to true",
        `spec: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${nodesRule}, but multiple fields are set`,
      ],
    ],
    [terms(term), []],
    [
      terms(term, term),
      [
        `spec.nodeSelector.nodeSelectorTerms: Invalid value: [${printed},${printed}]: must have exactly one node selector term`,
      ],
    ],
    [
      { devices: [{ name: "x" }], sharedCounters: [{ name: "s", counters }, { name: "s" }] },
      [
        'spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed',
        "spec.sharedCounters[1].counters: Required value",
        'spec.sharedCounters[1]: Duplicate value: "s"',
      ],
    ],
    [{ devices: ["x", "x"].map((name) => ({ name })) }, ['spec.devices[1]: Duplicate value: "x"']],
    [
      { devices: Array.from({ length: 65 }, (_, i) => ({ name: `d${i}`, taints: [{ key: "k", effect: "None" }] })) },
      ["spec.devices: Too many: 65: must have at most 64 items"],
    ],
    [
      { devices: [{ name: "x", allNodes: true }] },
      [
        "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
      ],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(tryCreate(resourceSliceKind, slice(spec)).errors, expected);
});

test("resource slice: where each device says on which nodes it is", () => {
  const rule =
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
  const at = "spec.devices[0]";
  const cases: [object, string[]][] = [
    [{ nodeName: "n" }, []],
    [{}, [`${at}: Required value: ${rule}`]],
    [{ nodeName: "" }, [`${at}.nodeName: Invalid value: "": must not be empty`, `${at}: Required value: ${rule}`]],
    [{ nodeName: "n", allNodes: true }, [`${at}: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${rule}`]],
  ];
  for (const [device, expected] of cases) {
    const spec = { nodeName: undefined, perDeviceNodeSelection: true, devices: [{ name: "x", ...device }] };
    assert.deepEqual(tryCreate(resourceSliceKind, slice(spec)).errors, expected);
  }
});

test("resource slice: what an update may change", () => {
  const { object } = tryCreate(resourceSliceKind, slice());
  const update = (change: (spec: ResourceSlice["spec"]) => void) =>
    tryUpdate(resourceSliceKind, object, { change: ({ spec }) => change(spec) });
  const immutable = (field: string, value: string) => `spec.${field}: Invalid value: "${value}": field is immutable`;
  const { errors } = update((spec) => {
    spec.driver = "e";
    spec.pool.name = "p";
    spec.nodeName = "m";
  });
  assert.deepEqual(errors, [immutable("pool.name", "p"), immutable("driver", "e"), immutable("nodeName", "m")]);
  const grown = update((spec) => {
    spec.pool.resourceSliceCount = 2;
  });
  assert.deepEqual([grown.errors, grown.object.metadata.generation], [[], 2]);
});
