/**
 * What to do next for a pod that should run: which containers to stop, whether a new sandbox is needed, which containers to start.
 * A pure function of the spec, what the runtime has and what the probes said, so that a restart of the node (which finds containers
 * it didn't start) takes the same path as everything else. Follows the rules of upstream's computePodActions, sidecars included.
 */
import { containerHash } from "./container-hash.ts";
import { restartPolicyOf, shouldStart } from "./restart.ts";
import { containersToReset } from "./restart-all.ts";
import { currentSandbox } from "./sandbox-state.ts";
import {
  type ContainerSpec,
  ephemeralContainers,
  isSidecar,
  newestContainer,
  type PodRuntime,
  type PodView,
  type ProbeResults,
  type RuntimeContainer,
} from "./types.ts";

export type StopReason = "StartupProbe" | "LivenessProbe" | "Changed" | "Resize" | "Unknown";

export interface ContainerStop {
  readonly container: RuntimeContainer;
  readonly reason: StopReason;
  /** Of the Killing event. */
  readonly message: string;
}

export interface PodPlan {
  /** Stop every container and sandbox first: the sandbox is gone or wrong, or nothing is left to run. */
  readonly stopPod: boolean;
  /** Make a sandbox with this attempt number. */
  readonly createSandbox: { readonly attempt: number; readonly replaces: boolean } | undefined;
  /** The sandbox to use when none is made. */
  readonly sandboxId: string | undefined;
  readonly stop: readonly ContainerStop[];
  /** Stop at once and remove, in this order: all containers start over. */
  readonly reset: readonly RuntimeContainer[];
  /** Debug containers: never restarted, may start while init containers still run. */
  readonly startEphemeral: readonly string[];
  /** Init containers and sidecars, in order. */
  readonly startInit: readonly string[];
  readonly start: readonly string[];
}

export interface PlanOptions {
  /** A rule said that all containers start over (`isRestartingAll` of what was reported). */
  readonly restartAll?: boolean;
  /** Does this running container have to start again for its new resources? */
  needsRestart?(container: ContainerSpec, last: RuntimeContainer): boolean;
}

export function planPod(pod: PodView, runtime: PodRuntime, probes: ProbeResults, options: PlanOptions = {}): PodPlan {
  const { sandbox, wrong, attempt, replaces } = currentSandbox(pod, runtime);
  const nothing = { stop: [], reset: [], startEphemeral: [], startInit: [], start: [] };
  if (options.restartAll && sandbox && !wrong)
    return {
      ...nothing,
      stopPod: false,
      createSandbox: undefined,
      sandboxId: sandbox.id,
      reset: containersToReset(pod, runtime),
    };
  // Whether the pod is over is asked when its containers have been reset.
  if (options.restartAll)
    return { ...nothing, stopPod: sandbox !== undefined, createSandbox: { attempt, replaces }, sandboxId: undefined };
  if (!sandbox || wrong) return planNewSandbox(pod, runtime, { attempt, replaces });

  const startEphemeral = ephemeralContainers(pod)
    .filter(({ name }) => !newestContainer(runtime, name))
    .map(({ name }) => name);
  const keep = { ...nothing, createSandbox: undefined, sandboxId: sandbox.id, stopPod: false, startEphemeral };

  // Init containers of an earlier sandbox have to run again in this one.
  const inSandbox = { ...runtime, containers: runtime.containers.filter(({ sandboxId }) => sandboxId === sandbox.id) };
  const init = planInit(pod, inSandbox, { probes, ...options });
  if (init.failed) return { ...keep, stopPod: true };
  const stop = [...init.stop];
  if (!init.done) return { ...keep, stop, startInit: init.start };

  const start: string[] = [];
  let kept = 0;
  for (const container of pod.spec?.containers ?? []) {
    const last = newestContainer(runtime, container.name);
    if (last?.state !== "running") {
      if (!shouldStart(pod, container, runtime)) continue;
      start.push(container.name);
      // Nobody knows whether it runs: never have two of it.
      if (last?.state === "unknown") stop.push(unknownStop(last, "Container"));
      continue;
    }
    const why =
      changed(container, last) ??
      probeFailed(container, last, probes.of("liveness", last.id) === false ? "liveness" : undefined) ??
      probeFailed(container, last, probes.of("startup", last.id) === false ? "startup" : undefined);
    if (why) {
      const restart = why.reason === "Changed" || restartPolicyOf(pod, container) !== "Never";
      if (restart) start.push(container.name);
      stop.push({ ...why, message: `${why.message}${restart ? ", will be restarted" : ""}` });
    } else if (options.needsRestart?.(container, last)) {
      start.push(container.name);
      stop.push(resizeStop(container, last));
    } else kept++;
  }
  // Sidecars end with the containers they serve.
  return kept === 0 && start.length === 0
    ? { ...keep, stopPod: true }
    : { ...keep, stop, startInit: init.start, start };
}

function planNewSandbox(
  pod: PodView,
  runtime: PodRuntime,
  { attempt, replaces }: { attempt: number; replaces: boolean },
): PodPlan {
  const nothing: PodPlan = {
    stopPod: runtime.sandboxes.length > 0 || runtime.containers.some(({ state }) => state !== "exited"),
    createSandbox: undefined,
    sandboxId: undefined,
    stop: [],
    reset: [],
    startEphemeral: [],
    startInit: [],
    start: [],
  };
  // It ran, its sandbox went away and it must not run twice.
  if (pod.spec?.restartPolicy === "Never" && attempt > 0 && runtime.containers.length > 0) return nothing;

  const containers = pod.spec?.containers ?? [];
  const start = containers
    .filter((container) => {
      const last = newestContainer(runtime, container.name);
      return restartPolicyOf(pod, container) !== "OnFailure" || last?.state !== "exited" || last.exitCode !== 0;
    })
    .map(({ name }) => name);
  const wasMade = ({ name }: ContainerSpec) => (newestContainer(runtime, name)?.state ?? "unknown") !== "unknown";
  if (start.length === 0 && containers.some(wasMade)) return nothing;

  const [firstInit] = pod.spec?.initContainers ?? [];
  const createSandbox = { attempt, replaces };
  return firstInit ? { ...nothing, createSandbox, startInit: [firstInit.name] } : { ...nothing, createSandbox, start };
}

interface InitPlan {
  /** All regular init containers ended well and all sidecars have started. */
  readonly done: boolean;
  /** One failed for good. */
  readonly failed: boolean;
  readonly stop: ContainerStop[];
  readonly start: string[];
}

/**
 * Walks backwards: the last init container that the runtime knows tells how far things are, since earlier ones may have been
 * collected already. Everything before it is done, except sidecars, which must be running.
 */
function planInit(
  pod: PodView,
  runtime: PodRuntime,
  { probes, needsRestart }: PlanOptions & { probes: ProbeResults },
): InitPlan {
  const specs = pod.spec?.initContainers ?? [];
  if (specs.length === 0) return { done: true, failed: false, stop: [], start: [] };
  const stop: ContainerStop[] = [];
  const start: number[] = [];
  let done = (pod.spec?.containers ?? []).some(({ name }) => {
    const state = newestContainer(runtime, name)?.state;
    return state === "running" || state === "created";
  });
  let passed = done;
  const finished = (at: number) => {
    if (at === specs.length - 1) done = true;
    else if (!passed) start.push(at + 1);
  };
  const restart = (at: number, why?: ContainerStop) => {
    if (why) stop.push({ ...why, message: why.message.replace(/^Container/, "Init container") });
    start.push(at);
  };
  for (let at = specs.length - 1; at >= 0; at--) {
    const container = specs[at]!; // at is in range
    const last = newestContainer(runtime, container.name);
    if (!last) {
      if (passed && isSidecar(container)) start.push(at);
      continue;
    }
    if (passed && !isSidecar(container)) continue;
    if (last.state === "created") start.push(at);
    else if (last.state === "unknown") {
      if (restartPolicyOf(pod, container) === "Never") return { done: false, failed: true, stop: [], start: [] };
      restart(at, unknownStop(last, "Init container"));
    } else if (last.state === "exited") {
      if (isSidecar(container)) start.push(at);
      else if (last.exitCode === 0) finished(at);
      else if (shouldStart(pod, container, runtime)) start.push(at);
      else return { done: false, failed: true, stop: [], start: [] };
    } else if (isSidecar(container)) {
      const started = container.startupProbe ? probes.of("startup", last.id) : true;
      if (started === false) restart(at, probeFailed(container, last, "startup"));
      else if (started) {
        finished(at);
        const why =
          changed(container, last) ??
          probeFailed(container, last, probes.of("liveness", last.id) === false ? "liveness" : undefined) ??
          (needsRestart?.(container, last) ? resizeStop(container, last) : undefined);
        if (why) restart(at, why);
      }
    }
    passed = true;
  }
  if (!passed) start.push(0);
  const order = [...new Set(start)].sort((a, b) => a - b);
  return { done, failed: false, stop, start: order.map((at) => specs[at]!.name) }; // at is in range
}

const changed = (container: ContainerSpec, last: RuntimeContainer): ContainerStop | undefined =>
  last.hash === containerHash(container)
    ? undefined
    : { container: last, reason: "Changed", message: `Container ${container.name} definition changed` };

const probeFailed = (
  { name }: ContainerSpec,
  container: RuntimeContainer,
  type: "liveness" | "startup" | undefined,
): ContainerStop | undefined =>
  type && {
    container,
    reason: type === "liveness" ? "LivenessProbe" : "StartupProbe",
    message: `Container ${name} failed ${type} probe`,
  };

const resizeStop = ({ name }: ContainerSpec, container: RuntimeContainer): ContainerStop => ({
  container,
  reason: "Resize",
  message: `Container ${name} resize requires restart`,
});

const unknownStop = (container: RuntimeContainer, what: string): ContainerStop => ({
  container,
  reason: "Unknown",
  message: `${what} is in "unknown" state, try killing it before restart`,
});
