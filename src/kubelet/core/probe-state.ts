/**
 * When to probe and what the answers mean: delays, thresholds, and that a container that failed for good isn't asked again. Pure; the
 * shell runs the probes and sets the timers.
 */
import type { Probe } from "#api";
import type { DeepReadonly } from "#machinery";
import type { ProbeType } from "./types.ts";

export type ProbeSpec = DeepReadonly<Probe>;

export interface ProbeState {
  /** What the container counts as; undefined until the first verdict. */
  readonly verdict: boolean | undefined;
  /** Equal answers in a row, and which. */
  readonly last: boolean | undefined;
  readonly run: number;
  /** No more probes for this container: it will be restarted, or it has started. */
  readonly done: boolean;
}

/** A container is alive and not ready until something else is known. */
export const initialProbeState = (type: ProbeType): ProbeState => ({
  verdict: type === "liveness" ? true : type === "readiness" ? false : undefined,
  last: undefined,
  run: 0,
  done: false,
});

/** What was known of a container that an earlier node started: it isn't asked to prove again what it has shown. */
export const adoptedProbeState = (type: ProbeType, { isReady }: { isReady: boolean }): ProbeState => ({
  ...initialProbeState(type),
  ...(type === "startup" ? { verdict: true, done: true } : type === "readiness" ? { verdict: isReady } : {}),
});

export function afterAnswer(
  state: ProbeState,
  ok: boolean,
  { type, spec }: { type: ProbeType; spec: ProbeSpec },
): ProbeState {
  const run = state.last === ok ? state.run + 1 : 1;
  const needed = ok ? (spec.successThreshold ?? 1) : (spec.failureThreshold ?? 3);
  if (run < needed) return { ...state, last: ok, run };
  const endsIt = (type !== "readiness" && !ok) || (type === "startup" && ok);
  return { verdict: ok, last: ok, run: endsIt ? 0 : run, done: endsIt };
}

/** When the first probe is due; a clock that was put back makes nobody wait longer. */
export const firstProbeAt = (startedAt: number, spec: ProbeSpec, now = startedAt): number =>
  Math.min(startedAt, now) + (spec.initialDelaySeconds ?? 0) * 1000;

export const periodMs = (spec: ProbeSpec): number => (spec.periodSeconds ?? 10) * 1000;
export const timeoutMs = (spec: ProbeSpec): number => (spec.timeoutSeconds ?? 1) * 1000;
