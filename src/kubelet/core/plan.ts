/**
 * What to do next for a pod that should run: which containers to stop, whether a new sandbox is needed, which containers to start.
 * A pure function of the spec, what the runtime has and what the probes said, so that a restart of the node (which finds containers
 * it didn't start) takes the same path as everything else. Follows the rules of upstream's computePodActions, sidecars included.
 */
import { containerHash } from "./container-hash.ts";
import { restartPolicyOf, shouldStart } from "./restart.ts";
import { currentSandbox } from "./sandbox-state.ts";
import {
  allContainers,
  type ContainerSpec,
  ephemeralContainers,
  isSidecar,
  newestContainer,
  type PodRuntime,
  type PodView,
  type ProbeResults,
  type RuntimeContainer,
} from "./types.ts";

export type StopReason = "StartupProbe" | "LivenessProbe" | "Changed" | "Unknown";

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
  /** Debug containers: never restarted, may start while init containers still run. */
  readonly startEphemeral: readonly string[];
  /** Init containers and sidecars, in order. */
  readonly startInit: readonly string[];
  readonly start: readonly string[];
}

export function planPod(pod: PodView, runtime: PodRuntime, probes: ProbeResults): PodPlan {
  const { sandbox, wrong, attempt, replaces } = currentSandbox(pod, runtime);
  if (!sandbox || wrong) return planNewSandbox(pod, runtime, { attempt, replaces });

  const actions = { stop: [] as ContainerStop[], startInit: [] as string[], start: [] as string[] };
  const startEphemeral = ephemeralContainers(pod)
    .filter(({ name }) => !newestContainer(runtime, name))
    .map(({ name }) => name);
  const keep = { createSandbox: undefined, sandboxId: sandbox.id, startEphemeral };

  // Init containers of an earlier sandbox have to run again in this one.
  const inSandbox = { ...runtime, containers: runtime.containers.filter(({ sandboxId }) => sandboxId === sandbox.id) };
  const init = planInit(pod, inSandbox, probes);
  actions.stop.push(...init.stop);
  actions.startInit.push(...init.start);
  if (init.failed) return { ...keep, stopPod: true, stop: [], startInit: [], start: [] };
  if (!init.done) return { ...keep, stopPod: false, ...actions };

  let kept = 0;
  for (const container of pod.spec?.containers ?? []) {
    const last = newestContainer(runtime, container.name);
    if (last?.state !== "running") {
      if (!shouldStart(pod, container, runtime)) continue;
      actions.start.push(container.name);
      // Nobody knows whether it runs: never have two of it.
      if (last?.state === "unknown") actions.stop.push(unknownStop(last, "Container"));
      continue;
    }
    const stop = whyStop(container, last, probes);
    if (!stop) {
      kept++;
      continue;
    }
    const restart = stop.reason === "Changed" || restartPolicyOf(pod, container) !== "Never";
    if (restart) actions.start.push(container.name);
    actions.stop.push({ ...stop, message: restart ? `${stop.message}, will be restarted` : stop.message });
  }
  // Sidecars end with the containers they serve.
  const done = kept === 0 && actions.start.length === 0;
  return { ...keep, stopPod: done, ...(done ? { stop: [], startInit: [], start: [] } : actions) };
}

function planNewSandbox(
  pod: PodView,
  runtime: PodRuntime,
  { attempt, replaces }: { attempt: number; replaces: boolean },
): PodPlan {
  const base = {
    stopPod: runtime.sandboxes.length > 0 || runtime.containers.some(({ state }) => state !== "exited"),
    sandboxId: undefined,
    stop: [],
    startEphemeral: [],
  };
  const nothing: PodPlan = { ...base, createSandbox: undefined, startInit: [], start: [] };
  const policy = pod.spec?.restartPolicy ?? "Always";
  // It ran, its sandbox went away and it must not run twice.
  if (policy === "Never" && attempt > 0 && runtime.containers.length > 0) return nothing;

  const start = (pod.spec?.containers ?? [])
    .filter(({ name }) => {
      const last = newestContainer(runtime, name);
      return !(policy === "OnFailure" && last?.state === "exited" && last.exitCode === 0);
    })
    .map(({ name }) => name);
  if (start.length === 0 && allContainers(pod).length > 0 && initDone(pod, runtime)) return nothing;

  const [firstInit] = pod.spec?.initContainers ?? [];
  const createSandbox = { attempt, replaces };
  return firstInit
    ? { ...base, createSandbox, startInit: [firstInit.name], start: [] }
    : { ...base, createSandbox, startInit: [], start };
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
function planInit(pod: PodView, runtime: PodRuntime, probes: ProbeResults): InitPlan {
  const specs = pod.spec?.initContainers ?? [];
  if (specs.length === 0) return { done: true, failed: false, stop: [], start: [] };
  const stop: ContainerStop[] = [];
  const start: number[] = [];
  let done = (pod.spec?.containers ?? []).some(({ name }) => {
    const state = newestContainer(runtime, name)?.state;
    return state === "running" || state === "created";
  });
  let passed = done;
  for (let at = specs.length - 1; at >= 0; at--) {
    const container = specs[at]!; // at is in range
    const last = newestContainer(runtime, container.name);
    if (!last) {
      if (passed && isSidecar(container)) start.push(at);
      continue;
    }
    if (passed && !isSidecar(container)) continue;
    const finished = () => {
      if (at === specs.length - 1) done = true;
      else if (!passed) start.push(at + 1);
    };
    if (isSidecar(container)) {
      if (last.state !== "running") {
        if (last.state === "unknown") stop.push(unknownStop(last, "Init container"));
        start.push(at);
      } else {
        const started = container.startupProbe ? probes.of("startup", last.id) : true;
        if (started === true) finished();
        const why = whyStop(container, last, probes);
        if (why) {
          stop.push({ ...why, message: `Init c${why.message.slice(1)}` });
          start.push(at);
        }
      }
    } else if (last.state === "running") {
      // Wait for it.
    } else if (last.state === "exited" && last.exitCode === 0) {
      finished();
    } else if (last.state === "created") {
      start.push(at);
    } else {
      if (
        restartPolicyOf(pod, container) === "Never" &&
        !(last.state === "exited" && shouldStart(pod, container, runtime))
      )
        return { done: false, failed: true, stop: [], start: [] };
      if (last.state === "unknown") stop.push(unknownStop(last, "Init container"));
      start.push(at);
    }
    passed = true;
  }
  if (!passed) start.push(0);
  const order = [...new Set(start)].sort((a, b) => a - b);
  return { done, failed: false, stop, start: order.map((at) => specs[at]!.name) }; // at is in range
}

/** Without looking at probes: did initialization end at some point? */
function initDone(pod: PodView, runtime: PodRuntime): boolean {
  const last = pod.spec?.initContainers?.at(-1);
  if (!last) return true;
  const status = newestContainer(runtime, last.name);
  return status !== undefined && (isSidecar(last) || (status.state === "exited" && status.exitCode === 0));
}

function whyStop(container: ContainerSpec, last: RuntimeContainer, probes: ProbeResults): ContainerStop | undefined {
  if (last.hash !== containerHash(container))
    return { container: last, reason: "Changed", message: `Container ${container.name} definition changed` };
  if (probes.of("liveness", last.id) === false)
    return { container: last, reason: "LivenessProbe", message: `Container ${container.name} failed liveness probe` };
  if (probes.of("startup", last.id) === false)
    return { container: last, reason: "StartupProbe", message: `Container ${container.name} failed startup probe` };
  return undefined;
}

const unknownStop = (container: RuntimeContainer, what: string): ContainerStop => ({
  container,
  reason: "Unknown",
  message: `${what} is in "unknown" state, try killing it before restart`,
});
