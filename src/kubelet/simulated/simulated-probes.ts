/** The probes of one pod's containers, asked at their own rhythm and judged by the core; the answers are foretold. */
import type { ContainerSpec, PodRuntime, PodView, ProbeType } from "../core/types.ts";
import { allContainers, newestContainer } from "../core/types.ts";
import { afterAnswer, firstProbeAt, initialProbeState, type ProbeState, periodMs } from "../core/probe-state.ts";
import { answerAt, type ProbeAnswer } from "./behavior.ts";

interface Running {
  readonly type: ProbeType;
  readonly containerId: string;
  state: ProbeState;
  nextAt: number;
}

const types: readonly ProbeType[] = ["startup", "readiness", "liveness"];

export class SimulatedProbes {
  #running: Running[] = [];

  of(type: ProbeType, containerId: string): boolean | undefined {
    return this.#running.find((one) => one.type === type && one.containerId === containerId)?.state.verdict;
  }

  /** Asks what is due; answers when to come again. */
  update(
    pod: PodView,
    runtime: PodRuntime,
    {
      now,
      isEnding,
      answers,
    }: { now: number; isEnding: boolean; answers: (of: ContainerSpec) => Record<ProbeType, ProbeAnswer> },
  ): number {
    const kept: Running[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const container of allContainers(pod)) {
      const current = newestContainer(runtime, container.name);
      if (current?.state !== "running") continue;
      for (const type of types) {
        const spec = container[`${type}Probe`];
        if (!spec || (type !== "readiness" && isEnding)) continue;
        const isStarted = kept.some(
          (one) => one.containerId === current.id && one.type === "startup" && one.state.verdict,
        );
        if (type !== "startup" && container.startupProbe && !isStarted) continue;
        const running = this.#running.find((one) => one.type === type && one.containerId === current.id) ?? {
          type,
          containerId: current.id,
          state: initialProbeState(type),
          nextAt: firstProbeAt(current.startedAt, spec),
        };
        kept.push(running);
        const answer = answers(container)[type];
        const answered = (at: number) => answerAt(answer, at - current.startedAt);
        while (!running.state.done && running.nextAt <= now) {
          running.state = afterAnswer(running.state, answered(running.nextAt), { type, spec });
          running.nextAt += periodMs(spec);
        }
        if (running.state.done) continue;
        // A verdict that the next answers would only repeat needs no more asking until they turn.
        const { verdict, last = verdict } = running.state;
        const isSettled = verdict === answered(now) && verdict === last;
        const turnsAt = current.startedAt + answer.turnsAfterMs;
        if (!isSettled) next = Math.min(next, Math.max(now + 1, running.nextAt));
        else {
          if (turnsAt > now) next = Math.min(next, turnsAt);
          // The rhythm goes on unheard.
          const beats = Math.max(0, Math.ceil((now - running.nextAt) / periodMs(spec)));
          running.nextAt += beats * periodMs(spec);
        }
      }
    }
    this.#running = kept;
    return next;
  }
}
