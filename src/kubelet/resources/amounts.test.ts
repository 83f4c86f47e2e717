import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfiguration } from "../config/configuration.ts";
import { checkReservations, groupValuesOf, nodeAmounts, podsLimits, reservedGroups } from "./amounts.ts";
import { parseCpuSet, printCpuSet } from "./cpu-set.ts";

const machine = { cpus: 4, memoryBytes: 8 * 2 ** 30, hugepageBytes: { "2Mi": 2 ** 30, "1Gi": 0 } };
const input = (config: object) => ({
  machine,
  diskBytes: 100 * 2 ** 30,
  config: { ...defaultConfiguration(), ...config },
});

test("node amounts: what is left is capacity less reservations, thresholds of eviction and huge pages", () => {
  const cases: [config: object, left: object][] = [
    [{}, { cpu: "4", memory: "7Gi", "ephemeral-storage": "90Gi", pods: "110", "hugepages-2Mi": "1Gi" }],
    [
      { kubeReserved: { cpu: "500m", memory: "1Gi" }, systemReserved: { cpu: "1" } },
      { cpu: "2500m", memory: "6Gi" },
    ],
    [
      { reservedSystemCPUs: "0,2-3", kubeReserved: { cpu: "4", memory: "1Gi" } },
      { cpu: "1", memory: "6Gi" },
    ],
    [{ podsPerCore: 10 }, { pods: "40" }],
    [{ podsPerCore: 100 }, { pods: "110" }],
    [
      { evictionHard: { "memory.available": "25%", "nodefs.available": "5Gi" } },
      { memory: "5Gi", "ephemeral-storage": "95Gi" },
    ],
    [{ systemReserved: { "ephemeral-storage": "200Gi" } }, { "ephemeral-storage": "0" }],
  ];
  for (const [config, left] of cases) {
    const withMemory =
      "evictionHard" in config
        ? config
        : { evictionHard: { "memory.available": "0", "nodefs.available": "10%" }, ...config };
    const { allocatable } = nodeAmounts(input(withMemory));
    for (const [name, value] of Object.entries(left))
      assert.equal(allocatable[name], value, `${JSON.stringify(config)} ${name}`);
  }
  const devices = { capacity: { "a.io/d": "3" }, allocatable: { "a.io/d": "2" } };
  const { capacity, allocatable } = nodeAmounts({ ...input({}), devices });
  assert.deepEqual([capacity["a.io/d"], allocatable["a.io/d"]], ["3", "2"]);
});

test("node amounts: more reserved than there is doesn't start", () => {
  assert.throws(() => checkReservations(input({ kubeReserved: { cpu: "5" } })), {
    message:
      'invalid Node Allocatable configuration. Resource "cpu" has a reservation of 5 but capacity of 4. Expected capacity >= reservation.',
  });
  checkReservations(input({}));
});

test("node amounts: groups are limited by what the settings enforce", () => {
  const reserved = { kubeReserved: { memory: "1Gi", cpu: "1" } };
  const { memoryLimitBytes, cpuShares, pidsMax } = podsLimits(input(reserved), 1000);
  assert.deepEqual([memoryLimitBytes, cpuShares, pidsMax], [7 * 2 ** 30, 3072, 1000]);
  assert.equal(podsLimits(input({ ...reserved, enforceNodeAllocatable: [] }), 1000).memoryLimitBytes, 8 * 2 ** 30);
  const config = input({
    ...reserved,
    enforceNodeAllocatable: ["pods", "kube-reserved-compressible"],
    kubeReservedCgroup: "/kube",
  }).config;
  assert.deepEqual(reservedGroups(config), [
    { title: "Kube Reserved Compressible", group: "/kube", values: { cpuShares: 1024 } },
  ]);
  assert.deepEqual(groupValuesOf({ "hugepages-2Mi": "4Mi" }), { hugepages: [{ pageSize: "2MB", limit: 2 ** 22 }] });
});

test("sets of cpus: as the kernel writes them", () => {
  assert.deepEqual([...parseCpuSet("0-2,5\n")], [0, 1, 2, 5]);
  assert.equal(printCpuSet([5, 0, 2, 1]), "0-2,5");
  assert.throws(() => parseCpuSet("2-1"), /numbers and ranges/);
});
