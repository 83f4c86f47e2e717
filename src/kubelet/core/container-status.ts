/** Container statuses as the API shows them, from what the runtime has, what was reported before and why starts failed. */
import type { ContainerState, ContainerStatus } from "#api";
import { formatTime } from "#machinery";
import { recursiveReadOnly } from "./recursive-read-only.ts";
import { shouldStart } from "./restart.ts";
import { restartingAll } from "./restart-all.ts";
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
  /** The runtime makes mounts read-only with what is below. */
  readonly canRecursiveReadOnly?: boolean;
  readonly runtime: PodRuntime;
  /** Scheme of container ids: `containerd`. */
  readonly runtimeName: string;
  readonly probes: ProbeResults;
  readonly problems: ReadonlyMap<string, StartProblem>;
  /** Every container was stopped for good (deletion, eviction, deadline). */
  readonly ended: boolean;
  /** What a run of a container has of resources, where that may differ from its spec. */
  readonly resourcesOf?: ((spec: ContainerSpec, run: RuntimeContainer) => ContainerStatus["resources"]) | undefined;
}

/** One of the three lists of a pod's status. */
export interface ListInput extends ContainerStatusInput {
  readonly kind: "init" | "main" | "debug";
  readonly old: readonly ContainerStatusView[];
  readonly isRestartingAll: boolean;
}

export function containerStatuses(pod: PodView, specs: readonly ContainerSpec[], input: ListInput): ContainerStatus[] {
  const statuses = specs.map((spec) => containerStatus(pod, spec, input));
  return input.kind === "init" ? statuses : statuses.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function containerStatus(pod: PodView, spec: ContainerSpec, input: ListInput): ContainerStatus {
  const [newest, previous] = input.runtime.containers.filter(({ name }) => name === spec.name);
  const old = input.old.find(({ name }) => name === spec.name);
  const status = newest ? fromRuntime(spec, newest, { old, input }) : unseen(pod, spec, { old, input });
  if (newest && previous) status.lastState = stateOf(previous, { old, input });
  applyProblem(pod, spec, { status, newest, input });
  applyReadiness(spec, { status, newest, input });
  const mounts = (spec.volumeMounts ?? []).map((mount) => {
    const { name, mountPath, readOnly } = mount;
    const { is } = recursiveReadOnly(mount, input.canRecursiveReadOnly ?? false);
    return { name, mountPath, ...(readOnly ? { readOnly, recursiveReadOnly: is ? "Enabled" : "Disabled" } : {}) };
  });
  return mounts.length > 0 ? { ...status, volumeMounts: mounts } : status;
}

interface Seen {
  readonly old: ContainerStatusView | undefined;
  readonly input: ListInput;
}

function fromRuntime(spec: ContainerSpec, run: RuntimeContainer, seen: Seen): ContainerStatus {
  const { old, input } = seen;
  const state = stateOf(run, seen);
  const containerID = `${input.runtimeName}://${run.id}`;
  // The runtime may have dropped earlier runs; what was reported of them stays true.
  let restartCount = Math.max(run.restartCount, old?.restartCount ?? 0);
  const ended = old?.state?.terminated;
  if (state.running && ended && (old?.restartCount ?? 0) >= run.restartCount)
    restartCount = (old?.restartCount ?? 0) + 1;
  if (run.state === "unknown" && state.terminated) restartCount = (old?.restartCount ?? 0) + 1;
  const last = ended && old.containerID !== containerID ? ended : old?.lastState?.terminated;
  const { requests } = spec.resources ?? {};
  return {
    name: spec.name,
    state,
    lastState: last ? { terminated: { ...last } } : {},
    ready: false,
    restartCount,
    image: run.image,
    imageID: run.imageRef,
    containerID,
    // Copies of read-only values.
    resources:
      input.resourcesOf?.(spec, run) ?? (structuredClone(spec.resources ?? {}) as ContainerStatus["resources"]),
    ...(requests ? { allocatedResources: { ...requests } } : {}),
    ...(run.user ? { user: { linux: { ...run.user, supplementalGroups: [...run.user.supplementalGroups] } } } : {}),
    ...(run.stopSignal && spec.lifecycle?.stopSignal ? { stopSignal: run.stopSignal } : {}),
  };
}

function stateOf(run: RuntimeContainer, { old, input }: Seen): ContainerState {
  switch (run.state) {
    case "running":
      return { running: { startedAt: formatTime(run.startedAt) } };
    case "created":
      return { waiting: {} };
    case "exited":
      return {
        terminated: {
          exitCode: run.exitCode,
          ...(run.reason ? { reason: run.reason } : {}),
          ...(run.message ? { message: run.message } : {}),
          startedAt: formatTime(run.startedAt),
          finishedAt: formatTime(run.finishedAt),
          containerID: `${input.runtimeName}://${run.id}`,
        },
      };
    case "unknown":
      // It ran when last seen: saying "waiting" would put the pod back into Pending.
      return old?.state?.running
        ? lost(
            "The container could not be located when the pod was terminated",
            input.isRestartingAll ? restartingAll.reason : undefined,
          )
        : { waiting: {} };
  }
}

/** How a container ended that nobody saw end. */
export const lost = (message: string, reason = "ContainerStatusUnknown"): ContainerState => ({
  terminated: { exitCode: 137, reason, message },
});

/** A container that the runtime doesn't have: never made, or made and removed. */
function unseen(pod: PodView, spec: ContainerSpec, { old, input }: Seen): ContainerStatus {
  const reason = pod.spec?.initContainers?.length ? "PodInitializing" : "ContainerCreating";
  // Copies of read-only values.
  const status: ContainerStatus = old?.state?.terminated
    ? (structuredClone(old) as ContainerStatus)
    : {
        name: spec.name,
        state: { waiting: { reason } },
        lastState: old?.lastState ? (structuredClone(old.lastState) as ContainerState) : {},
        ready: false,
        restartCount: old?.restartCount ?? 0,
        image: spec.image ?? "",
        imageID: "",
      };
  if (old && input.isRestartingAll && !old.state?.waiting) {
    const { reason, message } = restartingAll;
    status.state = { waiting: { reason, message } };
    status.lastState = lost(message, reason);
    status.restartCount = old.restartCount + 1;
    return status;
  }
  if (old?.state?.running && !old.lastState?.terminated) {
    status.lastState = lost(
      "The container could not be located when the pod was deleted.  The container used to be Running",
    );
    if (!pod.metadata.deletionTimestamp) status.restartCount++;
  }
  const isInitialized = () => pod.spec?.containers.some(({ name }) => isKnown(newestContainer(input.runtime, name)));
  if (input.kind === "init" && !isSidecar(spec) && status.state?.waiting && isInitialized())
    status.state = {
      terminated: {
        exitCode: 0,
        reason: "Completed",
        message:
          "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally",
      },
    };
  return status;
}

const isKnown = (run: RuntimeContainer | undefined): boolean => run !== undefined && run.state !== "unknown";

interface Applied {
  readonly status: ContainerStatus;
  readonly newest: RuntimeContainer | undefined;
  readonly input: ListInput;
}

/** A container that should start again but can't yet is waiting; how its last run ended moves to lastState. */
function applyProblem(pod: PodView, spec: ContainerSpec, { status, newest, input }: Applied): void {
  const problem = input.problems.get(spec.name);
  if (!problem || !shouldStart(pod, spec, input.runtime)) return;
  // Its end was made up already when the pod ended.
  if (input.ended && !newest && status.state?.terminated) return;
  if (input.kind === "init" && newest?.state === "exited" && newest.exitCode === 0) return;
  if (status.state?.terminated) status.lastState = status.state;
  status.state = { waiting: { reason: problem.reason, ...(problem.message ? { message: problem.message } : {}) } };
}

/** Nobody probes debug containers. */
function applyReadiness(spec: ContainerSpec, { status, newest, input }: Applied): void {
  if (input.kind === "debug") return;
  const running = status.state?.running !== undefined && newest?.state === "running";
  const passed = (type: "startup" | "readiness", probe: unknown) =>
    !probe || input.probes.of(type, newest?.id ?? "") === true;
  status.started = running && passed("startup", spec.startupProbe);
  status.ready =
    input.kind === "init" && !isSidecar(spec)
      ? status.state?.terminated?.exitCode === 0
      : status.started && passed("readiness", spec.readinessProbe);
}
