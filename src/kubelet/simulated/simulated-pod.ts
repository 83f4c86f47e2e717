/**
 * One simulated pod's life, decided by the same core as on a real node (../pods/pod-worker.ts is its model): whatever happens only wakes
 * it, a step looks at everything and does what is due. Doing takes no time here, so that a step needs no turn of the event loop, and what
 * does take time is a moment in the future that the pod is woken at. A class, and next to no fields while nothing happens, because there
 * are ten thousand of these: the pod itself is the informer's, the status is only held until the API has it. One file, because its parts are the methods
 * of that one class; what needs no state of the pod is beside it.
 */
import type { PodStatus } from "#api";
import { type Clock, type Logger, printDuration } from "#base";
import type { Client } from "#client";
import { isStatusError, timeMs } from "#machinery";
import type { Refusal } from "../core/admission.ts";
import type { StartProblem } from "../core/container-status.ts";
import { type CrashBackoff, decideRestart } from "../core/crash-backoff.ts";
import { planPod } from "../core/plan.ts";
import { isRestartingAll } from "../core/restart-all.ts";
import { podStatus, type PodVerdict, refusedStatus } from "../core/pod-status.ts";
import {
  type ContainerSpec,
  containerByName,
  emptyRuntime,
  isHostNetwork,
  isSidecar,
  isTerminalPhase,
  type PodView,
  printPod,
  type ProbeResults,
  type ProbeType,
} from "../core/types.ts";
import { wording } from "../core/wording.ts";
import type { PodEvent } from "../pods/context.ts";
import { same, statusPatch } from "../pods/status-patch.ts";
import { createStatusWriter, type StatusWriter } from "../pods/status-writer.ts";
import {
  type Behavior,
  BehaviorError,
  behaviorOf,
  behaviorPrefix,
  plainBehavior,
  type Run,
  runOf,
  valueFor,
} from "./behavior.ts";
import { SimulatedProbes } from "./simulated-probes.ts";
import {
  ended,
  remembered,
  replaced,
  runtimeName,
  type SimulatedContainer,
  type SimulatedRuntime,
  withoutSandbox,
  withSandbox,
  withStarted,
} from "./simulated-runtime.ts";

/** What all pods of a simulation share. */
export interface Simulation {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a run takes that is to end, when nothing else is said. */
  readonly usualRunMs: number;
  wakeAt(pod: SimulatedPod, time: number): void;
  /** Nothing is left of it. */
  gone(pod: SimulatedPod): void;
  event(pod: SimulatedPod, event: PodEvent & { readonly container?: ContainerSpec | undefined }): void;
  /** Failed runs before this one: of the container, or of its owner's other pods if it is never restarted. */
  failedBefore(pod: PodView, container: ContainerSpec, restartCount: number): number;
  behavior?(pod: PodView, container: ContainerSpec): Partial<Behavior> | undefined;
}

/** The node that a pod is on. */
export interface Place {
  readonly name: string;
  readonly hostIPs: readonly string[];
  /** Pod addresses, or when to ask again. */
  takeAddress(): readonly string[] | number;
  /** One that a pod has already. */
  keepAddress(ips: readonly string[]): void;
  releaseAddress(ips: readonly string[]): void;
  refuse(pod: SimulatedPod): Refusal | undefined;
}

/** What only pods in trouble have. */
interface Trouble {
  readonly problems: Map<string, StartProblem>;
  readonly backoffs: Map<string, CrashBackoff>;
  /** No start before this time; set once the container may start apart from that. */
  readonly startAt: Map<string, number>;
  readonly pulls: Map<string, { failures: number; backsOff: boolean }>;
}

const pullTellMs = 1000;
const pullBackoff = { initialMs: 10_000, maxMs: 300_000 };
const graceSecondsDefault = 30;
const retryMs = 1000;
/** Steps of one pod that follow each other at once: more is a container that ends as soon as it starts, without back-off. */
const turnsMax = 50;
const noProblems: ReadonlyMap<string, StartProblem> = new Map();

export class SimulatedPod implements ProbeResults {
  readonly place: Place;
  /** In the queue of those to be looked at. */
  isWoken = false;
  /** Counts for those who come later. */
  isAdmitted = false;
  stage: "running" | "stopping" | "ended" = "running";
  runtime: SimulatedRuntime;
  pod: PodView;
  readonly #shared: Simulation;
  #reported: PodStatus | undefined;
  #writer: StatusWriter | undefined;
  #verdict: PodVerdict | undefined;
  #trouble: Trouble | undefined;
  #probes: SimulatedProbes | undefined;
  #isDeleting = false;

  constructor(pod: PodView, place: Place, shared: Simulation) {
    this.place = place;
    this.#shared = shared;
    this.pod = this.#view(pod);
    const { uid = "", namespace = "", name = "" } = pod.metadata;
    this.runtime = pod.status?.containerStatuses
      ? remembered(this.pod, (container, restartCount) => this.#run(container, restartCount))
      : { ...emptyRuntime(uid, namespace, name), containers: [] };
    this.isAdmitted = this.runtime.containers.length > 0;
    const [sandbox] = this.runtime.sandboxes;
    if (sandbox?.ready) place.keepAddress(sandbox.ips);
  }

  get isOver(): boolean {
    return this.stage === "ended";
  }

  /** The API shows this now. Answers whether the pod should be looked at. */
  update(next: PodView): boolean {
    const before = this.pod;
    this.#writer?.seen(next);
    this.pod = this.#view(next);
    // Most news are of our own status.
    const isOwn = this.#writer !== undefined || this.#forgetWritten();
    return (
      next.metadata.generation !== before.metadata.generation ||
      next.metadata.deletionTimestamp !== before.metadata.deletionTimestamp ||
      next.metadata.deletionGracePeriodSeconds !== before.metadata.deletionGracePeriodSeconds ||
      !same(next.metadata.annotations, before.metadata.annotations) ||
      next.spec?.readinessGates !== undefined ||
      (!isOwn && !same(next.status, before.status))
    );
  }

  /** Answers whether the API has the status that was reported last. */
  #forgetWritten(): boolean {
    if (!this.#reported || statusPatch(this.pod.status ?? {}, this.#reported, "")) return false;
    this.#reported = undefined;
    return true;
  }

  /** The API doesn't have it any more. */
  removed(): void {
    this.#writer?.stop();
    const [sandbox] = this.runtime.sandboxes;
    if (sandbox?.ready) this.place.releaseAddress(sandbox.ips);
    this.#shared.gone(this);
  }

  /** Ends a running container now. */
  exit(name: string, exitCode: number): boolean {
    const container = this.#running(name);
    if (!container) return false;
    this.runtime = replaced(this.runtime, { ...container, endsAt: this.#shared.clock.now(), endsWith: exitCode });
    return true;
  }

  behaviorValue(container: ContainerSpec, name: "cpu" | "memory"): string | undefined {
    const { annotations } = this.pod.metadata;
    return valueFor(annotations?.[behaviorPrefix + name], container.name, { isMain: true });
  }

  of(type: ProbeType, containerId: string): boolean | undefined {
    return this.#probes?.of(type, containerId);
  }

  step(): void {
    const now = this.#shared.clock.now();
    this.#settle(now);
    if (this.stage === "running") this.#stepRunning(now);
    if (this.stage === "stopping") this.#stepStopping(now);
    this.#write();
    if (this.stage === "ended") this.#stepEnded();
  }

  /** Containers whose time has come have ended. */
  #settle(now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const container of this.runtime.containers) {
      if (container.state !== "running") continue;
      if (container.endsAt <= now) this.runtime = replaced(this.runtime, ended(container));
      else next = Math.min(next, container.endsAt);
    }
    this.#wakeAt(next);
  }

  #stepRunning(now: number): void {
    if (!this.isAdmitted && !this.#admit(now)) return;
    for (let turn = 0; turn < turnsMax; turn++) {
      if (this.#mustEnd(now)) break;
      this.#report(now);
      if (isTerminalPhase(this.#status().phase)) break;
      if (!this.#carryOut(now)) break;
      this.#settle(now);
    }
    if (this.#mustEnd(now) || isTerminalPhase(this.#status().phase)) this.#beginStopping();
    else if (this.stage === "running") this.#report(now);
  }

  #admit(now: number): boolean {
    this.isAdmitted = true;
    if (isTerminalPhase(this.pod.status?.phase) || this.pod.metadata.deletionTimestamp) return true;
    const refused = this.place.refuse(this);
    if (!refused) return true;
    this.#event({ type: "Warning", ...refused });
    this.stage = "ended";
    this.#reported = refusedStatus(this.pod, { ...refused, now });
    return false;
  }

  #mustEnd(now: number): boolean {
    const { metadata, status, spec } = this.pod;
    if (metadata.deletionTimestamp || this.#verdict || isTerminalPhase(status?.phase)) return true;
    const started = timeMs(this.#status().startTime);
    if (spec?.activeDeadlineSeconds === undefined || Number.isNaN(started)) return false;
    const deadline = started + spec.activeDeadlineSeconds * 1000;
    if (now < deadline) {
      this.#wakeAt(deadline);
      return false;
    }
    this.#verdict = { phase: "Failed", reason: "DeadlineExceeded", message: wording.deadline() };
    this.#event({ type: "Normal", reason: this.#verdict.reason, message: this.#verdict.message });
    return true;
  }

  /** Does what the core's plan says. Answers whether something changed that the next plan depends on. */
  #carryOut(now: number): boolean {
    const plan = planPod(this.pod, this.runtime, this, { restartAll: isRestartingAll(this.#reported) });
    if (plan.stopPod && !plan.createSandbox) {
      this.#beginStopping();
      return false;
    }
    if (plan.createSandbox) {
      if (plan.createSandbox.replaces && this.runtime.sandboxes.length > 0)
        this.#event({ type: "Normal", reason: "SandboxChanged", message: wording.sandboxChanged() });
      if (plan.stopPod && this.#stopAll(now)) return false;
      const ips = isHostNetwork(this.pod) ? [] : this.place.takeAddress();
      if (typeof ips === "number") {
        this.#wakeAt(ips);
        return false;
      }
      this.runtime = withSandbox(this.runtime, this.pod, ips, now);
      return true;
    }
    if (plan.reset.length > 0) {
      this.runtime = {
        ...this.runtime,
        containers: this.runtime.containers.filter((one) => !plan.reset.includes(one)),
      };
      return true;
    }
    let changed = false;
    for (const { container, message, reason } of plan.stop) {
      const spec = containerByName(this.pod, container.name);
      const probe =
        reason === "LivenessProbe" ? spec?.livenessProbe : reason === "StartupProbe" ? spec?.startupProbe : undefined;
      const running = this.#running(container.name);
      if (running)
        changed = this.#stop(running, { message, now, graceSeconds: probe?.terminationGracePeriodSeconds }) || changed;
    }
    const start = (name: string): boolean => {
      const container = containerByName(this.pod, name);
      if (!container || this.#running(name)) return false;
      const isStarted = this.#start(container, now);
      changed ||= isStarted;
      return isStarted;
    };
    for (const name of plan.startEphemeral) start(name);
    if (plan.startInit.every(start)) for (const name of plan.start) start(name);
    return changed;
  }

  #start(container: ContainerSpec, now: number): boolean {
    const { name } = container;
    const last = this.runtime.containers.find((one) => one.name === name);
    const event = (type: "Normal" | "Warning", reason: string, message: string) =>
      this.#event({ type, reason, message, container });
    let behavior: Behavior;
    try {
      behavior = behaviorOf(this.pod, container, this.#shared.behavior?.(this.pod, container));
    } catch (error) {
      if (!(error instanceof BehaviorError)) throw error;
      if (!this.#trouble?.problems.has(name)) event("Warning", "Failed", `Error: ${error.message}`);
      this.#troubles.problems.set(name, { reason: "CreateContainerConfigError", message: error.message });
      return false;
    }
    const startAt = this.#trouble?.startAt.get(name);
    if (startAt === undefined) {
      if (last && !this.#mayRestart(container, { finishedAt: last.finishedAt, now })) return false;
      if (behavior.startMs > 0) {
        this.#troubles.startAt.set(name, now + behavior.startMs);
        this.#wakeAt(now + behavior.startMs);
        return false;
      }
    } else if (now < startAt) {
      this.#wakeAt(startAt);
      return false;
    }
    if (behavior.pullFailures > 0 && !this.#pull(container, behavior.pullFailures, now)) return false;
    const { image = "" } = container;
    if (container.imagePullPolicy === "Always") {
      event("Normal", "Pulling", wording.pulling(image));
      event("Normal", "Pulled", wording.pulled(image, "1ms", "1ms", 0));
    } else event("Normal", "Pulled", wording.pullPresent(image));
    const before = [...(this.#status().initContainerStatuses ?? []), ...(this.#status().containerStatuses ?? [])];
    const status = before.find((one) => one.name === name);
    const restartCount = last ? last.restartCount + 1 : status?.containerID ? status.restartCount + 1 : 0;
    this.runtime = withStarted(this.runtime, container, { run: this.#run(container, restartCount), restartCount, now });
    if (this.#trouble)
      for (const map of [this.#trouble.problems, this.#trouble.startAt, this.#trouble.pulls]) map.delete(name);
    event("Normal", "Created", wording.created(name));
    event("Normal", "Started", wording.started(name));
    return true;
  }

  /** CrashLoopBackOff, until its time is over. */
  #mayRestart(container: ContainerSpec, { finishedAt, now }: { finishedAt: number; now: number }): boolean {
    const { name } = container;
    const { backoffs, problems } = this.#troubles;
    const decision = decideRestart(backoffs.get(name), { finishedAt, now });
    if (!decision.wait) {
      backoffs.set(name, decision.next);
      return true;
    }
    if (problems.get(name)?.reason !== "CrashLoopBackOff")
      this.#event({
        type: "Warning",
        reason: "BackOff",
        message: wording.backOffRestart(),
        container,
      });
    problems.set(name, {
      reason: "CrashLoopBackOff",
      message: `back-off ${printDuration(decision.delayMs)} restarting failed container=${name} pod=${printPod(this.pod)}`,
    });
    this.#wakeAt(decision.until);
    return false;
  }

  /** Answers whether the image is there. */
  #pull(container: ContainerSpec, failuresMax: number, now: number): boolean {
    const { name, image = "" } = container;
    const { pulls, problems, startAt } = this.#troubles;
    const tried = pulls.get(name) ?? { failures: 0, backsOff: true };
    const event = (type: "Normal" | "Warning", reason: string, message: string) =>
      this.#event({ type, reason, message, container });
    if (tried.backsOff && tried.failures >= failuresMax) return true;
    const until = (at: number) => {
      startAt.set(name, at);
      this.#wakeAt(at);
      return false;
    };
    if (tried.backsOff) {
      const why = `rpc error: code = NotFound desc = failed to pull and unpack image ${JSON.stringify(image)}: not found`;
      event("Normal", "Pulling", wording.pulling(image));
      event("Warning", "Failed", wording.pullFailed(image, why));
      event("Warning", "Failed", "Error: ErrImagePull");
      problems.set(name, { reason: "ErrImagePull", message: why });
      pulls.set(name, { failures: tried.failures + 1, backsOff: false });
      return until(now + pullTellMs);
    }
    event("Normal", "BackOff", wording.backOffPull(image));
    event("Warning", "Failed", "Error: ImagePullBackOff");
    problems.set(name, { reason: "ImagePullBackOff", message: wording.backOffPull(image) });
    pulls.set(name, { ...tried, backsOff: true });
    return until(now + Math.min(pullBackoff.maxMs, pullBackoff.initialMs * 2 ** (tried.failures - 1)));
  }

  #beginStopping(): void {
    this.stage = "stopping";
    this.#trouble = undefined;
  }

  #stepStopping(now: number): void {
    if (!isTerminalPhase(this.#status().phase)) this.#report(now);
    const isWaiting = this.#stopAll(now);
    if (isWaiting) {
      if (!isTerminalPhase(this.#status().phase)) this.#report(now);
      return;
    }
    this.stage = "ended";
    this.#report(now);
    this.#probes = undefined;
  }

  /** Sidecars hear of it when the containers they serve are gone, the last declared first. Answers whether something still runs. */
  #stopAll(now: number): boolean {
    const sidecars = (this.pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
    const running = () => this.runtime.containers.filter(({ state }) => state === "running");
    for (const one of running()) if (!sidecars.includes(one.name)) this.#stop(one, { now });
    while (sidecars.length > 0 && running().every(({ name }) => sidecars.includes(name))) {
      const one = this.#running(sidecars.pop() ?? "");
      if (one && !this.#stop(one, { now })) break;
    }
    if (running().length > 0) return true;
    const [sandbox] = this.runtime.sandboxes;
    if (sandbox?.ready) this.place.releaseAddress(sandbox.ips);
    this.runtime = withoutSandbox(this.runtime);
    return false;
  }

  /** Answers whether it has ended. */
  #stop(
    container: SimulatedContainer,
    { message, now, graceSeconds }: { message?: string; now: number; graceSeconds?: number | undefined },
  ): boolean {
    const { metadata, spec } = this.pod;
    const graceMs =
      (graceSeconds ??
        metadata.deletionGracePeriodSeconds ??
        spec?.terminationGracePeriodSeconds ??
        graceSecondsDefault) * 1000;
    const container_ = containerByName(this.pod, container.name);
    if (!container.isStopping)
      this.#event({
        type: "Normal",
        reason: "Killing",
        message: message ?? wording.stopping(container.name),
        container: container_,
      });
    else if (container.endsAt <= now + graceMs) return false;
    const { stopMs, stopExitCode } = container_ ? this.#behavior(container_) : { stopMs: 0, stopExitCode: 0 };
    const politeMs = stopMs + (container_?.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1000;
    const isKilled = politeMs > graceMs || graceMs === 0;
    const stopping = {
      ...container,
      isStopping: true,
      ...(container.endsAt > now + Math.min(politeMs, graceMs) && {
        endsAt: now + Math.min(politeMs, graceMs),
        endsWith: isKilled ? 137 : stopExitCode,
      }),
    };
    const isEnded = stopping.endsAt <= now;
    this.runtime = replaced(this.runtime, isEnded ? ended(stopping) : stopping);
    if (!isEnded) this.#wakeAt(stopping.endsAt);
    return isEnded;
  }

  #stepEnded(): void {
    if (!this.pod.metadata.deletionTimestamp || this.#isDeleting) return;
    this.#isDeleting = true;
    void this.#deleteFromApi();
  }

  async #deleteFromApi(): Promise<void> {
    const { client, clock, log } = this.#shared;
    const { namespace = "", name = "", uid = "" } = this.pod.metadata;
    try {
      await this.#writer?.flushed();
      await client.resource("v1/pods", namespace).delete(name, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      if (isStatusError(error, "NotFound") || isStatusError(error, "Conflict")) return;
      log.warn("a simulated pod could not be deleted", { pod: `${namespace}/${name}`, error });
      this.#isDeleting = false;
      this.#wakeAt(clock.now() + retryMs);
    }
  }

  #report(now: number): void {
    if (this.#probes ?? hasProbes(this.pod)) {
      this.#probes ??= new SimulatedProbes();
      const answers = (container: ContainerSpec) => this.#behavior(container).probes;
      const at = this.#probes.update(this.pod, this.runtime, { now, isEnding: this.stage !== "running", answers });
      this.#wakeAt(at);
    }
    this.#reported = podStatus(this.pod, {
      runtime: this.runtime,
      runtimeName,
      probes: this,
      problems: this.#trouble?.problems ?? noProblems,
      old: this.#status(),
      hostIPs: this.place.hostIPs,
      now,
      ended: this.stage === "ended",
      verdict: this.#verdict,
    });
  }

  /** What a step came to, once: what lies in between took no time. A writer lives as long as there is something to write. */
  #write(): void {
    const status = this.#reported;
    if (!status) return;
    this.#writer?.write(status);
    if (this.#writer || this.#forgetWritten()) return;
    const writer = createStatusWriter(this.pod, this.#shared);
    this.#writer = writer;
    writer.write(status);
    void writer.flushed().then(() => {
      this.#writer = undefined;
      this.#forgetWritten();
    });
  }

  #status() {
    return this.#reported ?? this.pod.status ?? {};
  }

  #behavior(container: ContainerSpec): Behavior {
    return behaviorNow(this.pod, container, this.#shared);
  }

  #run(container: ContainerSpec, restartCount: number): Run {
    const failedBefore = this.#shared.failedBefore(this.pod, container, restartCount);
    return runOf(this.pod, container, {
      behavior: this.#behavior(container),
      failedBefore,
      usualMs: this.#shared.usualRunMs,
    });
  }

  /** A container that is ready after a time has a readiness probe, also if its spec has none. */
  #view(pod: PodView): PodView {
    if (!pod.spec || (!this.#shared.behavior && !pod.metadata.annotations?.[`${behaviorPrefix}ready-after`]))
      return pod;
    const containers = pod.spec.containers.map((container) => {
      const waits =
        container.readinessProbe === undefined && behaviorNow(pod, container, this.#shared).readyMs !== undefined;
      return waits ? { ...container, readinessProbe: { periodSeconds: 1 } } : container;
    });
    return { ...pod, spec: { ...pod.spec, containers } };
  }

  #running(name: string): SimulatedContainer | undefined {
    return this.runtime.containers.find((one) => one.name === name && one.state === "running");
  }

  #event(event: PodEvent & { container?: ContainerSpec | undefined }): void {
    this.#shared.event(this, event);
  }

  #wakeAt(time: number): void {
    if (time !== Number.POSITIVE_INFINITY) this.#shared.wakeAt(this, time);
  }

  get #troubles(): Trouble {
    this.#trouble ??= { problems: new Map(), backoffs: new Map(), startAt: new Map(), pulls: new Map() };
    return this.#trouble;
  }
}

/** What nobody understands is told when the container is to start. */
function behaviorNow(pod: PodView, container: ContainerSpec, { behavior }: Simulation): Behavior {
  try {
    return behaviorOf(pod, container, behavior?.(pod, container));
  } catch (error) {
    if (error instanceof BehaviorError) return plainBehavior;
    throw error;
  }
}

const hasProbes = ({ spec }: PodView): boolean =>
  [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
    ({ startupProbe, readinessProbe, livenessProbe }) => startupProbe ?? readinessProbe ?? livenessProbe,
  );
