import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfiguration } from "../config/configuration.ts";
import { nodeAmounts } from "../resources/amounts.ts";
import { newNode, nodeStatus, nodeStatusPatch, reconciledMetadata } from "./node-status.ts";

const amounts = nodeAmounts({
  machine: { cpus: 2, memoryBytes: 2 ** 31, hugepageBytes: {} },
  diskBytes: 2 ** 30,
  config: defaultConfiguration(),
});
type Input = Parameters<typeof nodeStatus>[1];
const machine = {
  cpus: 2,
  architecture: "amd64",
  memoryBytes: 2 ** 31,
  hugepageBytes: {},
  swapBytes: 0,
} as Input["machine"]; // the rest is only shown
const disk = { capacityBytes: 2 ** 30, availableBytes: 2 ** 30, freeBytes: 2 ** 30, inodes: 0, inodesFree: 0 };
const input = {
  machine,
  disk,
  nodeName: "n",
  amounts,
  addresses: [],
  problems: [],
  pressures: [],
  images: [],
  port: 0,
  now: 0,
};
const statusAfter = (old: Parameters<typeof nodeStatus>[0]) =>
  nodeStatus(old, { ...input, pressures: [] } as unknown as Input);

test("node status: what others add to the capacity is there for pods, until they take it away", () => {
  const first = statusAfter({});
  const more = { ...first, capacity: { ...first.capacity, "example.com/foo": "5" } };
  const second = statusAfter(more);
  assert.equal(second.capacity?.["example.com/foo"], "5");
  assert.equal(second.allocatable?.["example.com/foo"], "5");
  assert.equal(second.allocatable?.cpu, "2");
  const third = statusAfter({ ...second, capacity: first.capacity });
  assert.deepEqual(third.allocatable, first.allocatable);
  const patch = nodeStatusPatch(third, second) as { status: { allocatable: Record<string, unknown> } }; // of that shape
  assert.equal(patch.status.allocatable["example.com/foo"], null);
});

test("node status: images by size, so many as are wanted, with some of their names", () => {
  const names = ["1", "2", "3", "4", "5", "6"];
  const images = [
    { names: ["a"], sizeBytes: 1 },
    { names, sizeBytes: 3 },
    { names: ["b"], sizeBytes: 2 },
  ];
  const shown = (imagesMax: number) =>
    nodeStatus({}, { ...input, images, imagesMax } as unknown as Input).images?.map((image) => image.names);
  assert.deepEqual(shown(2), [names.slice(0, 5), ["b"]]);
  assert.deepEqual(shown(0), []);
  assert.equal(shown(-1)?.length, 3);
});

test("existing node: labels that say what it is are put right, others belong to whoever changes them", () => {
  const identity = { nodeName: "n", machine, taints: [], labels: { own: "1", "topology.kubernetes.io/zone": "z" } };
  const wanted = newNode({ ...identity, annotations: { a: "b" } }, {});
  assert.equal(reconciledMetadata(wanted, wanted), undefined);
  const changed = structuredClone(wanted);
  Object.assign(changed.metadata.labels ?? {}, {
    own: "2",
    "kubernetes.io/hostname": "x",
    "topology.kubernetes.io/zone": "y",
  });
  changed.metadata.annotations = {};
  assert.deepEqual(reconciledMetadata(wanted, changed), {
    labels: { "kubernetes.io/hostname": "n", "topology.kubernetes.io/zone": "z" },
    annotations: { "volumes.kubernetes.io/controller-managed-attach-detach": "true", a: "b" },
  });
  const uncontrolled = newNode({ ...identity, isAttachControlled: false }, {});
  assert.deepEqual(reconciledMetadata(uncontrolled, wanted), {
    labels: {},
    annotations: { "volumes.kubernetes.io/controller-managed-attach-detach": null },
  });
  assert.deepEqual(newNode({ ...identity, providerID: "p://1" }, {}).spec, { providerID: "p://1" });
});
