/**
 * The scheduler around its decisions: follows nodes and pods, takes one pending pod after the other, and writes bindings, conditions
 * and events. Decisions are made one by one, bindings run beside them: a placed pod counts on its node at once ("assumed"),
 * and is taken off again when its binding fails.
 */
import type { Binding, Node, Pod, PodCondition } from "#api";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import { type Client, type ClosableEventRecorder, createSeriesRecorder, type InformerSet, secondTime } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { createClusterObjects } from "./cluster-objects.ts";
import { ClusterState } from "./core/cluster-state.ts";
import { defaultPlugins } from "./core/default-plugins.ts";
import { printFitFailure } from "./core/fit-error.ts";
import { nodeChange, podChange } from "./core/changes.ts";
import type { ClusterEvent, Plugins } from "./core/framework.ts";
import { createPendingPods, type PendingPod } from "./core/pending-pods.ts";
import { createPodInfo } from "./core/pod-info.ts";
import { createDecider } from "./core/schedule.ts";

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** `spec.schedulerName` of the pods it takes. */
  readonly schedulerName?: string;
  /** Of the machine, for events. */
  readonly host?: string;
  readonly plugins?: Plugins;
  readonly random?: () => number;
}

export interface Scheduler {
  /** Schedules until the signal aborts; resolves when bindings under way have ended. The informers are run by the caller. */
  run(signal: AbortSignal): Promise<void>;
}

/** Finished pods use nothing: not asking for them keeps a busy cluster's history out of memory. */
const podSelector = { fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" };
/** Requests under way; decisions wait beyond, so that a slow server meets a queue here and not there. */
const requestsMax = 500;
/** Decisions in a row before others on this thread get a turn. */
const sliceMs = 5;
const eventMessageBytesMax = 1024;

type ReadonlyPod = DeepReadonly<Pod>;
type ReadonlyNode = DeepReadonly<Node>;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { client, informers, clock = realClock, log = silentLogger, host } = options;
  const { schedulerName = "default-scheduler", plugins = defaultPlugins, random } = options;
  // Asked for here, so that the caller may start the informers before or after `run`.
  const pods = informers.of("v1/pods", podSelector);
  const nodes = informers.of("v1/nodes");
  const objects = createClusterObjects(informers);

  return {
    async run(signal) {
      const events = createSeriesRecorder({ client, component: schedulerName, host, clock, log });
      const state = new ClusterState(objects);
      let wake: () => void = () => undefined;
      const pending = createPendingPods({ filters: plugins.filters, state, clock, onReady: () => wake() });
      const decider = createDecider(plugins, random);
      const writer = createWriter({ client, events, clock, log, onIdle: () => wake() });

      const isOurs = (pod: ReadonlyPod) => (pod.spec?.schedulerName || "default-scheduler") === schedulerName;
      const notify = (event: ClusterEvent) => pending.notify(event);

      function setPod(pod: ReadonlyPod): void {
        const uid = pod.metadata.uid ?? "";
        if (isFinished(pod)) {
          removePod(pod);
          return;
        }
        if (!pod.spec?.nodeName) {
          // An assumed pod shows up without a node until its binding is through.
          if (isOurs(pod) && !state.isAssumed(uid)) pending.set(createPodInfo(pod));
          return;
        }
        pending.delete(uid);
        const before = state.pod(uid);
        const after = state.setPod(pod);
        if (!before) notify({ kind: "pod-added", pod: after });
        else {
          const changed = podChange(before, after);
          if (changed) notify({ kind: "pod-updated", pod: after, changed });
        }
      }

      function removePod(pod: ReadonlyPod): void {
        const uid = pod.metadata.uid ?? "";
        pending.delete(uid);
        const removed = state.removePod(uid);
        if (removed) notify({ kind: "pod-deleted", pod: removed });
      }

      function setNode(node: ReadonlyNode, old?: ReadonlyNode): void {
        const changed = old && nodeChange(old, node);
        const info = state.setNode(node);
        if (!old) notify({ kind: "node-added", node: info });
        else if (changed) notify({ kind: "node-updated", node: info, changed });
      }

      function attempt(entry: PendingPod): void {
        const { pod } = entry;
        if (pod.pod.metadata.deletionTimestamp) {
          events.event(pod.pod, {
            type: "Warning",
            reason: "FailedScheduling",
            action: "Scheduling",
            message: `skip schedule deleting pod: ${pod.key}`,
          });
          pending.delete(pod.uid);
          return;
        }
        const decision = decider.decide(pod, state);
        if ("failure" in decision) {
          const message = printFitFailure(decision.failure);
          pending.reject(entry, decision.failure.plugins);
          log.debug("pod fits nowhere", { pod: pod.key, message });
          writer.reportFailure(pods.get(pod.key) ?? pod.pod, { reason: "Unschedulable", message });
          return;
        }
        const nodeName = decision.node.name;
        state.assume(pod, nodeName);
        void writer.bind(pod.pod, nodeName).then((error) => {
          if (error === undefined) {
            log.debug("pod bound", { pod: pod.key, node: nodeName, attempts: entry.attempts });
            pending.delete(pod.uid);
            return;
          }
          // Unless the server shows it bound by now: the answer was lost, not the binding.
          if (!state.isAssumed(pod.uid)) return;
          const freed = state.removePod(pod.uid);
          if (freed) notify({ kind: "pod-deleted", pod: freed });
          const current = pods.get(pod.key);
          if (current?.metadata.uid !== pod.uid) {
            pending.delete(pod.uid);
            return;
          }
          entry.pod = createPodInfo(current);
          pending.retry(entry);
          const message = `running Bind plugin "DefaultBinder": ${error.message}`;
          log.warn("binding failed", { pod: pod.key, node: nodeName, error });
          writer.reportFailure(current, { reason: "SchedulerError", message });
        });
      }

      const removeHandlers = [
        nodes.addHandler({
          added: (node) => setNode(node),
          updated: (node, old) => setNode(node, old),
          deleted: (node) => state.removeNode(node.metadata.name ?? ""),
        }),
        pods.addHandler({ added: setPod, updated: setPod, deleted: removePod }),
      ];
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      try {
        // Placing pods without knowing all nodes, or what is on them, would place them badly.
        await Promise.race([Promise.all([nodes.synced(), pods.synced(), objects.synced()]), aborted]);
        while (!signal.aborted) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          const sliceEnd = performance.now() + sliceMs;
          let entry: PendingPod | undefined;
          do {
            entry = writer.inFlight < requestsMax ? pending.next() : undefined;
            if (entry) attempt(entry);
          } while (entry && performance.now() < sliceEnd);
          if (entry) await new Promise((resolve) => setImmediate(resolve));
          else await Promise.race([woken, aborted]);
        }
      } finally {
        for (const remove of removeHandlers) remove();
        pending.close();
        await writer.idle();
        await events.close();
      }
    },
  };
}

const isFinished = ({ status }: ReadonlyPod) => status?.phase === "Succeeded" || status?.phase === "Failed";

/** Everything that the scheduler sends. */
function createWriter(options: {
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

  async function patchCondition(pod: ReadonlyPod, condition: PodCondition): Promise<void> {
    const { namespace, name = "", uid } = pod.metadata;
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    try {
      await client.resource("v1/pods", namespace).patch(name, patch, { type: "strategic", subresource: "status" });
    } catch (error) {
      // A pod that is gone, or is another one by now, needs no condition.
      const expected = isStatusError(error, "NotFound") || isStatusError(error, "Conflict");
      log[expected ? "debug" : "warn"]("pod condition not written", { pod: `${namespace}/${name}`, error });
    }
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
    /** The event, and the condition where it changed. */
    reportFailure(pod: ReadonlyPod, { reason, message }: { reason: string; message: string }): void {
      events.event(pod, {
        type: "Warning",
        reason: "FailedScheduling",
        action: "Scheduling",
        message: truncate(message),
      });
      const old = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
      const { generation } = pod.metadata;
      const isSame = old?.status === "False" && old.reason === reason && old.message === message;
      if (isSame && old.observedGeneration === generation) return;
      void track(
        patchCondition(pod, {
          type: "PodScheduled",
          ...(generation ? { observedGeneration: generation } : {}),
          status: "False",
          lastTransitionTime: old?.status === "False" ? old.lastTransitionTime : secondTime(clock.now()),
          reason,
          message,
        }),
      );
    },
  };
}

function truncate(message: string): string {
  return message.length <= eventMessageBytesMax ? message : `${message.slice(0, eventMessageBytesMax - 4)} ...`;
}
