/**
 * Runs the probes of all containers of the node. Each probe of each running container has one timer; a verdict that turns is told to the
 * pod's worker, which decides. Nothing is kept for containers that don't run.
 */
import type { Clock } from "#base";
import {
  adoptedProbeState,
  afterAnswer,
  firstProbeAt,
  initialProbeState,
  type ProbeSpec,
  type ProbeState,
  periodMs,
} from "../core/probe-state.ts";
import {
  allContainers,
  type ContainerSpec,
  newestContainer,
  type PodRuntime,
  type PodView,
  type ProbeResults,
  type ProbeType,
} from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { runProbe } from "./run-probe.ts";

export interface Prober {
  readonly results: ProbeResults;
  /** Starts, keeps and stops probes so that they fit the pod. `stopping`: the pod ends, only readiness counts still. */
  update(pod: PodView, runtime: PodRuntime, options: { podIP: string; stopping: boolean }): void;
  /** The pod is gone. */
  forget(podUid: string): void;
}

export interface ProberOptions {
  readonly cri: CriClient;
  readonly clock: Clock;
  /** The verdict on a container of this pod turned. */
  onTurn(podUid: string): void;
  event(pod: PodView, container: ContainerSpec, event: { reason: string; message: string }): void;
  /** Told of each answer, and when there will be no more. */
  readonly meter?: {
    probed(probe: Probed, ok: boolean | undefined, seconds: number): void;
    ended(probe: Probed): void;
  };
}

export interface Probed {
  readonly type: ProbeType;
  readonly pod: PodView;
  readonly container: string;
}

interface Running {
  readonly type: ProbeType;
  readonly containerId: string;
  pod: PodView;
  podIP: string;
  state: ProbeState;
  cancel: () => void;
  stopped: boolean;
}

const types: readonly ProbeType[] = ["startup", "liveness", "readiness"];
/** Upstream tries again when the probe itself failed. */
const attemptsMax = 3;

export function createProber({ cri, clock, onTurn, event, meter }: ProberOptions): Prober {
  const pods = new Map<string, Map<string, Running>>();
  const byContainer = new Map<string, boolean | undefined>();
  const bornAt = clock.now();
  const verdictKey = (type: ProbeType, containerId: string) => `${type}/${containerId}`;

  function stop(key: string, running: Running, ofPod: Map<string, Running>): void {
    running.stopped = true;
    running.cancel();
    ofPod.delete(key);
    meter?.ended({ type: running.type, pod: running.pod, container: key.slice(0, key.indexOf("/")) });
    byContainer.delete(verdictKey(running.type, running.containerId));
  }

  async function probeOnce(container: ContainerSpec, spec: ProbeSpec, running: Running): Promise<boolean | undefined> {
    const name = running.type.charAt(0).toUpperCase() + running.type.slice(1);
    for (let attempt = 1; ; attempt++) {
      const outcome = await runProbe(spec, {
        cri,
        pod: running.pod,
        container,
        containerId: running.containerId,
        podIP: running.podIP,
      });
      if (running.stopped) return undefined;
      const tell = (reason: string, message: string) => event(running.pod, container, { reason, message });
      if (outcome.result === "unknown") {
        if (attempt < attemptsMax) continue;
        tell("Unhealthy", `${name} probe errored and resulted in unknown state: ${outcome.error}`);
        return undefined;
      }
      if (outcome.result === "failure") tell("Unhealthy", `${name} probe failed: ${outcome.output}`);
      if (outcome.result === "warning") tell("ProbeWarning", `${name} probe warning: ${outcome.output}`);
      return outcome.result !== "failure";
    }
  }

  function schedule(
    container: ContainerSpec,
    spec: ProbeSpec,
    { running, at }: { running: Running; at: number },
  ): void {
    running.cancel = clock.after(Math.max(0, at - clock.now()), () => {
      const started = clock.now();
      void probeOnce(container, spec, running).then((ok) => {
        if (running.stopped) return;
        const { type, pod } = running;
        meter?.probed({ type, pod, container: container.name }, ok, (clock.now() - started) / 1000);
        if (ok !== undefined) {
          const before = running.state.verdict;
          running.state = afterAnswer(running.state, ok, { type: running.type, spec });
          byContainer.set(verdictKey(running.type, running.containerId), running.state.verdict);
          if (running.state.verdict !== before) onTurn(running.pod.metadata.uid ?? "");
        }
        // A slow probe doesn't shift the rhythm, it skips beats.
        const now = clock.now();
        const next = Math.min(Math.max(started + periodMs(spec), now), now + periodMs(spec));
        if (!running.state.done) schedule(container, spec, { running, at: next });
      });
    });
  }

  /** What the API knows of a container that has started: undefined when it doesn't. */
  function shown({ status }: PodView, containerId: string): { isReady: boolean } | undefined {
    const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
    const found = statuses.find(({ containerID }) => containerID?.endsWith(`//${containerId}`));
    if (!found?.started) return undefined;
    return { isReady: status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") ?? false };
  }

  function start(
    pod: PodView,
    container: ContainerSpec,
    options: { type: ProbeType; spec: ProbeSpec; containerId: string; startedAt: number; podIP: string },
  ): Running {
    const { type, spec, containerId, startedAt, podIP } = options;
    const adopted = startedAt < bornAt ? shown(pod, containerId) : undefined;
    const now = clock.now();
    const running: Running = {
      type,
      containerId,
      pod,
      podIP,
      state: adopted ? adoptedProbeState(type, adopted) : initialProbeState(type),
      cancel: () => undefined,
      stopped: false,
    };
    byContainer.set(verdictKey(type, containerId), running.state.verdict);
    // After a restart of the node not all of its pods are asked at once.
    const at = adopted?.isReady ? now + Math.random() * periodMs(spec) : firstProbeAt(startedAt, spec, now);
    if (!running.state.done) schedule(container, spec, { running, at });
    return running;
  }

  return {
    results: { of: (type, containerId) => byContainer.get(verdictKey(type, containerId)) },

    update(pod, runtime, { podIP, stopping }) {
      const uid = pod.metadata.uid ?? "";
      const ofPod = pods.get(uid) ?? new Map<string, Running>();
      const wanted = new Set<string>();
      for (const container of allContainers(pod)) {
        const current = newestContainer(runtime, container.name);
        if (current?.state !== "running") continue;
        // Asked when its startup probe is there: it may be known to have started.
        const started = () => !container.startupProbe || byContainer.get(verdictKey("startup", current.id)) === true;
        for (const type of types) {
          const spec = container[`${type}Probe`];
          if (!spec) continue;
          if (type !== "startup" && !started()) continue;
          if (type !== "readiness" && stopping) continue;
          const key = `${container.name}/${type}/${current.id}`;
          wanted.add(key);
          const running = ofPod.get(key);
          if (running) {
            running.pod = pod;
            running.podIP = podIP;
          } else
            ofPod.set(
              key,
              start(pod, container, { type, spec, containerId: current.id, startedAt: current.startedAt, podIP }),
            );
        }
      }
      for (const [key, running] of ofPod) if (!wanted.has(key)) stop(key, running, ofPod);
      if (ofPod.size > 0) pods.set(uid, ofPod);
      else pods.delete(uid);
    },

    forget(podUid) {
      const ofPod = pods.get(podUid);
      for (const [key, running] of ofPod ?? []) stop(key, running, ofPod!); // it has entries
      pods.delete(podUid);
    },
  };
}
