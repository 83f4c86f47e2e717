import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { Node } from "../types.d.ts";
import { nodeKind } from "./node.ts";

const made = (fields: object = {}): Node => tryCreate(nodeKind, { metadata: { name: "n" }, ...fields }).object;
const errorsOf = (fields: object) =>
  tryCreate(nodeKind, { metadata: { name: "n" }, ...fields }).errors.map((error) =>
    error.replace(/ must consist of .*$/, " …"),
  );
const change = (old: Node, spec: object) =>
  tryUpdate(nodeKind, old, { change: (node) => Object.assign(node, { spec: { ...node.spec, ...spec } }) });

test("a node brings its status, and what can be used is what there is", () => {
  const { status } = made({ status: { capacity: { cpu: "4", memory: "8Gi" } } });
  assert.deepEqual(status?.allocatable, { cpu: "4", memory: "8Gi" });
});

test("its range stands in two fields that agree", () => {
  const ranges = (spec: object) => {
    const { podCIDR, podCIDRs } = made({ spec }).spec ?? {};
    return [podCIDR, podCIDRs];
  };
  assert.deepEqual(ranges({ podCIDR: "10.0.0.0/24" }), ["10.0.0.0/24", ["10.0.0.0/24"]]);
  assert.deepEqual(ranges({ podCIDRs: ["10.0.0.0/24"] }), ["10.0.0.0/24", ["10.0.0.0/24"]]);
  assert.deepEqual(ranges({ podCIDR: "10.0.0.0/24", podCIDRs: ["10.1.0.0/24"] }), ["10.0.0.0/24", ["10.0.0.0/24"]]);
});

test("nodes: what is refused", () => {
  const cases: [object, string[]][] = [
    [
      {
        spec: {
          taints: [
            { key: "a b", effect: "NoSchedule" },
            { key: "k", effect: "Odd" },
            { key: "k", effect: "" },
          ],
        },
      },
      [
        'metadata.taints[0].key: Invalid value: "a b": name part …',
        'metadata.taints[1].effect: Unsupported value: "Odd": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        "metadata.taints[2].effect: Required value",
      ],
    ],
    [
      {
        spec: {
          taints: [
            { key: "k", effect: "NoSchedule" },
            { key: "k", value: "x", effect: "NoSchedule" },
          ],
        },
      },
      [
        'metadata.taints[1]: Duplicate value: {"Key":"k","Value":"x","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair',
      ],
    ],
    [
      { spec: { podCIDR: "x" } },
      ['spec.podCIDRs[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'],
    ],
    [
      { spec: { podCIDR: "10.0.0.0/24", podCIDRs: ["10.0.0.0/24", "10.1.0.0/24"] } },
      [
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one CIDR for each IP family',
      ],
    ],
    [{ spec: { podCIDRs: ["10.0.0.0/24", "fd00::/64"] } }, []],
    [
      { status: { capacity: { cpu: "-1" }, allocatable: { cpu: "1" } } },
      ['status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0'],
    ],
    [
      { status: { declaredFeatures: ["B", "A", "A", "a"] } },
      [
        'status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically',
        'status.declaredFeatures[2]: Duplicate value: "A"',
        'status.declaredFeatures[3]: Invalid value: "a": invalid feature name "a": must start with an UpperCamelCase segment, with subsequent segments separated by \'/\' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes',
      ],
    ],
  ];
  for (const [node, errors] of cases) assert.deepEqual(errorsOf(node), errors, JSON.stringify(node));
});

test("some things are given once", () => {
  const range = 'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid';
  assert.deepEqual(change(made(), { podCIDR: "10.0.0.0/24", providerID: "x://1" }).errors, []);
  const old = made({ spec: { podCIDR: "10.0.0.0/24", providerID: "x://1" } });
  assert.deepEqual(change(old, { podCIDR: "10.1.0.0/24", podCIDRs: ["10.1.0.0/24"] }).errors, [range]);
  assert.deepEqual(change(old, { providerID: "x://2" }).errors, [
    'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
  ]);
  assert.deepEqual(change(old, { unschedulable: true }).errors, []);
});

test("spec and status change on paths of their own", () => {
  const old = made({ status: { capacity: { cpu: "4" } } });
  const both = (node: Node) =>
    Object.assign(node, { spec: { unschedulable: true }, status: { capacity: { cpu: "5" } } });
  const main = tryUpdate(nodeKind, old, { change: both }).object;
  assert.deepEqual([main.spec, main.status?.capacity], [{ unschedulable: true }, { cpu: "4" }]);
  const status = tryUpdate(nodeKind, old, { change: both, subresource: "status" }).object;
  assert.deepEqual([status.spec, status.status?.capacity], [old.spec, { cpu: "5" }]);
});

test("an address is reported once", () => {
  const address = { type: "InternalIP", address: "10.0.0.1" };
  const { errors } = tryUpdate(nodeKind, made(), {
    change: (node) => Object.assign(node, { status: { ...node.status, addresses: [address, address] } }),
    subresource: "status",
  });
  assert.deepEqual(errors, ['status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"10.0.0.1"}']);
});

test("what is gone or odd is warned about", () => {
  const { warnings } = tryCreate(nodeKind, {
    metadata: { name: "n" },
    spec: { externalID: "x", podCIDR: "10.0.0.1/24" },
  });
  assert.deepEqual(warnings, [
    "spec.externalID: this field is deprecated, and is unused by Kubernetes",
    'spec.podCIDRs[0]: CIDR value "10.0.0.1/24" is ambiguous in this context (should be "10.0.0.0/24" or "10.0.0.1/32"?)',
  ]);
});

test("the table", () => {
  const cells = (node: Node) => Object.values(tryColumns(nodeKind, node)).toSpliced(2, 1);
  assert.deepEqual(cells(made()), ["Unknown", "<none>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]);
  const ready = made({
    metadata: {
      name: "n",
      labels: { "node-role.kubernetes.io/worker": "", "kubernetes.io/role": "db", "node-role.kubernetes.io/": "" },
    },
    spec: { unschedulable: true },
    status: {
      conditions: [{ type: "Ready", status: "True" }],
      addresses: [
        { type: "InternalIP", address: "10.0.0.1" },
        { type: "ExternalIP", address: "5.6.7.8" },
      ],
      nodeInfo: { kubeletVersion: "v1.36.0", osImage: "o", kernelVersion: "k", containerRuntimeVersion: "c://1" },
    },
  });
  assert.deepEqual(cells(ready), [
    "Ready,SchedulingDisabled",
    "db,worker",
    "v1.36.0",
    "10.0.0.1",
    "5.6.7.8",
    "o",
    "k",
    "c://1",
  ]);
  assert.equal(cells(made({ status: { conditions: [{ type: "Ready", status: "Unknown" }] } }))[0], "NotReady");
});
