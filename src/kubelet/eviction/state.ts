/** What follows from one look at the node's resources, given what was seen before. Pure: upstream's synchronize() without its side effects. */
import { amountOf, type PressureCondition, type Signal, signals, type Threshold } from "./thresholds.ts";

export interface Observation {
  readonly available: number;
  readonly capacity: number;
  /** When it was measured; undefined: not known. */
  readonly timeMs: number | undefined;
}

export type Observations = ReadonlyMap<Signal, Observation>;

export interface EvictionState {
  /** Since when, without a break. */
  readonly metSince: ReadonlyMap<Threshold, number>;
  readonly conditionSeen: ReadonlyMap<PressureCondition, number>;
  /** What the node tells. */
  readonly conditions: readonly PressureCondition[];
  /** Also as long as they were, and until enough is free again. */
  readonly unresolved: readonly Threshold[];
  readonly last: Observations;
}

export const initialState: EvictionState = {
  metSince: new Map(),
  conditionSeen: new Map(),
  conditions: [],
  unresolved: [],
  last: new Map(),
};

export interface Look {
  readonly thresholds: readonly Threshold[];
  readonly observations: Observations;
  /** A condition is told for so long after it was last seen. */
  readonly transitionMs: number;
  readonly now: number;
}

/** `due`: what something has to be done about, the most urgent first. */
export function advance(state: EvictionState, { thresholds, observations, transitionMs, now }: Look) {
  const met = thresholdsMet(thresholds, observations);
  for (const threshold of thresholdsMet(state.unresolved, observations, { withReclaim: true }))
    if (!met.includes(threshold)) met.push(threshold);
  const metSince = new Map(met.map((threshold) => [threshold, state.metSince.get(threshold) ?? now]));
  const conditionSeen = new Map(state.conditionSeen);
  for (const { signal } of met) conditionSeen.set(signals[signal].condition, now);
  const unresolved = met.filter((threshold) => now - (metSince.get(threshold) ?? now) >= threshold.graceMs);
  const next: EvictionState = {
    metSince,
    conditionSeen,
    conditions: [...conditionSeen].flatMap(([type, seen]) => (now - seen < transitionMs ? [type] : [])),
    unresolved,
    last: observations,
  };
  const isMemory = ({ signal }: Threshold) => signals[signal].resource === "memory";
  const due = unresolved.filter(({ signal }) => isNewer(observations.get(signal), state.last.get(signal)));
  return { state: next, due: [...due.filter(isMemory), ...due.filter((threshold) => !isMemory(threshold))] };
}

/** Less is left than has to be. */
export function thresholdsMet(
  thresholds: readonly Threshold[],
  observations: Observations,
  { withReclaim = false } = {},
): Threshold[] {
  return thresholds.filter(({ signal, value, minReclaim }) => {
    const seen = observations.get(signal);
    if (!seen) return false;
    const reserve = withReclaim && minReclaim ? amountOf(minReclaim, seen.capacity) : 0;
    return amountOf(value, seen.capacity) + reserve > seen.available;
  });
}

/** The same measurement says nothing new: what was done since isn't in it. */
const isNewer = (seen: Observation | undefined, last: Observation | undefined): boolean =>
  seen !== undefined && (!last || seen.timeMs === undefined || seen.timeMs > (last.timeMs ?? 0));
