/** Everything that the scheduler sends: bindings, conditions, the removal of preempted pods, and events about all of it. */
import type { Binding, PodCondition } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, type EventRecorder, secondTime } from "#client";
import { isStatusError } from "#machinery";
import type { NodeInfo } from "./core/node-info.ts";
import type { ReadonlyPod } from "./core/pod-info.ts";
import type { VolumePlan } from "./core/volume-binding.ts";
import type { Extender } from "./extender.ts";
import type { VolumeBinder } from "./volume-binder.ts";

const eventMessageBytesMax = 1024;

export interface PreemptionPlan {
  readonly preemptor: ReadonlyPod;
  readonly nodeName: string;
  readonly victims: readonly ReadonlyPod[];
  /** Waiting pods of lower priority that were promised room on the node. */
  readonly outranked: readonly ReadonlyPod[];
}

interface BindOptions {
  readonly node: NodeInfo;
  /** What must happen to its volumes first. */
  readonly plan: VolumePlan | undefined;
  /** What must happen to its devices then. */
  readonly bindDevices?: (() => Promise<void>) | undefined;
  /** Whether the pod still exists. */
  readonly isWanted: () => boolean;
  readonly signal: AbortSignal;
  /** Who binds it instead of us. */
  readonly binder?: Extender | undefined;
  readonly bindTimeoutMs: number;
}

interface StatusPatch {
  readonly conditions?: readonly PodCondition[];
  readonly nominatedNodeName?: string | null;
}

function failureOf(point: string, plugin: string, error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`running ${point} plugin "${plugin}": ${message}`, { cause: error });
}

/** What is gone, or is another one by now, needs nothing written. */
const isGone = (error: unknown): boolean => isStatusError(error, "NotFound") || isStatusError(error, "Conflict");

export function createWriter(options: {
  client: Client;
  /** The recorder of the profile that schedules the pod. */
  eventsOf: (pod: ReadonlyPod) => EventRecorder | undefined;
  volumes: VolumeBinder;
  clock: Clock;
  log: Logger;
  onIdle: () => void;
}) {
  const { client, eventsOf, volumes, clock, log, onIdle } = options;
  const requests = new Set<Promise<unknown>>();
  const waiting = new Set<Promise<unknown>>();
  /** Ends the wait for a pod's volumes, by its uid. */
  const cancels = new Map<string, AbortController>();

  function track<T>(request: Promise<T>): Promise<T> {
    const tracked = request.finally(() => {
      requests.delete(tracked);
      onIdle();
    });
    requests.add(tracked);
    return tracked;
  }

  function trackWaiting<T>(request: Promise<T>): Promise<T> {
    const tracked = request.finally(() => waiting.delete(tracked));
    waiting.add(tracked);
    return tracked;
  }

  async function sendBinding(pod: ReadonlyPod, options: BindOptions): Promise<Error | undefined> {
    const { node, plan, bindDevices, binder } = options;
    const nodeName = node.name;
    const { namespace, name = "", uid } = pod.metadata;
    // Others see where it will be while that takes its time.
    if ((plan || bindDevices) && pod.status?.nominatedNodeName !== nodeName)
      await tryPatchStatus(pod, { nominatedNodeName: nodeName });
    if (plan) {
      const cancel = new AbortController();
      if (uid) cancels.set(uid, cancel);
      try {
        await volumes.bind(plan, node, { ...options, signal: AbortSignal.any([options.signal, cancel.signal]) });
      } catch (error) {
        return failureOf("PreBind", "VolumeBinding", cancel.signal.aborted ? cancel.signal.reason : error);
      } finally {
        if (uid) cancels.delete(uid);
      }
    }
    try {
      await bindDevices?.();
    } catch (error) {
      return failureOf("PreBind", "DynamicResources", error);
    }
    const binding: Binding = {
      kind: "Binding",
      apiVersion: "v1",
      metadata: { namespace, name, uid },
      target: { kind: "Node", name: nodeName },
    };
    try {
      if (binder) await binder.bind(pod, nodeName);
      else await client.resource("v1/pods", namespace).createSubresource(name, "binding", binding);
    } catch (error) {
      if (!binder) return failureOf("Bind", "DefaultBinder", error);
      if (binder.isIgnorable) return sendBinding(pod, { ...options, binder: undefined, plan: undefined });
      return error instanceof Error ? error : new Error(String(error));
    }
    const message = `Successfully assigned ${namespace}/${name} to ${nodeName}`;
    eventsOf(pod)?.event(pod, { type: "Normal", reason: "Scheduled", action: "Binding", message });
    return undefined;
  }

  function patchStatus(pod: ReadonlyPod, status: StatusPatch): Promise<unknown> {
    const { namespace, name = "", uid } = pod.metadata;
    const patch = { metadata: { uid }, status };
    return client.resource("v1/pods", namespace).patch(name, patch, { type: "strategic", subresource: "status" });
  }

  async function tryPatchStatus(pod: ReadonlyPod, status: StatusPatch): Promise<void> {
    try {
      await patchStatus(pod, status);
    } catch (error) {
      const { namespace, name } = pod.metadata;
      log[isGone(error) ? "debug" : "warn"]("pod status not written", { pod: `${namespace}/${name}`, error });
    }
  }

  async function removeVictim(victim: ReadonlyPod, { preemptor, nodeName }: PreemptionPlan): Promise<void> {
    const { namespace, name = "", uid, generation } = victim.metadata;
    const type = "DisruptionTarget";
    const reason = "PreemptionByScheduler";
    const message = `${preemptor.spec?.schedulerName}: preempting to accommodate a higher priority pod`;
    const old = victim.status?.conditions?.find((condition) => condition.type === type);
    // One that only waits for its volumes needn't die: it goes back to the queue.
    const waiting = cancels.get(uid ?? "");
    waiting?.abort(new Error("preempted by DefaultPreemption"));
    if (!waiting)
      try {
        if (old?.status !== "True" || old.reason !== reason || old.message !== message) {
          const lastTransitionTime = old?.status === "True" ? old.lastTransitionTime : secondTime(clock.now());
          const observedGeneration = generation ? { observedGeneration: generation } : {};
          const condition = { type, status: "True", reason, message, lastTransitionTime, ...observedGeneration };
          await patchStatus(victim, { conditions: [condition] });
        }
        await client.resource("v1/pods", namespace).delete(name, uid ? { preconditions: { uid } } : {});
      } catch (error) {
        if (isGone(error)) return;
        throw error;
      }
    log.info("pod preempted", { pod: `${namespace}/${name}`, node: nodeName, by: preemptor.metadata.uid });
    eventsOf(preemptor)?.event(victim, {
      type: "Normal",
      reason: "Preempted",
      action: "Preempting",
      related: preemptor,
      message: `Preempted by pod ${preemptor.metadata.uid} on node ${nodeName}${waiting ? " (in kube-scheduler memory)." : ""}`,
    });
  }

  async function removeVictims(plan: PreemptionPlan): Promise<Error | undefined> {
    const cleared = plan.outranked.map((pod) => tryPatchStatus(pod, { nominatedNodeName: null }));
    const removed = plan.victims
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .map((victim) => removeVictim(victim, plan));
    const results = await Promise.allSettled([...removed, ...cleared]);
    const failed = results.find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return undefined;
    return failed.reason instanceof Error ? failed.reason : new Error(String(failed.reason));
  }

  return {
    get inFlight() {
      return requests.size;
    },
    async idle() {
      while (requests.size + waiting.size > 0) await Promise.all([...requests, ...waiting]);
    },
    /** Answers the error, if any. */
    bind: (pod: ReadonlyPod, options: BindOptions) => {
      // What waits for volumes may wait for long, and sends nothing: it takes no place from others.
      const request = sendBinding(pod, options);
      return options.plan || options.bindDevices ? trackWaiting(request) : track(request);
    },
    /** Marks and deletes the victims, clears the nominations of those outranked. Answers the first error, if any. */
    preempt: (plan: PreemptionPlan) => track(removeVictims(plan)),
    /** The event, and condition and nomination where they changed. `nominatedNodeName` undefined: stays; "": none. */
    reportFailure(
      pod: ReadonlyPod,
      { reason, message, nominatedNodeName }: { reason: string; message: string; nominatedNodeName?: string },
    ): void {
      eventsOf(pod)?.event(pod, {
        type: "Warning",
        reason: "FailedScheduling",
        action: "Scheduling",
        message: truncate(message),
      });
      const old = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
      const { generation } = pod.metadata;
      const isSame = old?.status === "False" && old.reason === reason && old.message === message;
      const isNominationSame =
        nominatedNodeName === undefined || nominatedNodeName === (pod.status?.nominatedNodeName ?? "");
      if (isSame && old.observedGeneration === generation && isNominationSame) return;
      const condition: PodCondition = {
        type: "PodScheduled",
        ...(generation ? { observedGeneration: generation } : {}),
        status: "False",
        lastTransitionTime: old?.status === "False" ? old.lastTransitionTime : secondTime(clock.now()),
        reason,
        message,
      };
      const nomination = isNominationSame ? {} : { nominatedNodeName: nominatedNodeName || null };
      void track(tryPatchStatus(pod, { conditions: [condition], ...nomination }));
    },
  };
}

function truncate(message: string): string {
  return message.length <= eventMessageBytesMax ? message : `${message.slice(0, eventMessageBytesMax - 4)} ...`;
}
