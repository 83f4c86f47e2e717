import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { csiDriverKind } from "./csi-driver.ts";
import { csiNodeKind } from "./csi-node.ts";
import { csiStorageCapacityKind } from "./csi-storage-capacity.ts";

const driver = (spec: object = {}) => tryCreate(csiDriverKind, { spec });
const node = (...drivers: object[]) => tryCreate(csiNodeKind, { spec: { drivers } });
const twice = (errors: string[]) => [...errors, ...errors];

test("CSI driver: what a client leaves out", () => {
  const { object, errors } = driver({ preventPodSchedulingIfMissing: true });
  assert.deepEqual(errors, []);
  assert.deepEqual(object.spec, {
    attachRequired: true,
    podInfoOnMount: false,
    storageCapacity: false,
    fsGroupPolicy: "ReadWriteOnceWithFSType",
    volumeLifecycleModes: ["Persistent"],
    requiresRepublish: false,
    seLinuxMount: false,
  });
  const { Age: _, ...cells } = tryColumns(csiDriverKind, object);
  assert.deepEqual(cells, {
    AttachRequired: true,
    PodInfoOnMount: false,
    StorageCapacity: false,
    TokenRequests: "<unset>",
    RequiresRepublish: false,
    Modes: "Persistent",
  });
});

test("CSI driver: what is refused", () => {
  const token = (expirationSeconds?: number, audience = "") => ({ audience, expirationSeconds });
  const at = "spec.tokenRequests";
  const cases: [object, string[]][] = [
    [
      { fsGroupPolicy: "Some" },
      ['spec.fsGroupPolicy: Unsupported value: "Some": supported values: "File", "None", "ReadWriteOnceWithFSType"'],
    ],
    [
      { volumeLifecycleModes: ["Odd"] },
      ['spec.volumeLifecycleModes: Unsupported value: "Odd": supported values: "Persistent", "Ephemeral"'],
    ],
    [{ tokenRequests: [token(), token()] }, [`${at}[1].audience: Duplicate value: ""`]],
    [
      { tokenRequests: [token(599), token(2 ** 32 + 1, "a")] },
      [
        `${at}[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`,
        `${at}[1].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`,
      ],
    ],
    [
      { nodeAllocatableUpdatePeriodSeconds: 9 },
      ["spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"],
    ],
    [
      { serviceAccountTokenInSecrets: true },
      [
        "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
      ],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(driver(spec).errors, expected);
});

test("CSI driver: what an update may change", () => {
  const { errors, object } = tryUpdate(csiDriverKind, driver().object, {
    change({ spec }) {
      spec.attachRequired = false;
      spec.volumeLifecycleModes = ["Ephemeral"];
      spec.podInfoOnMount = true;
    },
  });
  assert.deepEqual(errors, [
    "spec.attachedRequired: Invalid value: false: field is immutable",
    'spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: field is immutable',
  ]);
  assert.equal(object.metadata.generation, 1);
});

test("CSI node", () => {
  const one = { name: "d.example.com", nodeID: "n1", topologyKeys: ["zone"] };
  const fine = node(one);
  assert.deepEqual([fine.errors, tryColumns(csiNodeKind, fine.object).Drivers], [[], 1]);
  assert.deepEqual(node({ ...one, topologyKeys: undefined }).errors, []);
  const cases: [object[], string[]][] = [
    [[{}], ["spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value"]],
    [
      [{ ...one, nodeID: "n".repeat(257) }],
      [`spec.drivers[0].nodeID: Invalid value: "${"n".repeat(257)}": must be 256 characters or less`],
    ],
    [[one, one], ['spec.drivers[1].name: Duplicate value: "d.example.com"']],
    [
      [{ ...one, allocatable: { count: -1 } }],
      ["spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0"],
    ],
    [[{ ...one, topologyKeys: ["a", "a"] }], ['spec.drivers[0]: Duplicate value: "a"']],
  ];
  for (const [drivers, expected] of cases) assert.deepEqual(node(...drivers).errors, expected);

  const update = (drivers: object[]) =>
    tryUpdate(csiNodeKind, fine.object, {
      change(object) {
        object.spec = { drivers: drivers as typeof object.spec.drivers }; // as a client may send them
      },
    }).errors;
  assert.deepEqual(update([{ ...one, allocatable: { count: 3 } }]), []);
  assert.deepEqual(update([]), []);
  assert.deepEqual(update([{ ...one, nodeID: "n2" }]), [
    'spec.drivers: Invalid value: {"Name":"d.example.com","NodeID":"n2","TopologyKeys":["zone"],"Allocatable":null}: field is immutable',
  ]);
});

test("CSI storage capacity", () => {
  const capacity = (more: object = {}) => tryCreate(csiStorageCapacityKind, { storageClassName: "fast", ...more });
  const { object, errors } = capacity({ capacity: "10Gi" });
  assert.deepEqual(errors, []);
  const { StorageClassName, Capacity } = tryColumns(csiStorageCapacityKind, object);
  assert.deepEqual([StorageClassName, Capacity], ["fast", "10Gi"]);
  const negative = 'capacity: Invalid value: "-1": must be greater than or equal to 0';
  assert.deepEqual(capacity({ capacity: "-1" }).errors, twice([negative]));
  const { errors: changed } = tryUpdate(csiStorageCapacityKind, object, {
    change(each) {
      each.storageClassName = "slow";
      each.nodeTopology = { matchLabels: { a: "b" } };
      each.capacity = "1Gi";
    },
  });
  assert.deepEqual(changed, [
    'nodeTopology: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable',
    'storageClassName: Invalid value: "slow": field is immutable',
  ]);
});
