/** Carries out the core's plan for a running pod: stops, sandbox, volumes, starts. Remembers what must wait and why. */
import type { PodStatus } from "#api";
import { backoffMs, type Clock, printDuration } from "#base";
import type { StartProblem } from "../core/container-status.ts";
import { type CrashBackoff, decideRestart } from "../core/crash-backoff.ts";
import { type PodPlan, planPod } from "../core/plan.ts";
import { isRestartingAll } from "../core/restart-all.ts";
import {
  containerByName,
  type ContainerStatusView,
  type ContainerSpec,
  isHostNetwork,
  isSidecar,
  type PodRuntime,
  type PodStatusView,
  type PodView,
  printPod,
} from "../core/types.ts";
import type { ResizePlan } from "../core/resize.ts";
import { wording } from "../core/wording.ts";
import type { PodSandboxConfig } from "../cri/types.d.ts";
import { printRuntimeError } from "../images/image-manager.ts";
import type { MountedVolume } from "../volumes/manager.ts";
import { ignoreGone } from "./clean-up.ts";
import { type PodContext, recordEvent } from "./context.ts";
import { createPodVolumes } from "./pod-volumes.ts";
import { runtimeHandlerOf } from "./runtime-class.ts";
import { prepareSandbox, writeHostsFile } from "./sandbox.ts";
import { startContainer } from "./start-container.ts";
import { stopContainer, stopPod } from "./stop.ts";

export interface AdvanceInput {
  readonly pod: PodView;
  readonly runtime: PodRuntime;
  readonly reported: PodStatus | undefined;
  readonly signal: AbortSignal;
  /** The sandbox is there and has addresses. */
  onSandbox(runtime: PodRuntime): void;
}

export interface AdvanceResult {
  /** The runtime has to be looked at again. */
  readonly changed: boolean;
  /** The whole pod was stopped; `idle`: and there is nothing to start. */
  readonly stopPod: boolean;
  readonly idle: boolean;
  readonly wakeAt: number | undefined;
}

export interface PodRunner {
  /** By container name: why it isn't running. */
  readonly problems: Map<string, StartProblem>;
  advance(input: AdvanceInput): Promise<AdvanceResult>;
  /** Is there something to do that doesn't have to wait? */
  wantsMore(pod: PodView, runtime: PodRuntime, reported: PodStatusView | undefined): boolean;
  hasVolumes(): boolean;
  /** What was missing may be there now: don't wait for the next try. */
  retryNow(): void;
}

/** After a failed start: long enough to be seen, short enough not to matter. */
const startRetryMs = 1000;
/** Without a better time: an image or a setting may turn up. */
const problemRetryMs = 10_000;
/** Problems that something outside of the container may end. */
const waitsForOthers = new Set(["CreateContainerConfigError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff"]);
const resizeRetry = { initialMs: 1000, maxMs: 10_000 };
const sandboxRetry = { initialMs: 1000, maxMs: 60_000 };

/** The context's clock is a steady one; `wall` tells the time that the runtime tells. */
export function createRunner(context: PodContext, wall: Clock): PodRunner {
  const { clock, prober, cri } = context;
  const problems = new Map<string, StartProblem>();
  const backoffs = new Map<string, CrashBackoff>();
  const waitTold = new Set<string>();
  /** Back-off under way: after which run, and how long. */
  const waits = new Map<string, { readonly id: string; readonly until: number }>();
  /** No start of this container before this time. */
  const notBefore = new Map<string, number>();
  const podVolumes = createPodVolumes(context);
  let deviceFailures = 0;
  let devicesNotBefore = 0;
  let resizeFailures = 0;
  let resizeNotBefore = 0;
  let sandboxFailures = 0;
  let sandboxNotBefore = 0;
  let sandboxConfig: { attempt: number; config: PodSandboxConfig } | undefined;

  const planNow = (pod: PodView, runtime: PodRuntime, reported: PodStatusView | undefined): PodPlan => {
    const { restart } = context.resizes.plan(pod, runtime);
    return planPod(pod, runtime, prober.results, {
      restartAll: isRestartingAll(reported),
      needsRestart: ({ name }) => restart.has(name),
    });
  };

  /** Answers when to try again. */
  async function resize(pod: PodView, plan: ResizePlan, sandboxId: string | undefined): Promise<number | undefined> {
    if (!plan.hasWork || !sandboxId) return undefined;
    if (clock.now() < resizeNotBefore) return resizeNotBefore;
    try {
      const { carryOutResize } = await import("../resources/carry-out-resize.ts");
      await carryOutResize(context, pod, { plan, sandboxId });
      resizeFailures = 0;
      return undefined;
    } catch (error) {
      context.resizes.failed(pod, printRuntimeError(error));
      resizeFailures++;
      resizeNotBefore = clock.now() + backoffMs(resizeFailures, resizeRetry);
      return resizeNotBefore;
    }
  }

  async function prepareDevices(pod: PodView): Promise<boolean> {
    if (clock.now() < devicesNotBefore) return false;
    try {
      await context.devices.prepare(pod);
      deviceFailures = 0;
      return true;
    } catch (error) {
      const message = `Failed to prepare dynamic resources: ${error instanceof Error ? error.message : error}`;
      recordEvent(context, pod, { type: "Warning", reason: "FailedPrepareDynamicResources", message });
      deviceFailures++;
      devicesNotBefore = clock.now() + backoffMs(deviceFailures, sandboxRetry);
      return false;
    }
  }

  /** Answers the sandbox's id, or undefined after a failure. */
  async function createSandbox(pod: PodView, attempt: number, signal: AbortSignal): Promise<string | undefined> {
    try {
      const config = await prepareSandbox(context, pod, attempt);
      sandboxConfig = { attempt, config };
      const runtimeHandler = await runtimeHandlerOf(context, pod);
      const { podSandboxId } = await cri.runtime.runPodSandbox({ config, runtimeHandler }, { signal });
      context.observer.note(podSandboxId, pod.metadata.uid ?? "");
      sandboxFailures = 0;
      void context.resizes.toldPod(pod);
      return podSandboxId;
    } catch (error) {
      signal.throwIfAborted();
      recordEvent(context, pod, {
        type: "Warning",
        reason: "FailedCreatePodSandBox",
        message: `Failed to create pod sandbox: ${printRuntimeError(error)}`,
      });
      sandboxFailures++;
      sandboxNotBefore = clock.now() + backoffMs(sandboxFailures, sandboxRetry);
      return undefined;
    }
  }

  /** Once for each time that it has to wait. */
  function tellBackoff(pod: PodView, container: ContainerSpec): void {
    if (waitTold.has(container.name)) return;
    waitTold.add(container.name);
    recordEvent(context, pod, { type: "Warning", reason: "BackOff", message: wording.backOffRestart(), container });
  }

  /** What was changed starts afresh. */
  const backoffKey = ({ name, image, resources }: ContainerSpec) => JSON.stringify([name, image, resources]);
  const decide = (container: ContainerSpec, finishedAt: number, isOver = false) => {
    const entry = backoffs.get(backoffKey(container));
    return decideRestart(entry, {
      finishedAt,
      now: Math.max(wall.now(), isOver && entry ? finishedAt + entry.delayMs : 0),
      msMax: context.config.crashLoopBackOff.maxContainerRestartPeriod,
    });
  };

  /** Undefined: it may start now; else the time when it may. */
  function waitFor(pod: PodView, container: ContainerSpec, runtime: PodRuntime): number | undefined {
    const now = clock.now();
    const hold = notBefore.get(container.name) ?? 0;
    if (now < hold) return hold;
    const last = runtime.containers.find(({ name, state }) => name === container.name && state === "exited");
    if (!last) return undefined;
    // A wait that has begun ends in time, whatever somebody sets the clock to.
    const known = waits.get(container.name);
    const until = known?.id === last.id ? known.until : undefined;
    const decision = decide(container, last.finishedAt, until !== undefined && now >= until);
    if (!decision.wait) {
      backoffs.set(backoffKey(container), decision.next);
      waitTold.delete(container.name);
      return undefined;
    }
    tellBackoff(pod, container);
    problems.set(container.name, {
      reason: "CrashLoopBackOff",
      message: `back-off ${printDuration(decision.delayMs)} restarting failed container=${container.name} pod=${printPod(pod)}`,
    });
    const end = until ?? now + decision.until - wall.now();
    waits.set(container.name, { id: last.id, until: end });
    return end;
  }

  function isHeld(name: string): boolean {
    return (notBefore.get(name) ?? 0) > clock.now() || problems.get(name)?.reason === "CrashLoopBackOff";
  }

  /** They start over as if they had never been; their logs stay as long as the pod. */
  async function resetContainers(pod: PodView, { reset }: PodPlan, on: { podIP: string; signal: AbortSignal }) {
    for (const container of reset) {
      if (container.state !== "exited")
        await stopContainer(context, pod, { ...on, container, message: "killing", graceSeconds: 0 });
      await cri.runtime.removeContainer({ containerId: container.id }).catch(ignoreGone);
    }
  }

  async function startAll(
    input: AdvanceInput,
    plan: PodPlan,
    where: {
      sandboxId: string;
      config: PodSandboxConfig;
      runtime: PodRuntime;
      volumes: ReadonlyMap<string, MountedVolume>;
    },
  ) {
    const { pod, reported, signal } = input;
    const podIPs = isHostNetwork(pod) ? context.node.hostIPs() : (where.runtime.sandboxes[0]?.ips ?? []);
    let changed = false;
    let wakeAt: number | undefined;
    const later = (time: number) => {
      wakeAt = Math.min(wakeAt ?? time, time);
    };
    let hostsPath: string | undefined;
    const statuses = [...(reported?.initContainerStatuses ?? []), ...(reported?.containerStatuses ?? [])];
    /** Answers whether the next one may start too. */
    const start = async (name: string): Promise<boolean> => {
      const container = containerByName(pod, name);
      if (!container) return true;
      // One that was stopped for its new size has not failed.
      const isResized = plan.stop.some((stop) => stop.reason === "Resize" && stop.container.name === name);
      const time = isResized ? undefined : waitFor(pod, container, where.runtime);
      if (time !== undefined) {
        later(time);
        return false;
      }
      hostsPath ??= await writeHostsFile(context, pod, podIPs);
      const result = await startContainer(context, pod, {
        container,
        sandboxId: where.sandboxId,
        sandbox: where.config,
        runtime: where.runtime,
        podIPs,
        volumes: where.volumes,
        hostsPath,
        restartCountMin: restartCountMin(statuses.find((status) => status.name === name)),
        signal,
      });
      if (result.started) {
        problems.delete(name);
        notBefore.delete(name);
        changed = true;
        return true;
      }
      const ran = /^(RunContainerError|PostStartHookError|CreateContainerError)$/.test(result.reason);
      changed ||= ran;
      problems.set(name, { reason: result.reason, message: result.message });
      // Why it failed is shown for a moment longer than it takes to know that it has to wait.
      if (ran && decide(container, wall.now()).wait) tellBackoff(pod, container);
      const retryMs = ran && result.reason !== "CreateContainerError" ? startRetryMs : problemRetryMs;
      const waitMs = result.retryAt === undefined ? retryMs : result.retryAt - wall.now();
      const at = clock.now() + waitMs;
      notBefore.set(name, at);
      later(at);
      return false;
    };
    for (const name of plan.startEphemeral) await start(name);
    let initWell = true;
    for (const name of plan.startInit) {
      const container = containerByName(pod, name);
      if ((await start(name)) || (container && isSidecar(container))) continue;
      initWell = false;
      break;
    }
    if (initWell) for (const name of plan.start) await start(name);
    return { changed, wakeAt };
  }

  return {
    problems,
    hasVolumes: () => podVolumes.mounted() !== undefined,
    retryNow() {
      podVolumes.retryNow();
      devicesNotBefore = 0;
      for (const [name, { reason }] of problems) if (waitsForOthers.has(reason)) notBefore.delete(name);
    },
    wantsMore(pod, runtime, reported) {
      const plan = planNow(pod, runtime, reported);
      const { createSandbox: create, startInit, start, startEphemeral } = plan;
      if (plan.stopPod || plan.stop.length + plan.reset.length > 0) return true;
      if (create) return clock.now() >= Math.max(sandboxNotBefore, devicesNotBefore);
      return [...startEphemeral, ...startInit, ...start].some((name) => !isHeld(name));
    },

    async advance(input) {
      const { pod, reported, signal, onSandbox } = input;
      let { runtime } = input;
      const resizePlan = context.resizes.plan(pod, runtime);
      let plan = planNow(pod, runtime, reported);
      const podIP = runtime.sandboxes[0]?.ips[0] ?? "";
      const nothing = { changed: false, stopPod: false, idle: false, wakeAt: undefined };
      if (plan.createSandbox?.replaces && runtime.sandboxes.length > 0)
        recordEvent(context, pod, { type: "Normal", reason: "SandboxChanged", message: wording.sandboxChanged() });
      if (plan.stopPod) {
        if (!plan.createSandbox) return { changed: true, stopPod: true, idle: true, wakeAt: undefined };
        await stopPod(context, pod, { runtime, podIP, signal });
        runtime = await context.observer.pod(runtime.uid, runtime);
        plan = planNow(pod, runtime, reported);
      }
      if (plan.reset.length > 0) {
        await resetContainers(pod, plan, { podIP, signal });
        return { ...nothing, changed: true };
      }
      let changed = plan.stop.length > 0;
      await Promise.all(
        plan.stop.map(({ container, message, reason }) => {
          const spec = containerByName(pod, container.name);
          const probe =
            reason === "LivenessProbe"
              ? spec?.livenessProbe
              : reason === "StartupProbe"
                ? spec?.startupProbe
                : undefined;
          return stopContainer(context, pod, {
            container,
            message,
            podIP,
            signal,
            graceSeconds: probe?.terminationGracePeriodSeconds,
          });
        }),
      );
      if (changed) {
        // The runs that were stopped are what back-off counts from.
        runtime = await context.observer.pod(runtime.uid, runtime);
      }
      const resizeAt = await resize(pod, resizePlan, plan.sandboxId);
      changed ||= resizePlan.hasWork && resizeAt === undefined;
      if (!plan.createSandbox && plan.startEphemeral.length + plan.startInit.length + plan.start.length === 0) {
        // Containers that were here before this process: from now on their files follow their sources again.
        if (!podVolumes.mounted() && plan.sandboxId) await podVolumes.setUp(pod, runtime);
        return { ...nothing, changed, wakeAt: resizeAt };
      }

      let sandboxId = plan.sandboxId;
      let volumesReady: boolean;
      if (plan.createSandbox) {
        if (clock.now() < sandboxNotBefore) return { ...nothing, changed, wakeAt: sandboxNotBefore };
        if (!(await prepareDevices(pod))) return { ...nothing, changed, wakeAt: devicesNotBefore };
        const { attempt } = plan.createSandbox;
        [sandboxId, volumesReady] = await Promise.all([
          createSandbox(pod, attempt, signal),
          podVolumes.setUp(pod, runtime),
        ]);
        changed = true;
        if (!sandboxId) return { ...nothing, changed, wakeAt: sandboxNotBefore };
        runtime = await context.observer.pod(runtime.uid, runtime);
        onSandbox(runtime);
        if (!isHostNetwork(pod)) await context.podStarts?.(pod, runtime.sandboxes[0]?.ips ?? []);
      } else volumesReady = await podVolumes.setUp(pod, runtime);
      const volumes = podVolumes.mounted();
      if (!volumesReady || !volumes) return { ...nothing, changed, wakeAt: podVolumes.notBefore() };

      const attempt = runtime.sandboxes[0]?.attempt ?? 0;
      const config =
        sandboxConfig?.attempt === attempt ? sandboxConfig.config : await prepareSandbox(context, pod, attempt);
      sandboxConfig = { attempt, config };
      const started = await startAll(input, plan, { sandboxId: sandboxId ?? "", config, runtime, volumes });
      return { ...nothing, changed: changed || started.changed, wakeAt: started.wakeAt };
    },
  };
}

/** A container that ran before counts on, also when the runtime has forgotten it. */
const restartCountMin = (status: ContainerStatusView | undefined): number =>
  status?.containerID ? status.restartCount + 1 : 0;
