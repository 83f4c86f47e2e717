import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../types.d.ts";
import { podColumns, podRowConditions, summarizePod } from "./columns.ts";

const now = Date.parse("2026-01-02T03:04:05Z");
const running = (name: string, fields: object = {}) => ({
  name,
  ready: true,
  started: true,
  restartCount: 0,
  image: "i",
  imageID: "",
  state: { running: {} },
  ...fields,
});
const ended = (name: string, terminated: object, fields: object = {}) =>
  running(name, { ready: false, started: false, state: { terminated }, ...fields });
const waiting = (name: string, reason: string, fields: object = {}) =>
  running(name, { ready: false, started: false, state: { waiting: { reason } }, ...fields });

interface Shape {
  readonly phase?: string;
  readonly containers?: readonly object[];
  readonly init?: readonly object[];
  /** Names of init containers that go on running. */
  readonly sidecars?: readonly string[];
  readonly conditions?: readonly string[];
  readonly reason?: string;
  readonly isDeleted?: boolean;
  readonly extra?: object;
}

function podOf({ phase = "Running", containers = [], init = [], sidecars = [], ...rest }: Shape): Pod {
  const named = (list: readonly object[]) => (list as { name: string }[]).map(({ name }) => ({ name, image: "i" }));
  return {
    metadata: { name: "a", ...(rest.isDeleted && { deletionTimestamp: "2026-01-02T03:04:05Z" }) },
    spec: {
      containers: named(containers),
      initContainers: named(init).map((each) =>
        sidecars.includes(each.name) ? { ...each, restartPolicy: "Always" } : each,
      ),
    },
    status: {
      phase,
      ...(rest.reason && { reason: rest.reason }),
      containerStatuses: containers as Required<Pod>["status"]["containerStatuses"] & object,
      initContainerStatuses: init as Required<Pod>["status"]["initContainerStatuses"] & object,
      conditions: (rest.conditions ?? []).map((type) => ({ type, status: "True" })),
      ...rest.extra,
    },
  };
}

test("STATUS, READY and RESTARTS are upstream's words", () => {
  const cases: readonly [string, Shape, ready: string, status: string, restarts: string][] = [
    ["nothing known", { phase: "Pending" }, "0/0", "Pending", "0"],
    ["running", { containers: [running("c"), running("d")] }, "2/2", "Running", "0"],
    ["one not ready", { containers: [running("c"), running("d", { ready: false })] }, "1/2", "Running", "0"],
    [
      "creating",
      { phase: "Pending", containers: [waiting("c", "ContainerCreating")] },
      "0/1",
      "ContainerCreating",
      "0",
    ],
    [
      "crashing",
      {
        containers: [
          waiting("c", "CrashLoopBackOff", {
            restartCount: 3,
            lastState: { terminated: { exitCode: 1, finishedAt: "2026-01-02T03:03:00Z" } },
          }),
        ],
      },
      "0/1",
      "CrashLoopBackOff",
      "3 (65s ago)",
    ],
    ["exit code", { containers: [ended("c", { exitCode: 3 })] }, "0/1", "ExitCode:3", "0"],
    ["signal", { containers: [ended("c", { exitCode: 137, signal: 9 })] }, "0/1", "Signal:9", "0"],
    ["reason", { containers: [ended("c", { exitCode: 137, reason: "OOMKilled" })] }, "0/1", "OOMKilled", "0"],
    [
      "done",
      { phase: "Succeeded", containers: [ended("c", { exitCode: 0, reason: "Completed" })] },
      "0/1",
      "Completed",
      "0",
    ],
    [
      "one done, the other ready",
      { containers: [ended("c", { exitCode: 0, reason: "Completed" }), running("d")], conditions: ["Ready"] },
      "1/2",
      "Running",
      "0",
    ],
    [
      "one done, the pod not ready",
      { containers: [ended("c", { exitCode: 0, reason: "Completed" }), running("d")] },
      "1/2",
      "NotReady",
      "0",
    ],
    ["evicted", { phase: "Failed", reason: "Evicted" }, "0/0", "Evicted", "0"],
    ["deleted", { containers: [running("c")], isDeleted: true }, "1/1", "Terminating", "0"],
    ["deleted when over", { phase: "Succeeded", isDeleted: true }, "0/0", "Succeeded", "0"],
    ["on a lost node", { reason: "NodeLost", isDeleted: true }, "0/0", "Unknown", "0"],
    [
      "gated",
      {
        phase: "Pending",
        extra: { conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] },
      },
      "0/0",
      "SchedulingGated",
      "0",
    ],
    [
      "first of two init containers",
      {
        phase: "Pending",
        init: [running("i"), waiting("j", "PodInitializing")],
        containers: [waiting("c", "PodInitializing")],
      },
      "0/1",
      "Init:0/2",
      "0",
    ],
    [
      "second of two",
      {
        phase: "Pending",
        init: [ended("i", { exitCode: 0 }), running("j", { restartCount: 2 })],
        containers: [waiting("c", "PodInitializing")],
      },
      "0/1",
      "Init:1/2",
      "2",
    ],
    [
      "init container crashes",
      {
        phase: "Pending",
        init: [waiting("i", "CrashLoopBackOff", { restartCount: 4 })],
        containers: [waiting("c", "PodInitializing")],
      },
      "0/1",
      "Init:CrashLoopBackOff",
      "4",
    ],
    [
      "init container ended badly",
      {
        phase: "Pending",
        init: [ended("i", { exitCode: 1, reason: "Error" })],
        containers: [waiting("c", "PodInitializing")],
      },
      "0/1",
      "Init:Error",
      "0",
    ],
    [
      "init container ended with a code",
      { phase: "Pending", init: [ended("i", { exitCode: 7 })], containers: [] },
      "0/0",
      "Init:ExitCode:7",
      "0",
    ],
    [
      "after the init containers",
      { init: [ended("i", { exitCode: 0 }, { restartCount: 5 })], containers: [running("c", { restartCount: 1 })] },
      "1/1",
      "Running",
      "1",
    ],
    [
      "beside a sidecar",
      {
        init: [running("s", { restartCount: 1 })],
        sidecars: ["s"],
        containers: [running("c")],
        conditions: ["Initialized"],
      },
      "2/2",
      "Running",
      "1",
    ],
    [
      "behind a sidecar that hasn't started",
      {
        phase: "Pending",
        init: [running("s", { started: false, ready: false })],
        sidecars: ["s"],
        containers: [waiting("c", "PodInitializing")],
      },
      "0/2",
      "Init:0/1",
      "0",
    ],
  ];
  for (const [name, shape, ready, status, restarts] of cases) {
    const pod = podOf(shape);
    const cells = podColumns.slice(0, 3).map((column) => column.of(pod, now));
    assert.deepEqual(cells, [ready, status, restarts], name);
  }
});

test("a wide table shows where the pod is", () => {
  const pod = podOf({ containers: [running("c")] });
  const wide = (each: Pod) => podColumns.filter(({ priority }) => priority === 1).map((column) => column.of(each, now));
  assert.deepEqual(wide(pod), ["<none>", "<none>", "<none>", "<none>"]);
  const gates = [{ conditionType: "example.com/a" }, { conditionType: "example.com/b" }];
  const full: Pod = {
    ...pod,
    spec: { containers: [], nodeName: "n", readinessGates: gates },
    status: {
      podIPs: [{ ip: "10.0.0.1" }],
      nominatedNodeName: "m",
      conditions: [{ type: "example.com/a", status: "True" }],
    },
  };
  assert.deepEqual(wide(full), ["10.0.0.1", "n", "m", "1/2"]);
});

test("finished pods are marked", () => {
  assert.deepEqual(podRowConditions(podOf({})), []);
  assert.equal(podRowConditions(podOf({ phase: "Failed" }))[0]?.reason, "Failed");
});

test("restarts of the past are as old as the last one", () => {
  const at = (finishedAt: string) => ({ restartCount: 1, lastState: { terminated: { exitCode: 1, finishedAt } } });
  const pod = podOf({
    containers: [running("c", at("2026-01-02T03:00:00Z")), running("d", at("2026-01-02T03:02:00Z"))],
  });
  assert.deepEqual([summarizePod(pod).restarts, summarizePod(pod).lastRestart], [2, "2026-01-02T03:02:00Z"]);
});
