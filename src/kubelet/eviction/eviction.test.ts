/** Thresholds, who goes first and what is said: cases of upstream's tables (pkg/kubelet/eviction/*_test.go), without a node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodView } from "../core/types.ts";
import { type PodUsage, rankPods, reclaimable } from "./rank.ts";
import { advance, initialState, type Observations, thresholdsMet } from "./state.ts";
import {
  type EvictionSettings,
  parseThresholds,
  printAmount,
  type Signal,
  type Threshold,
  withContainerFs,
} from "./thresholds.ts";
import { evictionFor, exceededLimit, hasStorageLimit, isCritical, refuseUnderPressure } from "./verdicts.ts";

const settings = (some: Partial<EvictionSettings>): EvictionSettings => ({
  evictionHard: {},
  evictionSoft: {},
  evictionSoftGracePeriod: {},
  evictionMinimumReclaim: {},
  mergeDefaultEvictionSettings: false,
  enforceNodeAllocatable: [],
  ...some,
});
/** `signal<amount`, then grace and reclaim where there are any. */
const print = ({ signal, value, graceMs, minReclaim }: Threshold) =>
  [
    `${signal}<${"share" in value ? `${+(value.share * 100).toFixed(4)}%` : printAmount(value, 0)}`,
    ...(graceMs ? [`${graceMs / 1000}s`] : []),
    ...(minReclaim
      ? [`+${"share" in minReclaim ? `${+(minReclaim.share * 100).toFixed(4)}%` : printAmount(minReclaim, 0)}`]
      : []),
  ].join(" ");

test("thresholds: what a configuration may say", () => {
  const table: readonly (readonly [Partial<EvictionSettings>, readonly string[]])[] = [
    [{}, []],
    [{ evictionHard: { "memory.available": "150Mi" } }, ["memory.available<150Mi"]],
    [
      { evictionHard: { "memory.available": "150Mi" }, enforceNodeAllocatable: ["pods"] },
      ["memory.available<150Mi", "allocatableMemory.available<150Mi"],
    ],
    [
      {
        evictionHard: { "memory.available": "10%" },
        evictionSoft: { "memory.available": "30%" },
        evictionSoftGracePeriod: { "memory.available": "30s" },
        evictionMinimumReclaim: { "memory.available": "5%" },
        enforceNodeAllocatable: ["pods"],
      },
      ["memory.available<10% +5%", "memory.available<30% 30s +5%", "allocatableMemory.available<10% +5%"],
    ],
    [
      {
        evictionHard: { "nodefs.available": "150Mi", "imagefs.available": "100Mi" },
        evictionSoft: { "imagefs.inodesFree": "5" },
        evictionSoftGracePeriod: { "imagefs.inodesFree": "1m30s" },
        evictionMinimumReclaim: { "imagefs.available": "2Gi", "nodefs.available": "1Gi" },
      },
      ["nodefs.available<150Mi +1Gi", "imagefs.available<100Mi +2Gi", "imagefs.inodesFree<5 90s"],
    ],
    [
      { evictionHard: { "nodefs.available": "0%", "imagefs.available": "100%", "pid.available": "5%" } },
      ["pid.available<5%"],
    ],
    [
      { evictionHard: { "memory.available": "1Gi" }, mergeDefaultEvictionSettings: true },
      [
        "memory.available<1Gi",
        "nodefs.available<10%",
        "nodefs.inodesFree<5%",
        "imagefs.available<15%",
        "imagefs.inodesFree<5%",
      ],
    ],
  ];
  for (const [config, expected] of table) assert.deepEqual(parseThresholds(settings(config)).map(print), expected);
});

test("thresholds: what a configuration may not say", () => {
  const table: readonly (readonly [Partial<EvictionSettings>, string])[] = [
    [{ evictionHard: { "mem.available": "150Mi" } }, "unsupported eviction signal mem.available"],
    [
      { evictionHard: { "memory.available": "-150Mi" } },
      "eviction threshold memory.available must be positive: -150Mi",
    ],
    [{ evictionHard: { "memory.available": "0" } }, "eviction threshold memory.available must be positive: 0"],
    [
      { evictionHard: { "memory.available": "-15%" } },
      "eviction percentage threshold memory.available must be >= 0%: -15%",
    ],
    [
      { evictionHard: { "memory.available": "150%" } },
      "eviction percentage threshold memory.available must be <= 100%: 150%",
    ],
    [{ evictionHard: { "memory.available": "x%" } }, 'strconv.ParseFloat: parsing "x": invalid syntax'],
    [
      { evictionSoft: { "memory.available": "150Mi" } },
      "grace period must be specified for the soft eviction threshold memory.available",
    ],
    [
      { evictionSoft: { "memory.available": "1" }, evictionSoftGracePeriod: { "memory.available": "-30s" } },
      "invalid eviction grace period specified: -30s, must be a positive value",
    ],
    [{ evictionSoftGracePeriod: { "memory.available": "3" } }, 'time: missing unit in duration "3"'],
    [
      { evictionMinimumReclaim: { "memory.available": "-300Mi" } },
      "negative eviction minimum reclaim specified for memory.available",
    ],
    [
      { evictionMinimumReclaim: { "memory.available": "0%" } },
      "eviction percentage minimum reclaim memory.available must be positive: 0%",
    ],
  ];
  for (const [config, message] of table) assert.throws(() => parseThresholds(settings(config)), { message });
});

test("thresholds: those of the containers' disk are of the disk that it is", () => {
  const config = {
    evictionHard: { "nodefs.available": "10%", "imagefs.available": "15%", "containerfs.available": "1%" },
    evictionSoft: { "nodefs.inodesFree": "5%" },
    evictionSoftGracePeriod: { "nodefs.inodesFree": "1s" },
  };
  const of = (dedicated: boolean, split: boolean) =>
    withContainerFs(parseThresholds(settings(config)), { dedicated, split });
  const derived = (dedicated: boolean, split: boolean) =>
    of(dedicated, split)
      .thresholds.map(print)
      .filter((text) => text.startsWith("containerfs"));
  assert.deepEqual(derived(false, false), ["containerfs.available<10%", "containerfs.inodesFree<5% 1s"]);
  assert.deepEqual(derived(true, false), ["containerfs.available<15%"]);
  assert.deepEqual(derived(true, true), ["containerfs.available<10%", "containerfs.inodesFree<5% 1s"]);
  assert.deepEqual(of(false, false).ignored, ["found containerfs.available for hard eviction. ignoring"]);
});

const gibi = 2 ** 30;
const seen = (amounts: Partial<Record<Signal, number>>, timeMs = 0, capacity = 3 * gibi): Observations =>
  new Map(
    Object.entries(amounts).map(([signal, available]) => [signal as Signal, { available, capacity, timeMs }]), // keys of the argument
  );

test("state: a soft threshold waits for its grace period, a condition stays for a while, enough must become free", () => {
  const thresholds = parseThresholds(
    settings({
      evictionHard: { "memory.available": "1Gi" },
      evictionSoft: { "memory.available": "2Gi" },
      evictionSoftGracePeriod: { "memory.available": "2m" },
      evictionMinimumReclaim: { "memory.available": "500Mi" },
    }),
  );
  let state = initialState;
  const at = (minutes: number, available: number) => {
    const now = minutes * 60_000;
    const observations = seen({ "memory.available": available }, now + 1);
    const next = advance(state, { thresholds, observations, transitionMs: 5 * 60_000, now });
    ({ state } = next);
    return [next.due.map(print).join(), state.conditions.join()];
  };
  const soft = "memory.available<2Gi 120s +500Mi";
  const hard = "memory.available<1Gi +500Mi";
  assert.deepEqual(at(0, 2.1 * gibi), ["", ""]);
  assert.deepEqual(at(1, 1.9 * gibi), ["", "MemoryPressure"]);
  assert.deepEqual(at(3, 1.9 * gibi), [soft, "MemoryPressure"]);
  assert.deepEqual(at(4, 0.9 * gibi), [`${hard},${soft}`, "MemoryPressure"]);
  // Above both, but not by as much as was asked for; the hard one is satisfied.
  assert.deepEqual(at(5, 2.2 * gibi), [soft, "MemoryPressure"]);
  assert.deepEqual(at(6, 2.6 * gibi), ["", "MemoryPressure"]);
  assert.deepEqual(at(9.9, 2.6 * gibi), ["", "MemoryPressure"]);
  assert.deepEqual(at(10, 2.6 * gibi), ["", ""]);
});

test("state: the same measurement is acted on once; memory is more urgent than the rest", () => {
  const thresholds = parseThresholds(
    settings({ evictionHard: { "nodefs.available": "50%", "memory.available": "1Gi" } }),
  );
  const observations = seen({ "nodefs.available": 1, "memory.available": 1, "pid.available": 1 });
  const first = advance(initialState, { thresholds, observations, transitionMs: 1000, now: 5000 });
  assert.deepEqual(
    first.due.map(({ signal }) => signal),
    ["memory.available", "nodefs.available"],
  );
  assert.deepEqual([...first.state.conditions].sort(), ["DiskPressure", "MemoryPressure"]);
  const again = advance(first.state, { thresholds, observations, transitionMs: 1000, now: 6000 });
  assert.deepEqual(again.due, []);
  assert.deepEqual(thresholdsMet(thresholds, new Map()), []);
  assert.deepEqual(thresholdsMet(thresholds, seen({ "nodefs.available": 1.5 * gibi })), []);
});

interface Sample {
  readonly priority?: number;
  readonly memory?: readonly [request: string, used: number];
  readonly disk?: readonly [request: string, rootfs: number, logs: number, volume: number];
  readonly processes?: number;
  readonly unknown?: boolean;
}

const makePod = (name: string, { priority = 0, memory, disk }: Sample): PodView => ({
  metadata: { name, uid: name },
  spec: {
    priority,
    containers: [
      {
        name: "c",
        image: "i",
        resources: {
          requests: { ...(memory && { memory: memory[0] }), ...(disk && { "ephemeral-storage": disk[0] }) },
        },
      },
    ],
    volumes: [{ name: "v", emptyDir: {} }],
  },
});
const files = (bytes: number) => ({ bytes, inodes: bytes / 1000 });
const usageFor = ({ memory, disk, processes = 0 }: Sample): PodUsage => ({
  ...(memory && { memoryBytes: memory[1] }),
  processes,
  containers: [{ name: "c", rootfs: files(disk?.[1] ?? 0), logs: files(disk?.[2] ?? 0) }],
  volumes: new Map([["v", files(disk?.[3] ?? 0)]]),
});

test("rank: who uses more than it asked for goes first, then the least important, then the greediest", () => {
  const mebi = 2 ** 20;
  const whole = { dedicated: false, split: false };
  const table: readonly (readonly [
    Signal,
    Readonly<Record<string, Sample>>,
    string,
    { dedicated: boolean; split: boolean }?,
  ])[] = [
    [
      "memory.available",
      {
        lowWithin: { priority: -1, memory: ["300Mi", 200 * mebi] },
        low: { priority: -1, memory: ["100Mi", 450 * mebi] },
        lowMore: { priority: -1, memory: ["0", 500 * mebi] },
        high: { priority: 9, memory: ["0", 900 * mebi] },
        within: { memory: ["1Gi", 1000 * mebi] },
        gone: { priority: 9, memory: ["1Gi", 0], unknown: true },
      },
      "gone lowMore low high lowWithin within",
    ],
    [
      "pid.available",
      {
        few: { processes: 3 },
        many: { processes: 80 },
        high: { priority: 3, processes: 900 },
        gone: { unknown: true },
      },
      "gone many few high",
    ],
    [
      "nodefs.available",
      {
        within: { disk: ["2Gi", 10 * mebi, 400 * mebi, 400 * mebi] },
        over: { disk: ["100Mi", 10 * mebi, 50 * mebi, 300 * mebi] },
        overMore: { disk: ["0", 500 * mebi, 0, 0] },
        lowOver: { priority: -5, disk: ["0", 1, 0, 0] },
      },
      "lowOver overMore over within",
    ],
    [
      "nodefs.available",
      { rootfs: { disk: ["0", 900, 1, 0] }, logs: { disk: ["0", 0, 800, 0] }, volume: { disk: ["0", 0, 0, 700] } },
      "logs volume rootfs",
      { dedicated: true, split: false },
    ],
    [
      "imagefs.available",
      { rootfs: { disk: ["0", 600, 1, 0] }, logs: { disk: ["0", 0, 800, 0] } },
      "rootfs logs",
      { dedicated: true, split: false },
    ],
    ["nodefs.inodesFree", { few: { disk: ["0", 1000, 0, 0] }, many: { disk: ["0", 0, 0, 9000] } }, "many few"],
  ];
  for (const [signal, samples, expected, layout = whole] of table) {
    const usageOf = ({ metadata }: PodView) => {
      const sample = samples[metadata.name ?? ""];
      return sample && !sample.unknown ? usageFor(sample) : undefined;
    };
    const pods = Object.entries(samples).map(([name, sample]) => makePod(name, sample));
    const order = rankPods(pods, signal, { usageOf, layout }).map(({ metadata }) => metadata.name);
    assert.equal(order.join(" "), expected, signal);
  }
  assert.deepEqual(reclaimable("memory.available", whole), []);
  assert.deepEqual(reclaimable("nodefs.available", whole), ["containers", "images"]);
  assert.deepEqual(reclaimable("nodefs.available", { dedicated: true, split: false }), []);
  assert.deepEqual(reclaimable("containerfs.available", { dedicated: true, split: false }), ["containers", "images"]);
  assert.deepEqual(reclaimable("imagefs.available", { dedicated: true, split: true }), ["images"]);
});

test("verdicts: messages and annotations of an eviction", () => {
  const due = parseThresholds(settings({ evictionHard: { "memory.available": "2Gi", "nodefs.available": "10%" } }));
  const observations = seen({ "memory.available": 1.5 * gibi, "nodefs.available": 1000 });
  const pod = makePod("p", { memory: ["1Gi", 0] });
  const usage: PodUsage = {
    memoryBytes: 3 * gibi,
    containers: [
      { name: "c", memoryBytes: 2 * gibi, rootfs: files(3000), logs: files(1096) },
      { name: "debug", memoryBytes: gibi },
    ],
    volumes: new Map(),
  };
  assert.deepEqual(evictionFor(pod, "memory", { usage, due, observations }), {
    message:
      "The node was low on resource: memory. Threshold quantity: 2Gi, available: 1536Mi. Container c was using 2Gi, request is 1Gi, has larger consumption of memory. ",
    annotations: { offending_containers: "c", offending_containers_usage: "2Gi", starved_resource: "memory" },
  });
  assert.equal(
    evictionFor(pod, "ephemeral-storage", { usage, due, observations }).message,
    "The node was low on resource: ephemeral-storage. Threshold quantity: 322122552, available: 1k. Container c was using 4Ki, request is 0, has larger consumption of ephemeral-storage. ",
  );
  assert.deepEqual(evictionFor(pod, "pids", { usage: undefined, due: [], observations }), {
    message: "The node was low on resource: pids. ",
    annotations: {},
  });
  const whole = {
    ...pod,
    spec: { ...pod.spec, containers: pod.spec?.containers ?? [], resources: { requests: { memory: "1Gi" } } },
  };
  const { message, annotations } = evictionFor(whole, "memory", { usage, due: [], observations });
  assert.match(message, /Pod p was using 3Gi, request is 1Gi, has larger consumption of memory\. Container c/);
  assert.deepEqual([annotations.offending_pod, annotations.offending_pod_usage], ["p", "3Gi"]);
});

test("verdicts: limits of one pod, in the order that they are looked at", () => {
  const make = (some: { limit?: string; size?: string; medium?: string }): PodView => ({
    metadata: { name: "p" },
    spec: {
      containers: [
        { name: "c", image: "i", resources: some.limit ? { limits: { "ephemeral-storage": some.limit } } : {} },
      ],
      volumes: [
        {
          name: "v",
          emptyDir: { ...(some.size && { sizeLimit: some.size }), ...(some.medium && { medium: some.medium }) },
        },
      ],
    },
  });
  const used = (volume: number, rootfs: number, logs: number): PodUsage => ({
    containers: [{ name: "c", rootfs: files(rootfs), logs: files(logs) }],
    volumes: new Map([["v", files(volume)]]),
    ephemeral: files(volume + rootfs + logs),
  });
  const emptyDir = 'Usage of EmptyDir volume "v" exceeds the limit "1Ki". ';
  const total = "Pod ephemeral local storage usage exceeds the total limit of containers 2k. ";
  const container = 'Container c exceeded its local ephemeral storage limit "2k". ';
  const table: readonly (readonly [PodView, PodUsage, string | undefined, boolean?])[] = [
    [make({ size: "1Ki" }), used(1024, 9999, 9999), undefined],
    [make({ size: "1Ki" }), used(1025, 0, 0), emptyDir],
    [make({ size: "1Ki", medium: "Memory" }), used(1025, 0, 0), emptyDir],
    [make({ size: "0" }), used(1025, 0, 0), undefined],
    [make({ size: "1Ki", limit: "2k" }), used(2000, 9, 9), emptyDir],
    [make({ limit: "2k" }), used(1500, 400, 200), total],
    [make({ limit: "2k" }), used(0, 1000, 1000), undefined],
    [make({}), used(9e9, 9e9, 9e9), undefined],
  ];
  for (const [pod, usage, message, dedicated = false] of table) {
    assert.equal(exceededLimit(pod, usage, { dedicated })?.message, message);
    if (message) assert.equal(hasStorageLimit(pod), true);
  }
  // What isn't counted for the pod as a whole still counts for its container; on a disk of its own it doesn't.
  const alone = { ...used(0, 2000, 1), ephemeral: files(0) };
  assert.equal(exceededLimit(make({ limit: "2k" }), alone, { dedicated: false })?.message, container);
  assert.equal(exceededLimit(make({ limit: "2k" }), alone, { dedicated: true }), undefined);
  assert.equal(hasStorageLimit(make({})), false);
});

test("verdicts: who isn't taken under pressure, and who is never sent away", () => {
  const bestEffort = makePod("b", {});
  const burstable = makePod("a", { memory: ["1Mi", 0] });
  const tolerant: PodView = {
    ...bestEffort,
    spec: {
      containers: [],
      tolerations: [{ key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" }],
    },
  };
  const critical = makePod("k", { priority: 2_000_000_000 });
  const marked = (key: string, value: string): PodView => ({ metadata: { name: "m", annotations: { [key]: value } } });
  const both = ["MemoryPressure", "DiskPressure"] as const;
  assert.equal(refuseUnderPressure(bestEffort, []), undefined);
  assert.deepEqual(refuseUnderPressure(bestEffort, ["MemoryPressure"]), {
    reason: "Evicted",
    message: "The node had condition: [MemoryPressure]. ",
  });
  for (const pod of [burstable, tolerant, critical])
    assert.equal(refuseUnderPressure(pod, ["MemoryPressure"]), undefined);
  for (const pod of [burstable, tolerant])
    assert.equal(refuseUnderPressure(pod, both)?.message, "The node had condition: [MemoryPressure DiskPressure]. ");
  assert.equal(refuseUnderPressure(critical, ["PIDPressure"]), undefined);
  assert.equal(isCritical(marked("kubernetes.io/config.source", "file")), true);
  assert.equal(isCritical(marked("kubernetes.io/config.source", "api")), false);
  assert.equal(isCritical(marked("kubernetes.io/config.mirror", "x")), true);
  assert.equal(isCritical(bestEffort), false);
});
