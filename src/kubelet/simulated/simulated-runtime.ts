/** Containers that are nothing but their entries: what a runtime would have of a pod, changed by replacing it. */
import { randomUUID } from "node:crypto";
import { containerHash } from "../core/container-hash.ts";
import type { ContainerSpec, PodRuntime, PodView, RuntimeContainer, RuntimeSandbox } from "../core/types.ts";
import { allContainers, isHostNetwork } from "../core/types.ts";
import { timeMs } from "#machinery";
import type { Run } from "./behavior.ts";

export interface SimulatedContainer extends RuntimeContainer {
  /** When it ends, by itself or because it was told to; Infinity: not. */
  readonly endsAt: number;
  readonly endsWith: number;
  /** It was told to end. */
  readonly isStopping: boolean;
}

export interface SimulatedRuntime extends PodRuntime {
  readonly containers: readonly SimulatedContainer[];
}

export const runtimeName = "simulated";
/** The newest and the one before: its last state. */
const runsKept = 2;

const newId = (): string => randomUUID().replaceAll("-", "");

export function withSandbox(
  runtime: SimulatedRuntime,
  pod: PodView,
  ips: readonly string[],
  now: number,
): SimulatedRuntime {
  const attempt = (runtime.sandboxes[0]?.attempt ?? -1) + 1;
  const sandbox: RuntimeSandbox = {
    id: newId(),
    ready: true,
    attempt,
    createdAt: now,
    hostNetwork: isHostNetwork(pod),
    ips,
  };
  return { ...runtime, sandboxes: [sandbox] };
}

export const withoutSandbox = (runtime: SimulatedRuntime): SimulatedRuntime => ({
  ...runtime,
  sandboxes: runtime.sandboxes.map((sandbox) => ({ ...sandbox, ready: false })),
});

export function withStarted(
  runtime: SimulatedRuntime,
  container: ContainerSpec,
  { run, restartCount, now }: { run: Run; restartCount: number; now: number },
): SimulatedRuntime {
  const { name, image = "" } = container;
  const started: SimulatedContainer = {
    id: newId(),
    name,
    sandboxId: runtime.sandboxes[0]?.id ?? "",
    state: "running",
    createdAt: now,
    startedAt: now,
    finishedAt: 0,
    exitCode: 0,
    reason: "",
    message: "",
    image,
    imageRef: image,
    restartCount,
    hash: containerHash(container),
    logPath: "",
    endsAt: now + run.forMs,
    endsWith: run.exitCode,
    isStopping: false,
  };
  let kept = 1;
  return {
    ...runtime,
    containers: [started, ...runtime.containers.filter((one) => one.name !== name || ++kept <= runsKept)],
  };
}

export const replaced = (runtime: SimulatedRuntime, by: SimulatedContainer): SimulatedRuntime => ({
  ...runtime,
  containers: runtime.containers.map((one) => (one.id === by.id ? by : one)),
});

export const ended = (container: SimulatedContainer): SimulatedContainer => ({
  ...container,
  state: "exited",
  finishedAt: container.endsAt,
  exitCode: container.endsWith,
  reason: container.endsWith === 0 ? "Completed" : "Error",
});

/** Of a pod that ran before this process started: containers are what the API says they were. */
export function remembered(
  pod: PodView,
  runOf: (container: ContainerSpec, restartCount: number) => Run,
): SimulatedRuntime {
  const { uid = "", namespace = "", name = "" } = pod.metadata;
  const { initContainerStatuses = [], containerStatuses = [], podIPs = [] } = pod.status ?? {};
  const ips = podIPs.flatMap(({ ip }) => (ip ? [ip] : []));
  const sandboxId = newId();
  const containers = [...initContainerStatuses, ...containerStatuses].flatMap((status): SimulatedContainer[] => {
    const { running, terminated } = status.state ?? {};
    const container = allContainers(pod).find((one) => one.name === status.name);
    if (!container || !(running ?? terminated)) return [];
    const startedAt = timeMs((running ?? terminated)?.startedAt) || 0;
    const run = runOf(container, status.restartCount);
    return [
      {
        id: status.containerID?.replace(/^\w+:\/\//, "") || newId(),
        name: status.name,
        sandboxId,
        state: running ? "running" : "exited",
        createdAt: startedAt,
        startedAt,
        finishedAt: timeMs(terminated?.finishedAt) || 0,
        exitCode: terminated?.exitCode ?? 0,
        reason: terminated?.reason ?? "",
        message: terminated?.message ?? "",
        image: status.image,
        imageRef: status.imageID,
        restartCount: status.restartCount,
        hash: containerHash(container),
        logPath: "",
        endsAt: startedAt + run.forMs,
        endsWith: run.exitCode,
        isStopping: false,
      },
    ];
  });
  containers.sort((a, b) => b.createdAt - a.createdAt);
  const had = containers.length > 0;
  const ready = containers.some(({ state }) => state === "running");
  const sandbox = { id: sandboxId, ready, attempt: 0, createdAt: 0, hostNetwork: isHostNetwork(pod), ips };
  return { uid, namespace, name, sandboxes: had ? [sandbox] : [], containers };
}
