/**
 * One pod's life on this node. Everything that may matter to it (the API, the runtime, a probe, a timer) only wakes the worker, which then
 * looks at the whole picture, asks the pure core what to do, does it, and reports. One step runs at a time; what can wait for others (a
 * pull, a hook, a grace period) is cut short when the pod is deleted.
 *
 * Stages: running, until nothing is left to run or somebody ends the pod; stopping, until every container and the sandbox are stopped;
 * ended, when only what the pod left behind is to be cleaned up, after the API has let it go.
 */
import type { Node, PodStatus } from "#api";
import { backoffMs, steadyClock } from "#base";
import { type DeepReadonly, isStatusError, timeMs } from "#machinery";
import { isAboutNode, type Refusal } from "../core/admission.ts";
import type { PodVerdict } from "../core/pod-status.ts";
import { podStatus, refusedStatus } from "../core/pod-status.ts";
import { podAmounts, podResourcesStatus, resourcesStatus } from "../core/resize.ts";
import { isHostNetwork, isTerminalPhase, type PodRuntime, type PodView } from "../core/types.ts";
import { wording } from "../core/wording.ts";
import { hasDevices } from "../devices/device-manager.ts";
import { evictedReason } from "../eviction/verdicts.ts";
import { handlerCan } from "../runtime/abilities.ts";
import { mayTurnOomKilled } from "../runtime/observe.ts";
import { podReferences } from "../volumes/object-cache.ts";
import { refuseSecurity } from "./admit-security.ts";
import { cleanUpRuntime, cleanUpVolumes, pruneRuns, removeRuns } from "./clean-up.ts";
import { type PodContext, recordEvent } from "./context.ts";
import { observeSettled } from "./observe-settled.ts";
import { createRunner } from "./pod-runner.ts";
import { same } from "./status-patch.ts";
import { createStatusWriter, type StatusWriter } from "./status-writer.ts";
import { endGraceSeconds, stopPod } from "./stop.ts";
import { createWaker } from "./waker.ts";

export type PodStage = "running" | "stopping" | "ended";

export interface PodWorker {
  readonly uid: string;
  pod(): PodView;
  stage(): PodStage;
  /** The node has taken it. */
  admitted(): boolean;
  /** And the API has it still: it counts for those who come later. */
  counts(): boolean;
  runtime(): PodRuntime;
  /** The status last made. */
  status(): PodStatus | undefined;
  /** Calls back whenever the pod was looked at; the answer stops it. */
  onLook(listener: () => void): () => void;
  /** The API shows this now. */
  update(pod: PodView): void;
  /** As the API shows it, whatever it was granted; undefined once it ends. */
  wanted(): PodView | undefined;
  /** It was granted other resources, or told why not. */
  regranted(): void;
  /** The API doesn't have it any more; this was the last of it. */
  removed(last: PodView): void;
  /** The runtime has news; `ended`: this container is known to have ended. */
  runtimeChanged(ended?: string): void;
  /** A probe turned. */
  probeTurned(): void;
  /** Something that the pod's variables, volumes or images come from changed. */
  sourcesChanged(): void;
  /** Ends the pod for the node's own reasons. */
  evict(verdict: PodVerdict, options?: { graceSeconds?: number }): void;
  /** It has ended, and what it had but its containers is taken down. */
  cleaned(): boolean;
  /** Frees the disk that a pod which has ended still takes: its containers and logs. */
  removeRuns(): Promise<void>;
  /** Stops working; containers are left as they are. */
  close(): Promise<void>;
}

export interface PodWorkerOptions {
  readonly runtime: PodRuntime;
  /** To where its status goes; to the API's pod when missing. */
  readonly writer?: StatusWriter;
  /** Nothing of the pod is left, neither here nor in the API. */
  onGone(uid: string): void;
  /** Why the node doesn't take this pod. */
  refuse(pod: PodView, node?: DeepReadonly<Node>): Refusal | undefined;
  /** The node as the API has it now. */
  readNode(): Promise<DeepReadonly<Node> | undefined>;
}

/** When to look again for an end that was told of and isn't seen yet. */
const settleLookMs = 1000;
/** When to look again at a container that the kernel may have killed for its memory. */
const oomLookMs = 200;
const retry = { initialMs: 500, maxMs: 10_000 };

export function createPodWorker(context: PodContext, first: PodView, options: PodWorkerOptions): PodWorker {
  const { clock, prober, node } = context;
  const steady = steadyClock(clock);
  const { name = "", namespace = "", uid = "" } = first.metadata;
  const log = context.log.with({ pod: `${namespace}/${name}` });
  const writer = options.writer ?? createStatusWriter(first, { ...context, log });
  const runner = createRunner({ ...context, clock: steady }, clock);
  const endedContainers = new Set<string>();
  const lookListeners = new Set<() => void>();

  /** As the API shows it; the pod that is worked with has the resources that it was granted. */
  let wanted = first;
  let pod = context.resizes.granted(first);
  let runtime = options.runtime;
  let stage: PodStage = "running";
  let reported: PodStatus | undefined;
  let lastPhase = first.status?.phase ?? "Pending";
  let verdict: PodVerdict | undefined;
  let graceSeconds: number | undefined;
  let stale = false;
  // What runs already was taken by an earlier kubelet.
  let admitted = runtime.containers.length > 0;
  let isRemoved = false;
  let cleaned = false;
  let failures = 0;
  /** Ends the step that runs, because something more urgent came up. */
  let interrupt = new AbortController();
  let refreshing: Promise<void> = Promise.resolve();
  const waker = createWaker(steady, () => step());

  const podIP = (): string => {
    if (isHostNetwork(pod)) return node.hostIPs()[0] ?? "";
    const ips = runtime.sandboxes[0]?.ips ?? [];
    const told = reported?.podIP ?? pod.status?.podIP ?? "";
    return ips.includes(told) ? told : (ips[0] ?? told);
  };
  const downward = () => ({
    podIPs: runtime.sandboxes[0]?.ips ?? [],
    hostIPs: node.hostIPs(),
    allocatable: node.allocatable(),
  });

  function report(): void {
    // First, since it knows what containers of an earlier node have shown.
    prober.update(pod, runtime, { podIP: podIP(), stopping: stage !== "running" });
    const handler = runtime.sandboxes[0]?.handler ?? "";
    const made = podStatus(pod, {
      canRecursiveReadOnly: handlerCan(node.abilities(), handler, "recursiveReadOnlyMounts"),
      runtime,
      runtimeName: context.runtimeName,
      probes: prober.results,
      problems: runner.problems,
      old: reported ?? pod.status ?? {},
      hostIPs: node.hostIPs(),
      now: clock.now(),
      ended: stage === "ended",
      verdict,
      waitsForVolumes: !runner.hasVolumes(),
      resizeConditions: context.resizes.conditions(uid),
      resourcesOf: (spec, run) => {
        const known = reported ?? pod.status;
        const old = [...(known?.initContainerStatuses ?? []), ...(known?.containerStatuses ?? [])];
        return resourcesStatus(spec, run, {
          old: old.find(({ name }) => name === spec.name),
          actuated: context.resizes.actuated(uid)?.ContainerResources[spec.name],
        });
      },
    });
    reported = {
      ...made,
      containerStatuses: context.devices.withHealth(
        pod,
        context.resources.withHealth(pod, made.containerStatuses ?? []),
      ),
    };
    if (context.resizes.plan(pod, runtime).isDone) Object.assign(reported, podResourcesStatus(pod));
    else Object.assign(reported, { resources: pod.status?.resources, allocatedResources: podAmounts(pod, "requests") });
    // Once it is told that the pod ended, what it has goes to others: nothing of it may run, and drivers take devices back before.
    const holds = hasDevices(pod) || runtime.containers.some(({ state }) => state === "running");
    const isEarly = stage !== "ended" && holds && !isTerminalPhase(pod.status?.phase) && isTerminalPhase(made.phase);
    if (!isTerminalPhase(made.phase)) lastPhase = made.phase ?? lastPhase;
    writer.write(isEarly ? { ...reported, phase: lastPhase } : reported);
    for (const listener of lookListeners) listener();
  }

  async function look(): Promise<void> {
    stale = false;
    runtime = await observeSettled(context, { runtime, endedContainers });
    // A busy runtime may take long until it knows what it told of.
    if (endedContainers.size > 0) waker.wakeAt(steady.now() + settleLookMs);
    if (isRemoved || !runtime.containers.some((container) => mayTurnOomKilled(container, clock.now()))) return;
    clock.after(oomLookMs, () => {
      stale = true;
      waker.wake();
    });
  }

  async function step(): Promise<void> {
    if (interrupt.signal.aborted) interrupt = new AbortController();
    const { signal } = interrupt;
    const [began, started] = [reported ? stage : "new", performance.now()] as const;
    try {
      if (stage === "running") await stepRunning(signal);
      if (stage === "stopping") await stepStopping(signal);
      if (stage === "ended") await stepEnded();
      failures = 0;
      context.metrics.worked(began, (performance.now() - started) / 1000);
    } catch (error) {
      // Whatever was under way may have happened or not.
      stale = true;
      if (signal.aborted) return waker.wake();
      failures++;
      log.warn("a step of a pod failed", { stage, error, stack: error instanceof Error ? error.stack : undefined });
      waker.wakeAt(steady.now() + backoffMs(failures, retry));
    }
  }

  async function stepRunning(signal: AbortSignal): Promise<void> {
    if (stale || endedContainers.size > 0) await look();
    if (!admitted && !(await admit())) return;
    if (mustEnd()) return beginStopping();
    context.resizes.look(pod, runtime);
    report();
    if (isTerminalPhase(reported?.phase)) return beginStopping();
    const result = await runner.advance({
      pod,
      runtime,
      reported,
      signal,
      onSandbox: (seen) => {
        runtime = seen;
        report();
      },
    });
    if (result.changed) await look();
    context.resizes.look(pod, runtime);
    report();
    if (result.stopPod) return isTerminalPhase(reported?.phase) || result.idle ? beginStopping() : waker.wake();
    if (result.wakeAt !== undefined) waker.wakeAt(result.wakeAt);
    if (result.changed) {
      // What ended meanwhile is seen now.
      if (isTerminalPhase(reported?.phase) || runner.wantsMore(pod, runtime, reported)) waker.wake();
      await pruneRuns(context, runtime);
    }
    scheduleRefresh();
  }

  /** Answers whether the pod may run here. */
  async function admit(): Promise<boolean> {
    const isOver = isTerminalPhase(pod.status?.phase) || pod.metadata.deletionTimestamp !== undefined;
    const given = isOver ? undefined : context.resources.allocate(pod);
    let refused: Refusal | undefined = (given && (await given)) ?? undefined;
    if (!isOver) refused ??= refuseSecurity(pod, node) ?? options.refuse(pod);
    if (refused && isAboutNode(refused)) refused = options.refuse(pod, await options.readNode());
    // In the same turn as the check, so that two pods can't take one place.
    admitted = true;
    if (!refused) {
      context.resizes.admitted(wanted);
      return true;
    }
    recordEvent(context, pod, { type: "Warning", ...refused });
    context.metrics.refusals.with(refused.reason).inc();
    reported = refusedStatus(pod, { ...refused, now: clock.now() });
    writer.write(reported);
    stage = "ended";
    waker.wake();
    return false;
  }

  /** Does anything but its containers end this pod? */
  function mustEnd(): boolean {
    if (isRemoved || pod.metadata.deletionTimestamp || verdict || isTerminalPhase(pod.status?.phase)) return true;
    const limit = pod.spec?.activeDeadlineSeconds;
    const started = timeMs(reported?.startTime ?? pod.status?.startTime);
    if (limit === undefined || Number.isNaN(started)) return false;
    const deadline = started + limit * 1000;
    if (clock.now() < deadline) {
      waker.wakeAt(steady.now() + deadline - clock.now());
      return false;
    }
    verdict = { phase: "Failed", reason: "DeadlineExceeded", message: wording.deadline() };
    recordEvent(context, pod, { type: "Normal", reason: verdict.reason, message: verdict.message });
    return true;
  }

  function beginStopping(): void {
    stage = "stopping";
  }

  async function stepStopping(signal: AbortSignal): Promise<void> {
    await refreshing;
    if (stale || endedContainers.size > 0) await look();
    prober.update(pod, runtime, { podIP: podIP(), stopping: true });
    if (!isTerminalPhase(reported?.phase)) report();
    const alive = runtime.containers.some(({ state }) => state === "running" || state === "unknown");
    if (alive || runtime.sandboxes.some(({ ready }) => ready))
      await stopPod(context, pod, {
        runtime,
        podIP: podIP(),
        signal,
        graceSeconds: endGraceSeconds(pod, graceSeconds),
      }).catch((error: unknown) => {
        const message = `error killing pod: ${error instanceof Error ? error.message : String(error)}`;
        if (!signal.aborted) recordEvent(context, pod, { type: "Warning", reason: "FailedKillPod", message });
        throw error;
      });
    await look();
    if (runtime.containers.some(({ state }) => state === "running"))
      throw new Error("containers are still running after they were stopped");
    await context.devices.unprepare(pod);
    stage = "ended";
    context.resources.released();
    report();
    prober.forget(uid);
  }

  async function stepEnded(): Promise<void> {
    if (stale && !isRemoved && reported?.containerStatuses) {
      await look();
      report();
    }
    if (!cleaned) {
      await refreshing;
      await Promise.all([cleanUpVolumes(context, uid), writer.flushed()]);
      // Whoever was sent away for the disk's sake leaves nothing on it.
      if (reported?.reason === evictedReason) await removeRuns(context, pod, runtime);
      cleaned = true;
      for (const listener of lookListeners) listener();
    }
    if (pod.metadata.deletionTimestamp && !isRemoved) {
      await writer.flushed();
      await deleteFromApi();
    }
    if (!isRemoved) return;
    writer.stop();
    await cleanUpRuntime(context, pod, runtime);
    waker.stop();
    options.onGone(uid);
  }

  async function deleteFromApi(): Promise<void> {
    const pods = context.client.resource("v1/pods", namespace);
    await pods.delete(name, { gracePeriodSeconds: 0, preconditions: { uid } }).catch((error: unknown) => {
      if (!isStatusError(error, "NotFound") && !isStatusError(error, "Conflict")) throw error;
      isRemoved = true;
    });
  }

  /** Rewrites files that follow other objects; steps don't wait for it. */
  function refresh(): void {
    if (stage !== "running" || !runner.hasVolumes()) return;
    refreshing = refreshing
      .then(() => (stage === "running" ? context.volumes.refresh(pod, downward()) : undefined))
      .catch((error: unknown) => log.debug("volumes could not be refreshed", { error }))
      .then(scheduleRefresh);
  }

  let cancelRefresh = (): void => undefined;
  function scheduleRefresh(): void {
    const at = context.tokens.refreshAt(uid);
    cancelRefresh();
    if (at !== undefined && stage === "running") cancelRefresh = clock.after(Math.max(1000, at - clock.now()), refresh);
  }

  if (admitted) context.resizes.admitted(first);
  context.objects.setNeeds(uid, podReferences(pod));
  waker.wake();

  return {
    uid,
    pod: () => pod,
    stage: () => stage,
    wanted: () => (stage === "running" && admitted && !isTerminalPhase(wanted.status?.phase) ? wanted : undefined),
    regranted() {
      pod = context.resizes.granted(wanted);
      waker.wake();
    },
    admitted: () => admitted,
    counts: () => admitted && !isRemoved && stage !== "ended",
    runtime: () => runtime,
    status: () => reported,
    onLook(listener) {
      lookListeners.add(listener);
      return () => void lookListeners.delete(listener);
    },
    update(next) {
      const before = wanted;
      const sameSpec = same(before.spec, next.spec);
      // One object for one spec, so that others see by identity whether it changed.
      wanted = sameSpec && before.spec ? { ...next, spec: before.spec } : next;
      pod = context.resizes.granted(wanted);
      if (!sameSpec && stage === "running" && admitted) context.resizes.requested(wanted);
      writer.seen(next);
      const deleted = Boolean(next.metadata.deletionTimestamp);
      const urgent = deleted && next.metadata.deletionGracePeriodSeconds !== before.metadata.deletionGracePeriodSeconds;
      if (urgent) interrupt.abort();
      if (before.spec !== next.spec && stage === "running") context.objects.setNeeds(uid, podReferences(next));
      if (before.metadata.labels !== next.metadata.labels || before.metadata.annotations !== next.metadata.annotations)
        refresh();
      waker.wake();
    },
    removed(last) {
      if (isRemoved) return;
      pod = last;
      isRemoved = true;
      // A pod of the same name may be there already: it is not ours to write to.
      writer.stop();
      if (stage === "running") interrupt.abort();
      waker.wake();
    },
    runtimeChanged(ended) {
      stale = true;
      if (ended) endedContainers.add(ended);
      waker.wake();
    },
    probeTurned() {
      // Seen at once, also while a step waits for a grace period.
      if (stage !== "ended") report();
      waker.wake();
    },
    sourcesChanged() {
      refresh();
      runner.retryNow();
      waker.wake();
    },
    evict(reason, { graceSeconds: seconds } = {}) {
      // One that is stopping already gets less time now.
      if (stage === "ended" || verdict || isTerminalPhase(reported?.phase)) return;
      verdict = reason;
      graceSeconds = seconds;
      interrupt.abort();
      waker.wake();
    },
    cleaned: () => cleaned,
    async removeRuns() {
      if (cleaned) await removeRuns(context, pod, runtime);
    },
    async close() {
      interrupt.abort();
      cancelRefresh();
      prober.forget(uid);
      await waker.stop();
      writer.stop();
    },
  };
}
