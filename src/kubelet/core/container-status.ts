/** Container statuses as the API shows them, from what the runtime has, what was reported before and why starts failed. */
import type { ContainerState, ContainerStatus } from "#api";
import { shouldStart } from "./restart.ts";
import { formatTime } from "#machinery";
import {
  type ContainerSpec,
  type ContainerStatusView,
  isSidecar,
  newestContainer,
  type PodRuntime,
  type PodView,
  type ProbeResults,
  type RuntimeContainer,
} from "./types.ts";

/** Why a container that should run doesn't: becomes state.waiting. */
export interface StartProblem {
  readonly reason: string;
  readonly message: string;
}

export interface ContainerStatusInput {
  readonly runtime: PodRuntime;
  /** Scheme of container ids: `containerd`. */
  readonly runtimeName: string;
  readonly probes: ProbeResults;
  readonly problems: ReadonlyMap<string, StartProblem>;
  readonly old: readonly ContainerStatusView[];
  readonly isInit: boolean;
  /** The pod's containers are gone for good: an ended one is not about to restart. */
  readonly ended: boolean;
}

export function containerStatuses(
  pod: PodView,
  specs: readonly ContainerSpec[],
  input: ContainerStatusInput,
): ContainerStatus[] {
  const waitingFor = pod.spec?.initContainers?.length ? "PodInitializing" : "ContainerCreating";
  return specs.map((spec) => {
    const runs = input.runtime.containers.filter(({ name }) => name === spec.name);
    const old = input.old.find(({ name }) => name === spec.name);
    const [newest, previous] = runs;
    const status = newest
      ? fromRuntime(spec, newest, { previous, old, input })
      : unseen(pod, spec, { old, waitingFor });
    applyProblem(pod, spec, status, input);
    applyReadiness(spec, status, input);
    const mounts = (spec.volumeMounts ?? []).map(({ name, mountPath, readOnly }) => ({
      name,
      mountPath,
      ...(readOnly ? { readOnly, recursiveReadOnly: "Disabled" } : {}),
    }));
    return mounts.length > 0 ? { ...status, volumeMounts: mounts } : status;
  });
}

function fromRuntime(
  spec: ContainerSpec,
  newest: RuntimeContainer,
  {
    previous,
    old,
    input,
  }: { previous: RuntimeContainer | undefined; old: ContainerStatusView | undefined; input: ContainerStatusInput },
): ContainerStatus {
  const state = stateOf(newest, { old, runtimeName: input.runtimeName });
  const last = previous ? stateOf(previous, { old: undefined, runtimeName: input.runtimeName }) : undefined;
  // The runtime may have dropped the earlier run; what was reported of it stays true.
  const remembered =
    old && old.restartCount === newest.restartCount ? old.lastState : old?.state?.terminated && old.state;
  return {
    name: spec.name,
    state,
    lastState: last ?? (remembered ? structuredClone(remembered as ContainerState) : {}), // a copy of a read-only value
    ready: false,
    restartCount: newest.restartCount,
    image: newest.image,
    imageID: newest.imageRef,
    containerID: `${input.runtimeName}://${newest.id}`,
    ...(newest.state === "running" && spec.resources && Object.keys(spec.resources).length > 0
      ? { resources: structuredClone(spec.resources) as ContainerStatus["resources"] } // a copy of a read-only value
      : {}),
    ...(newest.state === "running" && spec.resources?.requests
      ? { allocatedResources: { ...spec.resources.requests } }
      : {}),
  };
}

function stateOf(
  container: RuntimeContainer,
  { old, runtimeName }: { old: ContainerStatusView | undefined; runtimeName: string },
): ContainerState {
  switch (container.state) {
    case "running":
      return { running: { startedAt: formatTime(container.startedAt) } };
    case "created":
      return { waiting: {} };
    case "exited":
      return {
        terminated: {
          exitCode: container.exitCode,
          ...(container.reason ? { reason: container.reason } : {}),
          ...(container.message ? { message: container.message } : {}),
          startedAt: formatTime(container.startedAt),
          finishedAt: formatTime(container.finishedAt),
          containerID: `${runtimeName}://${container.id}`,
        },
      };
    case "unknown":
      // It ran when last seen: saying "waiting" would put the pod back into Pending.
      return old?.state?.running
        ? {
            terminated: {
              exitCode: 137,
              reason: "ContainerStatusUnknown",
              message: "The container could not be located when the pod was terminated",
            },
          }
        : { waiting: {} };
  }
}

/** A container that the runtime doesn't have: never made, or made and removed. */
function unseen(
  pod: PodView,
  spec: ContainerSpec,
  { old, waitingFor }: { old: ContainerStatusView | undefined; waitingFor: string },
): ContainerStatus {
  const waiting: ContainerStatus = {
    name: spec.name,
    state: { waiting: { reason: waitingFor } },
    lastState: {},
    ready: false,
    restartCount: old?.restartCount ?? 0,
    image: spec.image ?? "",
    imageID: "",
  };
  if (!old) return waiting;
  // Copies of read-only values.
  if (old.state?.terminated) return structuredClone(old) as ContainerStatus;
  if (old.lastState?.terminated) return { ...waiting, lastState: structuredClone(old.lastState) as ContainerState };
  if (!old.state?.running) return waiting;
  return {
    ...waiting,
    lastState: {
      terminated: {
        exitCode: 137,
        reason: "ContainerStatusUnknown",
        message: "The container could not be located when the pod was deleted.  The container used to be Running",
      },
    },
    restartCount: waiting.restartCount + (pod.metadata.deletionTimestamp ? 0 : 1),
  };
}

/** A container that should start again but can't yet is waiting; how its last run ended moves to lastState. */
function applyProblem(pod: PodView, spec: ContainerSpec, status: ContainerStatus, input: ContainerStatusInput): void {
  const problem = input.problems.get(spec.name);
  if (!problem || input.ended || !shouldStart(pod, spec, input.runtime)) return;
  const newest = newestContainer(input.runtime, spec.name);
  if (input.isInit && !isSidecar(spec) && newest?.state === "exited" && newest.exitCode === 0) return;
  if (status.state?.terminated) status.lastState = status.state;
  status.state = { waiting: { reason: problem.reason, ...(problem.message ? { message: problem.message } : {}) } };
}

function applyReadiness(spec: ContainerSpec, status: ContainerStatus, input: ContainerStatusInput): void {
  const newest = newestContainer(input.runtime, spec.name);
  const running = status.state?.running !== undefined && newest?.state === "running";
  if (input.isInit && !isSidecar(spec)) {
    status.ready = status.state?.terminated?.exitCode === 0;
    status.started = running;
    return;
  }
  const id = newest?.id ?? "";
  const passed = (type: "startup" | "readiness", probe: unknown) => !probe || input.probes.of(type, id) === true;
  status.started = running && passed("startup", spec.startupProbe);
  status.ready = status.started && passed("readiness", spec.readinessProbe);
}
