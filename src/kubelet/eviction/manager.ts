/**
 * Keeps the node working when it runs short of memory, disk, inodes or processes: tells so (conditions), frees what nobody needs, and ends pods, one at a
 * time and in upstream's order (pkg/kubelet/eviction). The kernel tells nobody here when a threshold is crossed (its event files can't be waited for), so
 * the node's own figures are read every ten seconds, as upstream does; pods are measured only if they have a limit or one of them has to go.
 */
import type { Clock, Logger } from "#base";
import { delay, type EventRecorder } from "#client";
import { formatTime } from "#machinery";
import type { Refusal } from "../core/admission.ts";
import type { PodVerdict } from "../core/pod-status.ts";
import { isTerminalPhase, type PodView } from "../core/types.ts";
import type { KubeletMetrics } from "../metrics/kubelet-metrics.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { Observed } from "./observe.ts";
import { type PodUsage, rankPods, reclaimable } from "./rank.ts";
import { advance, type EvictionState, initialState, thresholdsMet } from "./state.ts";
import {
  type EvictionSettings,
  parseThresholds,
  type PressureCondition,
  signals,
  type Threshold,
  withContainerFs,
} from "./thresholds.ts";
import {
  evictedReason,
  evictionFor,
  exceededLimit,
  hasStorageLimit,
  isCritical,
  refuseUnderPressure,
} from "./verdicts.ts";

export interface EvictionManager {
  run(signal: AbortSignal): Promise<void>;
  /** What the node tells. */
  conditions(): readonly PressureCondition[];
  refuse(pod: PodView): Refusal | undefined;
}

export interface EvictionOptions {
  readonly config: EvictionSettings & {
    readonly evictionPressureTransitionPeriod: number;
    readonly evictionMaxPodGracePeriod: number;
    readonly localStorageCapacityIsolation: boolean;
  };
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  readonly metrics: KubeletMetrics;
  observe(): Promise<Observed>;
  workers(): Iterable<PodWorker>;
  /** By uid; pods that can't be measured are missing. */
  usage(workers: readonly PodWorker[]): Promise<ReadonlyMap<string, PodUsage>>;
  /** Frees what nobody needs. */
  readonly reclaim: Readonly<Record<"containers" | "images", () => Promise<unknown>>>;
  onConditions(): void;
}

const lookMs = 10_000;
/** Under pressure pods don't get the time that they ask for. */
const hardGraceSeconds = 1;
/** After this long the next pod is chosen, even if the last isn't gone. */
const goneMsMax = 30_000;

export function createEvictionManager(options: EvictionOptions): EvictionManager {
  const { config, clock, log, recorder, metrics, nodeName } = options;
  const configured = parseThresholds(config);
  let thresholds: readonly Threshold[] | undefined;
  let state: EvictionState = initialState;
  /** Evicted: once is enough. */
  const leaving = new WeakSet<PodWorker>();

  /** Answers who was evicted. */
  async function look(): Promise<readonly PodWorker[]> {
    if (configured.length === 0 && !config.localStorageCapacityIsolation) return [];
    const { observations, layout } = await options.observe();
    if (!thresholds) {
      const derived = withContainerFs(configured, layout);
      for (const why of derived.ignored) log.warn("a threshold of the containers' disk is not used", { why });
      ({ thresholds } = derived);
    }
    const before = state.conditions;
    const next = advance(state, {
      thresholds,
      observations,
      transitionMs: config.evictionPressureTransitionPeriod,
      now: clock.now(),
    });
    ({ state } = next);
    if (before.join() !== state.conditions.join()) options.onConditions();
    const active = [...options.workers()].filter((worker) => isActive(worker) && !leaving.has(worker));
    if (config.localStorageCapacityIsolation) {
      const evicted = await enforceLimits(active, layout);
      if (evicted.length > 0) return evicted;
    }
    const [first] = next.due;
    if (!first) return [];
    const { resource } = signals[first.signal];
    log.warn("the node runs short", { resource, signal: first.signal, ...observations.get(first.signal) });
    nodeEvent("EvictionThresholdMet", `Attempting to reclaim ${resource}`);
    if (await reclaim(first, layout)) return [];
    const usage = await options.usage(active);
    const usageOf = ({ metadata }: PodView) => usage.get(metadata.uid ?? "");
    for (const { signal } of next.due) {
      const { timeMs } = observations.get(signal) ?? {};
      if (timeMs !== undefined) metrics.evictionAge.with(signal).observe((clock.now() - timeMs) / 1000);
    }
    for (const pod of rankPods(
      active.map((worker) => worker.pod()),
      first.signal,
      { usageOf, layout },
    )) {
      const worker = active.find(({ uid }) => uid === pod.metadata.uid);
      const { message, annotations } = evictionFor(pod, resource, { usage: usageOf(pod), due: next.due, observations });
      const own = pod.spec?.terminationGracePeriodSeconds ?? Number.POSITIVE_INFINITY;
      const soft = Math.min(config.evictionMaxPodGracePeriod, own);
      const graceSeconds = first.graceMs === 0 ? hardGraceSeconds : Math.max(1, soft);
      if (!worker || !evict(worker, { message, annotations, graceSeconds, disrupts: true })) continue;
      metrics.evictions.with(first.signal).inc();
      return [worker];
    }
    log.warn("no pod can be evicted", { resource });
    return [];
  }

  /** Answers whether that was enough. */
  async function reclaim({ signal }: Threshold, layout: Observed["layout"]): Promise<boolean> {
    const means = reclaimable(signal, layout);
    if (means.length === 0) return false;
    for (const what of means)
      await options.reclaim[what]().catch((error: unknown) =>
        log.warn(`unused ${what} could not be removed`, { error }),
      );
    const { observations } = await options.observe();
    return thresholdsMet(thresholds ?? [], observations, { withReclaim: true }).length === 0;
  }

  /** Of single pods, whatever the node has left. */
  async function enforceLimits(active: readonly PodWorker[], layout: Observed["layout"]): Promise<PodWorker[]> {
    const limited = active.filter((worker) => hasStorageLimit(worker.pod()));
    if (limited.length === 0) return [];
    const usage = await options.usage(limited);
    return limited.filter((worker) => {
      const used = usage.get(worker.uid);
      const exceeded = used && exceededLimit(worker.pod(), used, layout);
      if (!exceeded || !evict(worker, { message: exceeded.message, graceSeconds: hardGraceSeconds })) return false;
      metrics.evictions.with(exceeded.signal).inc();
      return true;
    });
  }

  function evict(
    worker: PodWorker,
    how: { message: string; annotations?: Readonly<Record<string, string>>; graceSeconds: number; disrupts?: boolean },
  ): boolean {
    const pod = worker.pod();
    const { name, namespace, generation } = pod.metadata;
    if (isCritical(pod)) {
      log.warn("a critical pod can't be evicted", { pod: `${namespace}/${name}` });
      return false;
    }
    const { message, annotations, graceSeconds, disrupts } = how;
    recorder.event(
      { apiVersion: "v1", kind: "Pod", metadata: pod.metadata },
      { type: "Warning", reason: evictedReason, message, ...(annotations && { annotations: { ...annotations } }) },
    );
    log.warn("evicting a pod", { pod: `${namespace}/${name}`, message });
    const condition: NonNullable<PodVerdict["condition"]> = {
      type: "DisruptionTarget",
      ...(generation ? { observedGeneration: generation } : {}),
      status: "True",
      reason: "TerminationByKubelet",
      message,
      lastTransitionTime: formatTime(clock.now()),
    };
    leaving.add(worker);
    worker.evict({ phase: "Failed", reason: evictedReason, message, ...(disrupts && { condition }) }, { graceSeconds });
    return true;
  }

  const nodeEvent = (reason: string, message: string) =>
    recorder.event(
      { apiVersion: "v1", kind: "Node", metadata: { name: nodeName, uid: nodeName } },
      { type: "Warning", reason, message },
    );

  return {
    async run(signal) {
      while (!signal.aborted) {
        let evicted: readonly PodWorker[] = [];
        try {
          evicted = await look();
        } catch (error) {
          log.warn("what is left on the node could not be read", { error });
        }
        // What those had is free then; the next look tells whether that is enough.
        if (evicted.length > 0) await allGone(evicted, clock, signal);
        else await delay(clock, lookMs, signal);
      }
    },
    conditions: () => state.conditions,
    refuse: (pod) => refuseUnderPressure(pod, state.conditions),
  };
}

/** Has, or may have, something running. One that somebody deleted can still be hurried. */
const isActive = (worker: PodWorker): boolean =>
  worker.admitted() && worker.stage() !== "ended" && !isTerminalPhase(worker.pod().status?.phase);

async function allGone(workers: readonly PodWorker[], clock: Clock, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const waits = workers.map(
    (worker) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (worker.cleaned()) resolve();
        };
        const stop = worker.onLook(look);
        done.signal.addEventListener("abort", stop, { once: true });
        look();
      }),
  );
  await Promise.race([Promise.all(waits), delay(clock, goneMsMax, AbortSignal.any([signal, done.signal]))]);
  done.abort();
}
