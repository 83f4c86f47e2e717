/** Everything that the scheduler sends: bindings, conditions, the removal of preempted pods, and events about all of it. */
import type { Binding, PodCondition } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, type ClosableEventRecorder, secondTime } from "#client";
import { isStatusError } from "#machinery";
import type { ReadonlyPod } from "./core/pod-info.ts";

const eventMessageBytesMax = 1024;

export interface PreemptionPlan {
  readonly preemptor: ReadonlyPod;
  readonly nodeName: string;
  readonly victims: readonly ReadonlyPod[];
  /** Waiting pods of lower priority that were promised room on the node. */
  readonly outranked: readonly ReadonlyPod[];
}

interface StatusPatch {
  readonly conditions?: readonly PodCondition[];
  readonly nominatedNodeName?: string | null;
}

/** What is gone, or is another one by now, needs nothing written. */
const isGone = (error: unknown): boolean => isStatusError(error, "NotFound") || isStatusError(error, "Conflict");

export function createWriter(options: {
  client: Client;
  events: ClosableEventRecorder;
  clock: Clock;
  log: Logger;
  onIdle: () => void;
}) {
  const { client, events, clock, log, onIdle } = options;
  const requests = new Set<Promise<unknown>>();

  function track<T>(request: Promise<T>): Promise<T> {
    const tracked = request.finally(() => {
      requests.delete(tracked);
      onIdle();
    });
    requests.add(tracked);
    return tracked;
  }

  async function sendBinding(pod: ReadonlyPod, nodeName: string): Promise<Error | undefined> {
    const { namespace, name = "", uid } = pod.metadata;
    const binding: Binding = {
      kind: "Binding",
      apiVersion: "v1",
      metadata: { namespace, name, uid },
      target: { kind: "Node", name: nodeName },
    };
    try {
      await client.resource("v1/pods", namespace).createSubresource(name, "binding", binding);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    const message = `Successfully assigned ${namespace}/${name} to ${nodeName}`;
    events.event(pod, { type: "Normal", reason: "Scheduled", action: "Binding", message });
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
    events.event(victim, {
      type: "Normal",
      reason: "Preempted",
      action: "Preempting",
      related: preemptor,
      message: `Preempted by pod ${preemptor.metadata.uid} on node ${nodeName}`,
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
      while (requests.size > 0) await Promise.all(requests);
    },
    /** Answers the error, if any. */
    bind: (pod: ReadonlyPod, nodeName: string) => track(sendBinding(pod, nodeName)),
    /** Marks and deletes the victims, clears the nominations of those outranked. Answers the first error, if any. */
    preempt: (plan: PreemptionPlan) => track(removeVictims(plan)),
    /** The event, and condition and nomination where they changed. `nominatedNodeName` undefined: stays; "": none. */
    reportFailure(
      pod: ReadonlyPod,
      { reason, message, nominatedNodeName }: { reason: string; message: string; nominatedNodeName?: string },
    ): void {
      events.event(pod, {
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
