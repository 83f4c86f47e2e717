/** The cases are those of upstream's replica calculator. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTime } from "#machinery";
import type { SeenPod } from "../lib/pods.ts";
import {
  averageReplicas,
  int32Max,
  MetricError,
  type PodMetrics,
  type ReplicaContext,
  sharedReplicas,
  sumOf,
  totalReplicas,
  utilizationReplicas,
} from "./replicas.ts";

const now = Date.parse("2026-01-01T12:00:00Z");
const ago = (seconds: number) => formatTime(now - seconds * 1000);

/** `T`: ready, `F`: not, `h`: ready and hot (just started), `H`: not ready and hot, `P`: pending, `X`: failed, `D`: going; `n`: started, then got unready. */
function podOf(mark: string, at: number, requests: readonly (string | undefined)[]): SeenPod {
  const isReady = "Th".includes(mark);
  const started = "hH".includes(mark) ? 60 : 600;
  const turned = mark === "n" ? 60 : "hH".includes(mark) ? 50 : started;
  const phases: Record<string, string> = { P: "Pending", X: "Failed" };
  return {
    metadata: { name: `p${at}`, ...(mark === "D" && { deletionTimestamp: ago(1) }) },
    spec: {
      containers: requests.map((cpu, index) => ({
        name: `c${index + 1}`,
        ...(cpu !== undefined && { resources: { requests: { cpu } } }),
      })),
    },
    status: {
      phase: phases[mark] ?? "Running",
      startTime: ago(started),
      conditions: [{ type: "Ready", status: isReady ? "True" : "False", lastTransitionTime: ago(turned) }],
    },
  };
}

function contextOf(pods: string, options: { requests?: readonly (string | undefined)[]; tolerance?: number } = {}) {
  const { requests = ["1"], tolerance = 0.1 } = options;
  const context: ReplicaContext = {
    pods: [...pods].map((mark, at) => podOf(mark, at, requests)),
    tolerances: { up: tolerance, down: tolerance },
    cpuInitializationMs: 120_000,
    initialReadinessMs: 10_000,
    now,
  };
  return context;
}

/** One value for each pod; undefined: not measured. Measured now, over a minute. */
const metricsOf = (values: readonly (number | undefined)[]): PodMetrics =>
  new Map(
    values.flatMap((value, at) =>
      value === undefined ? [] : [[`p${at}`, { value: BigInt(value), timestampMs: now, windowMs: 60_000 }] as const],
    ),
  );

interface Case {
  readonly name: string;
  readonly pods: string;
  readonly current?: number;
  readonly levels: readonly (number | undefined)[];
  readonly target: number;
  readonly replicas: number;
  readonly utilization?: number;
  readonly tolerance?: number;
}

const utilizations: readonly Case[] = [
  { name: "up", pods: "TTT", levels: [300, 500, 700], target: 30, replicas: 5, utilization: 50 },
  { name: "up, unready count as idle", pods: "FTT", levels: [300, 500, 700], target: 30, replicas: 4, utilization: 60 },
  { name: "up, hot count as idle", pods: "hTT", levels: [300, 500, 700], target: 30, replicas: 4, utilization: 60 },
  { name: "up, idle unready hold it", pods: "TFF", levels: [400, 500, 700], target: 30, replicas: 3, utilization: 40 },
  { name: "up, idle hot hold it", pods: "THH", levels: [400, 500, 700], target: 30, replicas: 3, utilization: 40 },
  {
    name: "up, failed don't count",
    pods: "TTXX",
    current: 2,
    levels: [500, 700],
    target: 30,
    replicas: 4,
    utilization: 60,
  },
  {
    name: "up, going don't count",
    pods: "TTDD",
    current: 2,
    levels: [500, 700],
    target: 30,
    replicas: 4,
    utilization: 60,
  },
  { name: "down", pods: "TTTTT", levels: [100, 300, 500, 250, 250], target: 50, replicas: 3, utilization: 28 },
  {
    name: "down, unready don't count",
    pods: "TTTFF",
    levels: [100, 300, 500, 250, 250],
    target: 50,
    replicas: 2,
    utilization: 30,
  },
  { name: "down, unscheduled don't count", pods: "TPPPP", levels: [100], target: 50, replicas: 1, utilization: 10 },
  {
    name: "down, hot don't count",
    pods: "TTThh",
    levels: [100, 300, 500, 250, 250],
    target: 50,
    replicas: 2,
    utilization: 30,
  },
  {
    name: "down, failed don't count",
    pods: "TTTTTXX",
    current: 5,
    levels: [100, 300, 500, 250, 250],
    target: 50,
    replicas: 3,
    utilization: 28,
  },
  { name: "within tolerance", pods: "TTT", levels: [1010, 1030, 1020], target: 100, replicas: 3, utilization: 102 },
  {
    name: "within a wide tolerance",
    pods: "TTT",
    levels: [750, 750, 750],
    target: 60,
    replicas: 3,
    utilization: 75,
    tolerance: 0.3,
  },
  {
    name: "beyond a narrow tolerance",
    pods: "TTT",
    levels: [1010, 1030, 1020],
    target: 100,
    replicas: 4,
    utilization: 102,
    tolerance: 0.01,
  },
  {
    name: "down, missing count as busy",
    pods: "TTTTT",
    levels: [100, 200, 300, undefined, undefined],
    target: 50,
    replicas: 5,
    utilization: 20,
  },
  {
    name: "down, one missing",
    pods: "TTTTT",
    levels: [100, 100, 100, 100, undefined],
    target: 50,
    replicas: 3,
    utilization: 10,
  },
  {
    name: "up, missing count as idle",
    pods: "TTT",
    levels: [1000, 1000, undefined],
    target: 20,
    replicas: 10,
    utilization: 100,
  },
  {
    name: "missing turn the direction: nothing",
    pods: "TT",
    levels: [1000, undefined],
    target: 100,
    replicas: 2,
    utilization: 100,
  },
  {
    name: "up, missing would turn it",
    pods: "TTT",
    levels: [1200, undefined, undefined],
    target: 60,
    replicas: 3,
    utilization: 120,
  },
  {
    name: "missing and unready, up held",
    pods: "TFT",
    levels: [1000, 450, undefined],
    target: 50,
    replicas: 3,
    utilization: 100,
  },
  {
    name: "down with unready and missing counts the missing as full",
    pods: "FTT",
    levels: [100, 100, undefined],
    target: 50,
    replicas: 3,
    utilization: 10,
  },
  {
    name: "more metrics than pods never turn down into up",
    pods: "TT",
    current: 1,
    levels: [300, undefined],
    target: 100,
    replicas: 1,
    utilization: 30,
  },
  {
    name: "missing count as the target above 100%",
    pods: "TTT",
    levels: [300, 300, undefined],
    target: 200,
    replicas: 2,
    utilization: 30,
  },
  {
    name: "unready after it was ready counts",
    pods: "TTn",
    levels: [100, 300, 500],
    target: 50,
    replicas: 2,
    utilization: 30,
  },
];

for (const { name, pods, current = pods.length, levels, target, replicas, utilization, tolerance } of utilizations) {
  test(`replicas by utilization: ${name}`, () => {
    const context = contextOf(pods, tolerance === undefined ? {} : { tolerance });
    const input = { metrics: metricsOf(levels), current, resource: "cpu", container: "", target };
    const found = utilizationReplicas(context, input);
    assert.deepEqual({ replicas: found.replicas, utilization: found.utilization }, { replicas, utilization });
  });
}

const averages: readonly (Case & { readonly usage: number })[] = [
  { name: "up", pods: "TTT", levels: [20_000, 10_000, 30_000], target: 15_000, replicas: 4, usage: 20_000 },
  {
    name: "readiness matters for cpu only",
    pods: "TTH",
    levels: [50_000, 10_000, 30_000],
    target: 15_000,
    replicas: 6,
    usage: 30_000,
  },
  {
    name: "hot and unready count too",
    pods: "HTH",
    levels: [50_000, 15_000, 30_000],
    target: 15_000,
    replicas: 7,
    usage: 31_666,
  },
  {
    name: "down",
    pods: "TTTTT",
    levels: [12_000, 12_000, 12_000, 12_000, 12_000],
    target: 20_000,
    replicas: 3,
    usage: 12_000,
  },
  {
    name: "within tolerance",
    pods: "TTT",
    levels: [20_000, 21_000, 21_000],
    target: 20_000,
    replicas: 3,
    usage: 20_666,
  },
  {
    name: "down, missing count as the target",
    pods: "TTT",
    levels: [5000, 5000, undefined],
    target: 10_000,
    replicas: 2,
    usage: 5000,
  },
];

for (const { name, pods, current = pods.length, levels, target, replicas, usage } of averages) {
  test(`replicas by average: ${name}`, () => {
    const input = { metrics: metricsOf(levels), current, resource: "", target: BigInt(target) };
    assert.deepEqual(averageReplicas(contextOf(pods), input), { replicas, usage: BigInt(usage) });
  });
}

const totals: readonly [
  name: string,
  pods: string,
  current: number,
  usage: number,
  target: number,
  replicas: number,
][] = [
  ["up", "TTT", 3, 20_000, 15_000, 4],
  ["only ready pods share", "FTF", 3, 50_000, 10_000, 5],
  ["down, only ready pods share", "FTF", 3, 8600, 4400, 2],
  ["down", "TTTTT", 5, 8600, 14_334, 3],
  ["within tolerance", "TTT", 3, 20_666, 20_000, 3],
  ["from nothing, without tolerance", "", 0, 10, 1000, 1],
  ["from nothing to nothing", "", 0, 0, 1000, 0],
  ["more than can be counted", "T", 1, 2 ** 62, 1, int32Max],
];
for (const [name, pods, current, usage, target, replicas] of totals) {
  test(`replicas by one value: ${name}`, () => {
    const input = { usage: BigInt(usage), target: BigInt(target), current };
    assert.equal(totalReplicas(contextOf(pods), input).replicas, replicas);
  });
}

test("replicas by a share of one value: as upstream rounds them", () => {
  const int64Max = 2n ** 63n - 1n;
  const cases: [current: number, usage: bigint, target: bigint, replicas: number, shown: bigint][] = [
    [3, 20_000n, 5000n, 4, 6667n],
    [5, 6000n, 2000n, 3, 1200n],
    [5, 8600n, 2867n, 3, 1720n],
    [4, 8600n, 2150n, 4, 2150n],
    [1, int64Max, 1n, int32Max, int64Max],
    [1, int64Max, int64Max, 1, int64Max],
    [0, 8600n, 2150n, 4, 8600n],
  ];
  for (const [current, usage, target, replicas, shown] of cases)
    assert.deepEqual(sharedReplicas(contextOf(""), { usage, target, current }), { replicas, usage: shown });
  assert.equal(sumOf([int64Max, 5n]), int64Max);
  assert.equal(sumOf([-5n, 8n]), 3n);
});

const failures: readonly [name: string, run: () => unknown, message: string][] = [
  ["no pods", () => of("", [1]), "no pods returned by selector while calculating replica count"],
  ["none ready", () => of("FF", [1, 1]), "did not receive metrics for targeted pods (pods might be unready)"],
  [
    "nothing requested",
    () => of("T", [1], { requests: [undefined] }),
    "missing request for cpu in container c1 of Pod p0",
  ],
  ["no such container", () => of("T", [1], {}, "c9"), "container c9 not found in Pod p0"],
  ["requests of nothing", () => of("T", [1], { requests: ["0"] }), "no metrics returned matched known pods"],
  [
    "nobody to share",
    () => totalReplicas(contextOf(""), { usage: 9n, target: 1n, current: 1 }),
    "unable to calculate ready pods: no pods returned by selector while calculating replica count",
  ],
];
function of(pods: string, levels: number[], options: Parameters<typeof contextOf>[1] = {}, container = "") {
  const input = { metrics: metricsOf(levels), current: pods.length, resource: "cpu", target: 50, container };
  return utilizationReplicas(contextOf(pods, options), input);
}
for (const [name, run, message] of failures) {
  test(`replicas: ${name}`, () => {
    assert.throws(run, (error) => error instanceof MetricError && error.message === message);
  });
}

test("replicas: a pod's own requests win, a container's win over them if it is asked for", () => {
  const base = podOf("T", 0, ["500m", "500m"]);
  const pooled: SeenPod = {
    ...base,
    spec: { ...base.spec, containers: base.spec?.containers ?? [], resources: { requests: { cpu: "2" } } },
  };
  const context = { ...contextOf(""), pods: [pooled] };
  const input = { metrics: metricsOf([1000]), current: 1, resource: "cpu", target: 50 };
  assert.equal(utilizationReplicas(context, { ...input, container: "" }).utilization, 50);
  assert.equal(utilizationReplicas(context, { ...input, container: "c1" }).utilization, 200);
});
