import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { defaultConfiguration } from "../config/configuration.ts";
import {
  linuxResources,
  milliOfQuota,
  milliOfShares,
  oomScoreAdj,
  podTotal,
  type ResourceFacts,
  sharesOf,
  swapBehavior,
  weightOf,
} from "./resources.ts";

type Amounts = Record<string, string>;
const gibi = 2 ** 30;
const podOf = (requests: Amounts, limits: Amounts = {}, spec: object = {}): Pod => ({
  metadata: { name: "p" },
  spec: { containers: [{ name: "c", resources: { requests, limits } }], ...spec },
});
const first = (pod: Pod) => pod.spec!.containers[0]!; // it has one
const factsWith = (more: Partial<ResourceFacts> = {}, config: object = {}): ResourceFacts => ({
  config: { ...defaultConfiguration(), ...config },
  memoryBytes: 8 * gibi,
  swapBytes: 4 * gibi,
  cgroupVersion: 2,
  hasSwapControl: true,
  pageSizes: ["2MB"],
  allocatableMemory: () => 7 * gibi,
  ...more,
});

test("kernel resources: weights, shares and quotas there and back", () => {
  assert.deepEqual([2, 102, 1024, 262_144, 300_000].map(weightOf), [1, 4, 39, 10_000, 10_000]);
  assert.deepEqual([1, 4, 39, 10_000].map(sharesOf), [2, 80, 998, 262_144]);
  assert.deepEqual([1, 2, 102, 1024].map(milliOfShares), [0, 2, 100, 1000]);
  assert.deepEqual([milliOfQuota(-1, 100_000), milliOfQuota(15_000, 100_000)], [0, 150]);
});

test("kernel resources: what the runtime is told of a container", () => {
  const pod = podOf({ cpu: "100m", memory: "1Gi" }, { cpu: "500m", memory: "2Gi", "hugepages-2Mi": "4Mi" });
  assert.deepEqual(linuxResources(pod, first(pod), factsWith()), {
    cpuShares: 102,
    cpuPeriod: 100_000,
    cpuQuota: 50_000,
    memoryLimitInBytes: 2 * gibi,
    oomScoreAdj: 875,
    hugepageLimits: [{ pageSize: "2MB", limit: 4 * 2 ** 20 }],
    unified: { "memory.oom.group": "1", "memory.swap.max": "0" },
  });
  const own = { cpus: "1-2", mems: "", isExclusive: true };
  const { cpuQuota, cpusetCpus } = linuxResources(pod, first(pod), factsWith(), own);
  assert.deepEqual([cpuQuota, cpusetCpus], [-1, "1-2"]);
  const v1 = linuxResources(pod, first(pod), factsWith({ cgroupVersion: 1 }, { cpuCFSQuota: false }));
  assert.deepEqual([v1.cpuQuota, v1.unified, v1.memorySwapLimitInBytes], [undefined, undefined, 2 * gibi]);
  const single = linuxResources(pod, first(pod), factsWith({ hasSwapControl: false }, { singleProcessOOMKill: true }));
  assert.equal(single.unified, undefined);
});

test("kernel resources: a limit of the pod counts for containers that have none", () => {
  const pod = podOf({}, {}, { resources: { limits: { cpu: "1", memory: "1Gi", "hugepages-2Mi": "2Mi" } } });
  const { cpuQuota, cpuShares, memoryLimitInBytes, hugepageLimits } = linuxResources(pod, first(pod), factsWith());
  assert.deepEqual([cpuQuota, cpuShares, memoryLimitInBytes], [100_000, 1024, gibi]);
  assert.deepEqual(hugepageLimits, [{ pageSize: "2MB", limit: 2 * 2 ** 20 }]);
  const whole = podOf({ cpu: "1" }, {}, { resources: { requests: { cpu: "3" } }, overhead: { cpu: "250m" } });
  assert.deepEqual(podTotal(whole, { kind: "requests", name: "cpu" }), { total: 3250, complete: true });
});

test("kernel resources: memory is reserved and slowed down when the settings say so", () => {
  const on = (pod: Pod, policy: string) =>
    linuxResources(
      pod,
      first(pod),
      factsWith(
        { hasSwapControl: false },
        { featureGates: { MemoryQoS: true }, memoryReservationPolicy: policy, singleProcessOOMKill: true },
      ),
    ).unified;
  const bounded = podOf({ memory: "1Gi" }, { memory: "2Gi" });
  assert.deepEqual(on(bounded, "TieredReservation"), {
    "memory.low": String(gibi),
    "memory.high": String(Math.floor((gibi + gibi * 0.9) / 4096) * 4096),
  });
  assert.deepEqual(on(bounded, "None")?.["memory.min"], "0");
  const open = on(podOf({ memory: "1Gi" }), "TieredReservation");
  assert.equal(open?.["memory.high"], String(Math.floor((gibi + 6 * gibi * 0.9) / 4096) * 4096));
  const guaranteed = podOf({ cpu: "1", memory: "1Gi" }, { cpu: "1", memory: "1Gi" });
  assert.deepEqual(on(guaranteed, "TieredReservation"), { "memory.min": String(gibi) });
});

test("kernel resources: swap is for burstable containers that ask for memory, by their share of it", () => {
  const limited = factsWith({}, { memorySwap: { swapBehavior: "LimitedSwap" } });
  const swapOf = (pod: Pod, facts = limited) => linuxResources(pod, first(pod), facts).unified?.["memory.swap.max"];
  const burstable = podOf({ memory: "2Gi" });
  const cases: [name: string, pod: Pod, facts: ResourceFacts, swap: string | undefined][] = [
    ["a quarter of the memory", burstable, limited, String(gibi)],
    ["the usual setting", burstable, factsWith(), "0"],
    ["as much as its limit", podOf({ memory: "2Gi" }, { memory: "2Gi" }), limited, "0"],
    ["asks for no memory", podOf({ cpu: "1" }), limited, "0"],
    ["best effort", podOf({}), limited, "0"],
    ["critical", podOf({ memory: "2Gi" }, {}, { priority: 2_000_000_000 }), limited, "0"],
    ["the kernel can't", burstable, factsWith({ hasSwapControl: false }), undefined],
  ];
  for (const [name, pod, facts, swap] of cases) assert.equal(swapOf(pod, facts), swap, name);
  const v1 = factsWith({ cgroupVersion: 1 }, { memorySwap: { swapBehavior: "LimitedSwap" } });
  assert.equal(swapBehavior(burstable, first(burstable), v1), "NoSwap");
});

test("kernel resources: who is killed first when memory runs out", () => {
  const score = (pod: Pod) => oomScoreAdj(pod, first(pod), 8 * gibi);
  assert.equal(score(podOf({})), 1000);
  assert.equal(score(podOf({ cpu: "1", memory: "1Gi" }, { cpu: "1", memory: "1Gi" })), -997);
  assert.equal(score(podOf({ memory: "4Gi" })), 500);
  assert.equal(score(podOf({ memory: "8Gi" })), 3);
  assert.equal(score(podOf({ cpu: "1m" })), 999);
  assert.equal(score(podOf({ memory: "1Gi" }, {}, { resources: { requests: { memory: "4Gi" } } })), 500);
  const node = { priority: 2_000_001_000, priorityClassName: "system-node-critical" };
  assert.equal(score(podOf({}, {}, node)), -997);
  assert.equal(score(podOf({}, {}, { ...node, priorityClassName: "system-cluster-critical" })), 1000);
  const sidecar = podOf(
    { memory: "4Gi" },
    {},
    {
      initContainers: [{ name: "s", restartPolicy: "Always", resources: { requests: { memory: "1Gi" } } }],
    },
  );
  assert.equal(oomScoreAdj(sidecar, sidecar.spec!.initContainers![0]!, 8 * gibi), 500);
});
