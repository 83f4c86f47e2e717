import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfiguration } from "../config/configuration.ts";
import { nodeAmounts } from "../resources/amounts.ts";
import { nodeStatus, nodeStatusPatch } from "./node-status.ts";

const amounts = nodeAmounts({
  machine: { cpus: 2, memoryBytes: 2 ** 31, hugepageBytes: {} },
  diskBytes: 2 ** 30,
  config: defaultConfiguration(),
});
type Input = Parameters<typeof nodeStatus>[1];
const machine = { cpus: 2, memoryBytes: 2 ** 31, hugepageBytes: {}, swapBytes: 0 } as Input["machine"]; // the rest is only shown
const disk = { capacityBytes: 2 ** 30, availableBytes: 2 ** 30, freeBytes: 2 ** 30, inodes: 0, inodesFree: 0 };
const input = { machine, disk, nodeName: "n", amounts, addresses: [], problems: [], pressures: [], images: [], port: 0, now: 0 };
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
