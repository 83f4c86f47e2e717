/**
 * Pods that ask for other resources while they run: what each was granted, who waits and why, who is being changed. A pod's worker works with what
 * was granted, not with what the spec asks for; a wish is granted when the node has room for it, at once or later, in upstream's order.
 */
import { join } from "node:path";
import type { PodCondition } from "#api";
import type { Clock } from "#base";
import type { EventRecorder } from "#client";
import { compareQuantities, formatTime, timeMs } from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { Refusal } from "../core/admission.ts";
import { podQos } from "../core/qos.ts";
import {
  asksForMore,
  isResizeCondition,
  planResize,
  resizeMessage,
  resizeOrder,
  type ResizePlan,
  resourcesOf,
  withResources,
} from "../core/resize.ts";
import { effectiveLimit, swapBehavior, type ResourceFacts } from "../core/resources.ts";
import type { ContainerSpec, PodRuntime, PodView } from "../core/types.ts";
import { type PodRecord, type Requirements, ResourceRecords } from "./resource-records.ts";

export interface Resizes {
  /** The pod with the resources that it was granted. */
  granted(pod: PodView): PodView;
  /** What others have to leave to it: also what it is about to give back. */
  held(pod: PodView): PodView;
  /** The node has taken the pod, now or in an earlier life. */
  admitted(pod: PodView): void;
  /** Its spec asks for other resources than before. */
  requested(pod: PodView): void;
  /** Tries what waits; somebody went or got smaller. */
  retry(): void;
  plan(pod: PodView, runtime: PodRuntime): ResizePlan;
  /** What the runtime was told; undefined: nothing yet. */
  actuated(uid: string): PodRecord | undefined;
  /** The runtime was told of this container's resources as the pod has them. */
  told(pod: PodView, container: ContainerSpec): Promise<void>;
  /** Likewise of the pod as a whole. */
  toldPod(pod: PodView): Promise<void>;
  /** Keeps conditions and events in step with what the runtime has. */
  look(pod: PodView, runtime: PodRuntime): void;
  failed(pod: PodView, message: string): void;
  conditions(uid: string): readonly PodCondition[];
  forget(uid: string): void;
  /** Before the first pod. */
  attach(hooks: ResizeHooks): void;
  close(): Promise<void>;
}

export interface ResizeHooks {
  /** As the API shows it; undefined: it has gone or doesn't run any more. */
  podOf(uid: string): PodView | undefined;
  refuse(pod: PodView): Refusal | undefined;
  /** Something of this pod's grant or conditions is new. */
  onChange(uid: string): void;
}

/** Upstream's. */
const retryMs = 3 * 60_000;

export function createResizes(options: {
  folder: string;
  clock: Clock;
  recorder: EventRecorder;
  config: Readonly<KubeletConfiguration>;
  facts: ResourceFacts;
}): Resizes {
  const { clock, recorder, config, facts } = options;
  const allocated = new ResourceRecords(join(options.folder, "allocated_pods_state"));
  const actuated = new ResourceRecords(join(options.folder, "actuated_pods_state"));
  const conditions = new Map<string, Map<string, PodCondition>>();
  const waiting = new Set<string>();
  /** So that one spec and one grant are one object. */
  const known = new WeakMap<object, { record: PodRecord; spec: PodView["spec"] }>();
  let hooks: ResizeHooks | undefined;
  let cancelRetry = (): void => undefined;

  const event = (pod: PodView, type: "Normal" | "Warning", reason: string, message: string) =>
    recorder.event({ apiVersion: "v1", kind: "Pod", metadata: pod.metadata }, { type, reason, message });

  function granted(pod: PodView): PodView {
    const record = allocated.get(pod.metadata.uid ?? "");
    if (!record || !pod.spec) return pod;
    const before = known.get(pod.spec);
    if (before?.record === record)
      return before.spec === pod.spec ? pod : { ...pod, ...(before.spec && { spec: before.spec }) };
    const made = withResources(pod, record);
    known.set(pod.spec, { record, spec: made.spec });
    return made;
  }

  function condition(pod: PodView, type: string, { reason = "", message = "", generation = 0 }): PodCondition {
    const uid = pod.metadata.uid ?? "";
    const of = conditions.get(uid) ?? new Map<string, PodCondition>();
    conditions.set(uid, of);
    const old = of.get(type);
    const now = formatTime(clock.now());
    const same = old && (old.reason ?? "") === reason;
    const made: PodCondition = {
      type,
      status: "True",
      lastProbeTime: now,
      lastTransitionTime: (same && old.lastTransitionTime) || now,
      ...(reason ? { reason } : {}),
      ...(message ? { message } : {}),
      ...(generation ? { observedGeneration: generation } : {}),
    };
    // What says nothing new doesn't change the status.
    const isNew = !same || (old.message ?? "") !== message || old.observedGeneration !== made.observedGeneration;
    if (isNew) of.set(type, made);
    return isNew ? made : old;
  }

  function clear(uid: string, type: string): PodCondition | undefined {
    const old = conditions.get(uid)?.get(type);
    if (old && conditions.get(uid)?.delete(type) && conditions.get(uid)?.size === 0) conditions.delete(uid);
    return old;
  }

  /** Why it can never be granted here. */
  function infeasible(pod: PodView, now: PodView): string | undefined {
    const before = new Map(Object.entries(resourcesOf(now).ContainerResources));
    const differs = ({ name: container, resources }: ContainerSpec, name: "cpu" | "memory") => {
      const [a, b] = [resources?.requests?.[name] ?? "0", before.get(container)?.requests?.[name] ?? "0"];
      return compareQuantities(a, b) !== 0;
    };
    const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
    const restarts = ({ resizePolicy = [] }: ContainerSpec) =>
      resizePolicy.find(({ resourceName }) => resourceName === "memory")?.restartPolicy === "RestartContainer";
    const swaps = (container: ContainerSpec) =>
      swapBehavior(pod, container, facts) !== "NoSwap" ||
      swapBehavior(now, { ...container, resources: before.get(container.name) ?? {} }, facts) !== "NoSwap";
    if (all.some((container) => differs(container, "memory") && !restarts(container) && swaps(container)))
      return "In-place resize of containers with swap is not supported.";
    if (podQos(pod) !== "Guaranteed") return undefined;
    if (config.cpuManagerPolicy === "static" && all.some((container) => differs(container, "cpu")))
      return 'Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"';
    if (config.memoryManagerPolicy === "Static" && all.some((container) => differs(container, "memory")))
      return 'Resize is infeasible for Guaranteed Pods alongside Memory Manager policy "Static"';
    return undefined;
  }

  /** Answers whether it still has to wait. */
  function tryToGrant(pod: PodView): boolean {
    const { uid = "", generation = 0 } = pod.metadata;
    const now = granted(pod);
    if (now === pod || now.spec === pod.spec) {
      if (clear(uid, "PodResizePending")) hooks?.onChange(uid);
      return false;
    }
    const never = infeasible(pod, now);
    const refused = never === undefined ? hooks?.refuse(pod) : { reason: "Infeasible", message: never };
    if (refused) {
      const reason = never === undefined ? "Deferred" : "Infeasible";
      const old = conditions.get(uid)?.get("PodResizePending");
      const made = condition(pod, "PodResizePending", { reason, message: refused.message, generation });
      if (old?.reason !== reason || old.observedGeneration !== generation) {
        const text = resizeMessage(`Pod resize ${refused.reason}`, pod, { generation, error: refused.message });
        event(pod, "Warning", `Resize${reason}`, text);
      }
      if (made !== old) hooks?.onChange(uid);
      return reason === "Deferred";
    }
    void allocated.set(uid, resourcesOf(pod));
    clear(uid, "PodResizePending");
    clear(uid, "PodResizeInProgress");
    condition(pod, "PodResizeInProgress", { generation });
    event(pod, "Normal", "ResizeStarted", resizeMessage("Pod resize started", pod, { generation }));
    hooks?.onChange(uid);
    return false;
  }

  function retry(): void {
    if (!hooks || waiting.size === 0) return;
    const list = [...waiting].flatMap((uid) => {
      const pod = hooks?.podOf(uid);
      if (!pod) return [];
      const since = timeMs(conditions.get(uid)?.get("PodResizePending")?.lastTransitionTime);
      const grows = asksForMore(granted(pod), pod);
      return [{ uid, pod, grows, since: Number.isNaN(since) ? undefined : since }];
    });
    waiting.clear();
    for (const { uid, pod } of list.sort(resizeOrder)) if (tryToGrant(pod)) waiting.add(uid);
    cancelRetry();
    if (waiting.size > 0) cancelRetry = clock.after(retryMs, retry);
  }

  const withLimits = (pod: PodView, container: ContainerSpec): Requirements => {
    const limits = { ...container.resources?.limits };
    for (const name of ["cpu", "memory"] as const) {
      const limit = effectiveLimit(pod, container, name);
      if (limit !== "0") limits[name] = limit;
    }
    return { ...container.resources, ...(Object.keys(limits).length > 0 ? { limits } : {}) };
  };

  const resizes: Resizes = {
    granted,
    held(pod) {
      const uid = pod.metadata.uid ?? "";
      const had = actuated.get(uid);
      if (!had || !conditions.get(uid)?.has("PodResizeInProgress")) return pod;
      const max = ({ requests, ...rest }: Requirements = {}, other: Requirements = {}): Requirements => {
        const most: Record<string, string> = { ...requests };
        for (const [name, value] of Object.entries(other.requests ?? {}))
          if (most[name] === undefined || compareQuantities(value, most[name]) > 0) most[name] = value;
        return { ...rest, ...(Object.keys(most).length > 0 ? { requests: most } : {}) };
      };
      const { ContainerResources, PodLevelResources } = resourcesOf(pod);
      const together = Object.entries(ContainerResources).map(
        ([name, each]) => [name, max(each, had.ContainerResources[name])] as const,
      );
      return withResources(pod, {
        ContainerResources: Object.fromEntries(together),
        PodLevelResources: PodLevelResources && max(PodLevelResources, had.PodLevelResources ?? {}),
      });
    },
    admitted(pod) {
      const { uid = "" } = pod.metadata;
      if (podQos(pod) === "BestEffort" && !pod.spec?.resources) return;
      for (const each of pod.status?.conditions ?? [])
        if (isResizeCondition(each.type) && !conditions.get(uid)?.has(each.type))
          conditions.set(uid, new Map(conditions.get(uid)).set(each.type, { ...each }));
      if (!allocated.get(uid)) void allocated.set(uid, resourcesOf(pod));
      else if (granted(pod).spec !== pod.spec) resizes.requested(pod);
    },
    requested(pod) {
      const { uid = "" } = pod.metadata;
      if (!allocated.get(uid)) return;
      if (granted(pod).spec === pod.spec) {
        waiting.delete(uid);
        if (clear(uid, "PodResizePending")) hooks?.onChange(uid);
        return;
      }
      waiting.add(uid);
      retry();
    },
    retry,
    plan: (pod, runtime) => planResize(pod, runtime, actuated.get(pod.metadata.uid ?? "")),
    actuated: (uid) => actuated.get(uid),
    async told(pod, container) {
      const { uid = "" } = pod.metadata;
      if (allocated.get(uid)) await actuated.setContainer(uid, container.name, withLimits(pod, container));
    },
    async toldPod(pod) {
      const { uid = "" } = pod.metadata;
      if (pod.spec?.resources && allocated.get(uid)) await actuated.setPodLevel(uid, pod.spec.resources);
    },
    look(pod, runtime) {
      const { uid = "", generation = 0 } = pod.metadata;
      if (!actuated.get(uid)) return;
      const isDone = resizes.plan(pod, runtime).isDone;
      const old = conditions.get(uid)?.get("PodResizeInProgress");
      if (!isDone && !old) condition(pod, "PodResizeInProgress", { generation });
      if (!isDone || !old) return;
      clear(uid, "PodResizeInProgress");
      const done = { generation: old.observedGeneration ?? 0 };
      event(pod, "Normal", "ResizeCompleted", resizeMessage("Pod resize completed", pod, done));
      // It may have given something back.
      queueMicrotask(retry);
    },
    failed(pod, message) {
      const { uid = "", generation = 0 } = pod.metadata;
      const old = conditions.get(uid)?.get("PodResizeInProgress");
      const about = { reason: "Error", message, generation: old?.observedGeneration ?? generation };
      if (condition(pod, "PodResizeInProgress", about) === old) return;
      event(
        pod,
        "Warning",
        "ResizeError",
        resizeMessage("Pod resize error", pod, { generation: about.generation, error: message }),
      );
    },
    conditions: (uid) => [...(conditions.get(uid)?.values() ?? [])],
    forget(uid) {
      allocated.delete(uid);
      actuated.delete(uid);
      conditions.delete(uid);
      waiting.delete(uid);
      retry();
    },
    attach(to) {
      hooks = to;
    },
    async close() {
      cancelRetry();
      await Promise.all([allocated.flushed(), actuated.flushed()]);
    },
  };
  return resizes;
}
