/**
 * The scheduler around its decisions: follows nodes and pods, takes one pending pod after the other, and writes bindings, conditions
 * and events. Decisions are made one by one, bindings run beside them: a placed pod counts on its node at once ("assumed"),
 * and is taken off again when its binding fails.
 */
import type { Node } from "#api";
import { type Clock, type Logger, type MetricRegistry, realClock, silentLogger } from "#base";
import { type Client, createSeriesRecorder, type InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";
import { createClusterObjects } from "./cluster-objects.ts";
import { afterFailure } from "./core/after-failure.ts";
import { createAssumedStorage } from "./core/assumed-storage.ts";
import { ClusterState } from "./core/cluster-state.ts";
import { defaultProfile } from "./core/default-plugins.ts";
import { DeviceState } from "./core/devices/device-state.ts";
import { usesDevices } from "./core/devices/extended-resources.ts";
import type { DevicesToFree, PodDevices } from "./core/devices/pod-devices.ts";
import { createDeviceBinder } from "./device-binder.ts";
import { createDeviceObjects } from "./device-objects.ts";
import { type FitFailure, printFitFailure } from "./core/fit-error.ts";
import { nodeChange, podChange } from "./core/changes.ts";
import { type ClusterEvent, type Profile, RuleError } from "./core/framework.ts";
import type { NodeInfo } from "./core/node-info.ts";
import { createPendingPods, type defaultBackoff, type PendingPod } from "./core/pending-pods.ts";
import { createPodInfo, type PodInfo, type ReadonlyPod } from "./core/pod-info.ts";
import { type Candidate, type Preemption, pickCandidate } from "./core/preempt.ts";
import { createDecider, type Decider, type Decision } from "./core/schedule.ts";
import { planVolumes, sortClaims, type VolumePlan } from "./core/volume-binding.ts";
import { createExtenders, type Extender, type ExtenderConfiguration, extenderRule } from "./extender.ts";
import { decideWith, preemptWith } from "./extended-decision.ts";
import { createStorageObjects } from "./storage-objects.ts";
import { createVolumeBinder } from "./volume-binder.ts";
import { SchedulerMetrics } from "./scheduler-metrics.ts";
import { createWriter } from "./writer.ts";

export interface SchedulerOptions {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Absent: nothing is counted. */
  readonly metrics?: MetricRegistry | undefined;
  /** Pods that name none of these are left to other schedulers. */
  readonly profiles?: readonly Profile[];
  readonly backoff?: typeof defaultBackoff;
  readonly extenders?: readonly ExtenderConfiguration[];
  /** Of the machine, for events. */
  readonly host?: string;
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

interface Attempt {
  readonly entry: PendingPod;
  /** As it was when the attempt began. */
  readonly pod: PodInfo;
  readonly profile: Profile;
  readonly startMs: number;
}

type ReadonlyNode = DeepReadonly<Node>;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { client, informers, clock = realClock, log = silentLogger, host } = options;
  const { profiles = [defaultProfile], backoff, random } = options;
  // Asked for here, so that the caller may start the informers before or after `run`.
  const pods = informers.of("v1/pods", podSelector);
  const nodes = informers.of("v1/nodes");
  const storage = createStorageObjects(informers);
  const assumedStorage = createAssumedStorage(storage.objects);
  const deviceFeed = createDeviceObjects(informers);
  const devices = new DeviceState(deviceFeed.objects);
  const deviceBinder = createDeviceBinder({ client, state: devices, clock, log });
  const objects = {
    ...createClusterObjects(informers, assumedStorage),
    devices: {
      state: devices,
      attempts: new WeakMap<PodInfo, PodDevices>(),
      now: () => clock.now(),
      free: (found: DevicesToFree) => deviceBinder.free(found),
    },
  };

  return {
    async run(signal) {
      const extenders = options.extenders?.length ? await createExtenders(options.extenders) : [];
      const byName = new Map(
        profiles.map((profile) => {
          const component = profile.schedulerName;
          const events = createSeriesRecorder({ client, component, host, clock, log });
          return [component, { profile, events, decider: createDecider(profile, random) }];
        }),
      );
      const profileOf = (pod: ReadonlyPod) => byName.get(schedulerNameOf(pod));
      const state = new ClusterState(objects);
      let wake: () => void = () => undefined;
      const pending = createPendingPods({
        filters: [
          ...new Set([...profiles.flatMap(({ filters }) => filters), ...(extenders.length > 0 ? [extenderRule] : [])]),
        ],
        state,
        clock,
        backoff,
        onReady: () => wake(),
      });
      const volumes = createVolumeBinder({ client, storage: storage.objects, clock });
      const writer = createWriter({
        client,
        eventsOf: (pod) => profileOf(pod)?.events,
        volumes,
        clock,
        log,
        onIdle: () => wake(),
      });

      const metrics = options.metrics && new SchedulerMetrics(options.metrics, { pending: () => pending.all(), clock });

      const notify = (event: ClusterEvent) => pending.notify(event);

      /** Pods whose victims are being removed. */
      const preempting = new Set<string>();

      function setPod(pod: ReadonlyPod, old?: ReadonlyPod): void {
        const uid = pod.metadata.uid ?? "";
        if (isFinished(pod)) {
          removePod(pod);
          return;
        }
        if (!pod.spec?.nodeName) {
          // An assumed pod shows up without a node until its binding is through.
          if (profileOf(pod) && !state.isAssumed(uid)) setPending(pod, old);
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

      function setPending(pod: ReadonlyPod, old?: ReadonlyPod): void {
        const info = createPodInfo(pod);
        if (usesDevices(info)) deviceFeed.start();
        pending.set(info);
        const wanted = pod.status?.nominatedNodeName;
        const had = old?.status?.nominatedNodeName;
        const promised = state.nomination(info.uid);
        // What was promised just now counts before the server shows it.
        const nodeName = wanted || (had ? undefined : promised);
        if (nodeName) state.nominate(info, nodeName);
        else withdrawNomination(info);
      }

      function withdrawNomination(info: PodInfo): void {
        // Others may have been refused only for its sake.
        if (state.withdrawNomination(info.uid)) notify({ kind: "pod-deleted", pod: info });
      }

      function removePod(pod: ReadonlyPod): void {
        const uid = pod.metadata.uid ?? "";
        const waiting = pending.get(uid);
        pending.delete(uid);
        if (waiting) withdrawNomination(waiting.pod);
        const removed = state.removePod(uid);
        if (removed) notify({ kind: "pod-deleted", pod: removed });
        if (removed && removed.claims.length > 0) volumes.notify();
      }

      function setNode(node: ReadonlyNode, old?: ReadonlyNode): void {
        const changed = old && nodeChange(old, node);
        const info = state.setNode(node);
        if (!old) notify({ kind: "node-added", node: info });
        else if (changed) notify({ kind: "node-updated", node: info, changed });
      }

      /** Answers a promise only when others have a say. */
      function attempt(entry: PendingPod): Promise<void> | undefined {
        const { pod } = entry;
        // It stays away until its victims are marked and deleted, lest it look for more.
        if (preempting.has(pod.uid)) return undefined;
        const own = profileOf(pod.pod);
        if (!own) return undefined;
        const { profile, events, decider } = own;
        if (pod.pod.metadata.deletionTimestamp) {
          events.event(pod.pod, {
            type: "Warning",
            reason: "FailedScheduling",
            action: "Scheduling",
            message: `skip schedule deleting pod: ${pod.key}`,
          });
          pending.delete(pod.uid);
          return undefined;
        }
        const run: Attempt = { entry, pod, profile, startMs: metrics?.precise() ?? 0 };
        const interested = extenders.filter((each) => each.isInterested(pod.pod));
        if (interested.length > 0) return attemptWith(interested, { run, decider });
        const decision = tryToDecide(run, decider);
        if (!decision) return undefined;
        if ("node" in decision) place(run, decision.node);
        else {
          const tried = afterFailure(pod, { failure: decision.failure, state, profile, now: clock.now(), random });
          fitsNowhere(run, { failure: decision.failure, tried, room: roomOf(tried) });
        }
        return undefined;
      }

      /** Undefined when a rule broke: a claim or class says something that can't be carried out. */
      function tryToDecide(run: Attempt, decider: Decider): Decision | undefined {
        try {
          return decider.decide(run.pod, state);
        } catch (error) {
          if (!(error instanceof RuleError)) throw error;
          failed(run, error);
          return undefined;
        }
      }

      async function attemptWith(
        interested: readonly Extender[],
        { run, decider }: { run: Attempt; decider: Decider },
      ): Promise<void> {
        const { entry, pod, profile } = run;
        try {
          const decision = await decideWith(interested, { pod, state, decider });
          let room: Candidate | undefined;
          let tried: Preemption | undefined;
          if ("failure" in decision) {
            tried = afterFailure(pod, { failure: decision.failure, state, profile, now: clock.now(), random });
            room = tried && "candidates" in tried ? await leaveVictims(interested, { pod, tried }) : undefined;
          }
          // It may have gone or changed while they were asked, and so may the node.
          if (entry.place !== "away" || pending.get(pod.uid) !== entry || state.isAssumed(pod.uid)) return;
          if ("failure" in decision) fitsNowhere(run, { failure: decision.failure, tried, room });
          else if (state.node(decision.node.name) === decision.node) place(run, decision.node);
          else pending.tryAgain(pod.uid);
        } catch (error) {
          if (signal.aborted) return;
          failed(run, error instanceof Error ? error : new Error(String(error)));
        }
      }

      const roomOf = (tried: Preemption | undefined) =>
        tried && "candidates" in tried ? pickCandidate(tried.candidates, clock.now()) : undefined;

      async function leaveVictims(
        interested: readonly Extender[],
        { pod, tried }: { pod: PodInfo; tried: { readonly candidates: readonly Candidate[] } },
      ): Promise<Candidate | undefined> {
        const candidates = await preemptWith(interested, pod, tried.candidates);
        return pickCandidate(candidates, clock.now());
      }

      function fitsNowhere(
        { entry, pod, profile, startMs }: Attempt,
        { failure, tried, room }: { failure: FitFailure; tried: Preemption | undefined; room: Candidate | undefined },
      ): void {
        const isHopeless = !tried || ("isHopeless" in tried && tried.isHopeless);
        if (isHopeless) withdrawNomination(pod);
        pending.reject(entry, failure.plugins);
        metrics?.attempt("unschedulable", profile.schedulerName, startMs);
        const note = tried && "message" in tried && tried.message ? ` ${tried.message}` : "";
        const message = `${printFitFailure(failure)}${note}`;
        log.debug("pod fits nowhere", { pod: pod.key, message });
        writer.reportFailure(pods.get(pod.key) ?? pod.pod, {
          reason: "Unschedulable",
          message,
          nominatedNodeName: room ? room.node.name : isHopeless ? "" : undefined,
        });
        if (room) startPreemption(entry, room);
      }

      /** Something broke: neither placed nor rejected. */
      function failed({ entry, pod, profile, startMs }: Attempt, error: Error): void {
        metrics?.attempt("error", profile.schedulerName, startMs);
        const current = pods.get(pod.key);
        if (current?.metadata.uid !== pod.uid) {
          pending.delete(pod.uid);
          return;
        }
        entry.pod = createPodInfo(current);
        withdrawNomination(pod);
        pending.retry(entry);
        log.warn("pod not scheduled", { pod: pod.key, error });
        writer.reportFailure(current, { reason: "SchedulerError", message: error.message, nominatedNodeName: "" });
      }

      function place(run: Attempt, node: NodeInfo): void {
        const { entry, pod, profile, startMs } = run;
        state.assume(pod, node.name);
        const plan = assumeVolumes(pod, node);
        const devicePlan = objects.devices.attempts.get(pod)?.plan(node.name);
        if (devicePlan) deviceBinder.reserve(devicePlan);
        const bindDevices =
          devicePlan &&
          (() =>
            deviceBinder.bind(devicePlan, pod.pod, {
              nodeName: node.name,
              signal,
              events: byName.get(profile.schedulerName)?.events,
            }));
        const isWanted = () => pods.get(pod.key)?.metadata.uid === pod.uid;
        const binder = extenders.find((each) => each.binds && each.isInterested(pod.pod));
        const bindTimeoutMs = profile.bindTimeoutMs;
        void writer
          .bind(pod.pod, { node, plan, bindDevices, isWanted, signal, binder, bindTimeoutMs })
          .then((error) => {
            if (error === undefined) {
              metrics?.attempt("scheduled", profile.schedulerName, startMs);
              metrics?.placed(entry.attempts);
              log.debug("pod bound", { pod: pod.key, node: node.name, attempts: entry.attempts });
              pending.delete(pod.uid);
              return;
            }
            // Whoever schedules next tries it again.
            if (signal.aborted) return;
            if (plan) assumedStorage.revert(plan);
            if (devicePlan) deviceBinder.unreserve(devicePlan, pod.pod);
            // Unless the server shows it bound by now: the answer was lost, not the binding.
            if (!state.isAssumed(pod.uid)) return;
            const freed = state.removePod(pod.uid);
            if (freed) notify({ kind: "pod-deleted", pod: freed });
            failed(run, error);
          });
      }

      /** What must be done for the pod's volumes, which nobody else gets from now on. */
      function assumeVolumes(pod: PodInfo, node: NodeInfo): VolumePlan | undefined {
        if (pod.claims.length === 0) return undefined;
        const claims = sortClaims(pod, assumedStorage);
        const plan = typeof claims === "string" ? undefined : planVolumes(claims, node, assumedStorage);
        // Without the rule about volumes a pod is bound as it is.
        if (!plan || "conflicts" in plan || plan.bindings.length + plan.provisions.length === 0) return undefined;
        return assumedStorage.assume(plan, node.name);
      }

      function startPreemption(entry: PendingPod, { node, victims }: Candidate): void {
        const { pod } = entry;
        const outranked = [...state.nominated(node.name)].filter(({ priority }) => priority < pod.priority);
        for (const { uid } of outranked) state.withdrawNomination(uid);
        state.nominate(pod, node.name);
        for (const { uid } of outranked) pending.tryAgain(uid);
        preempting.add(pod.uid);
        metrics?.preempted(victims.length);
        const plan = {
          preemptor: pod.pod,
          nodeName: node.name,
          victims: victims.map((victim) => victim.pod),
          outranked: outranked.map((each) => each.pod),
        };
        void writer.preempt(plan).then((error) => {
          preempting.delete(pod.uid);
          if (error) {
            log.warn("preemption failed", { pod: pod.key, node: node.name, error });
            pending.retry(entry);
          } else if (entry.place === "away") pending.tryAgain(pod.uid);
        });
      }

      const removeHandlers = [
        deviceFeed.follow(devices, (event) => {
          notify(event);
          deviceBinder.notify();
          wake();
        }),
        storage.follow((event) => {
          notify(event);
          volumes.notify();
        }),
        nodes.addHandler({
          added: (node) => setNode(node),
          updated: (node, old) => setNode(node, old),
          deleted(node) {
            state.removeNode(node.metadata.name ?? "");
            notify({ kind: "node-deleted", labels: node.metadata.labels ?? {} });
          },
        }),
        pods.addHandler({ added: (pod) => setPod(pod), updated: setPod, deleted: removePod }),
      ];
      const aborted = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      try {
        // Placing pods without knowing all nodes, or what is on them, would place them badly.
        await Promise.race([Promise.all([nodes.synced(), pods.synced(), objects.synced(), storage.synced()]), aborted]);
        while (!signal.aborted) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          const sliceEnd = performance.now() + sliceMs;
          let entry: PendingPod | undefined;
          do {
            entry = writer.inFlight < requestsMax ? pending.next() : undefined;
            const asked = entry && attempt(entry);
            if (asked) await asked;
          } while (entry && performance.now() < sliceEnd);
          if (entry) await new Promise((resolve) => setImmediate(resolve));
          else await Promise.race([woken, aborted]);
        }
      } finally {
        for (const remove of removeHandlers) remove();
        pending.close();
        await writer.idle();
        await Promise.all(byName.values().map(({ events }) => events.close()));
      }
    },
  };
}

const schedulerNameOf = ({ spec }: ReadonlyPod): string => spec?.schedulerName || "default-scheduler";

const isFinished = ({ status }: ReadonlyPod) => status?.phase === "Succeeded" || status?.phase === "Failed";
