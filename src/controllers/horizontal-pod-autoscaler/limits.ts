/**
 * How fast a count may follow what metrics ask for: the recommendation is held against recent ones (stabilization), then against how much
 * was added and taken away lately (policies), then against the autoscaler's own bounds. Pure but for the history it is given, which lives as
 * long as the process, as upstream's does.
 */
import type { HPAScalingRules } from "#api";
import type { Seen } from "../lib/objects.ts";

interface Recommendation {
  readonly replicas: number;
  readonly at: number;
}

interface Change {
  readonly replicas: number;
  readonly at: number;
}

/** Of one autoscaler. */
export interface History {
  recommendations: Recommendation[];
  added: Change[];
  removed: Change[];
}

export const newHistory = (current: number, now: number): History => ({
  recommendations: [{ replicas: current, at: now }],
  added: [],
  removed: [],
});

export interface Wish {
  readonly current: number;
  readonly desired: number;
  readonly min: number;
  readonly max: number;
  readonly now: number;
}

export interface Verdict {
  readonly replicas: number;
  /** Of the condition AbleToScale. */
  readonly able: Words;
  /** Of the condition ScalingLimited. */
  readonly limited: Words & { readonly status: "True" | "False" };
}

export interface Words {
  readonly reason: string;
  readonly message: string;
}

const words = (reason: string, message: string): Words => ({ reason, message });

const ready = words("ReadyForNewScale", "recommended size matches current size");
const stabilizedUp = words(
  "ScaleUpStabilized",
  "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const stabilizedDown = words(
  "ScaleDownStabilized",
  "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const withinRange = words("DesiredWithinRange", "the desired count is within the acceptable range");
const tooFew = words("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const tooMany = words("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const tooFastUp = words("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const tooFastDown = words(
  "ScaleDownLimit",
  "the desired replica count is decreasing faster than the maximum scale rate",
);

/** Without rules: the highest recommendation of the last while, at most twice as many or four. */
export function limitPlainly(wish: Wish, { history, windowMs }: { history: History; windowMs: number }): Verdict {
  const { current, desired, min, max, now } = wish;
  const cutoff = now - windowMs;
  const recent = history.recommendations.filter(({ at }) => at >= cutoff);
  const stabilized = Math.max(desired, ...recent.map(({ replicas }) => replicas));
  remember(history, recent, wish);
  const able = stabilized === desired ? ready : words("ScaleDownStabilized", stabilizedDown.message);
  const fastest = Math.max(2 * current, 4);
  const [replicas, why] = clamp(stabilized, {
    min: [min, tooFew],
    max: max > fastest ? [fastest, tooFastUp] : [max, tooMany],
  });
  return { replicas, able, limited: limitedBy(why) };
}

export interface Rules {
  readonly up: Seen<HPAScalingRules>;
  readonly down: Seen<HPAScalingRules>;
}

/** `windowMs`: of scaling down, if the rules don't say. */
export function limitByRules(
  wish: Wish,
  { rules, history, windowMs }: { rules: Rules; history: History; windowMs: number },
): Verdict {
  const { current, desired, min, max, now } = wish;
  const upCutoff = now - (rules.up.stabilizationWindowSeconds ?? 0) * 1000;
  const downWindow = rules.down.stabilizationWindowSeconds;
  const downCutoff = now - (downWindow === undefined ? windowMs : downWindow * 1000);
  const since = (cutoff: number) =>
    history.recommendations.filter(({ at }) => at > cutoff).map(({ replicas }) => replicas);
  const lowest = Math.min(desired, ...since(upCutoff));
  const highest = Math.max(desired, ...since(downCutoff));
  const stabilized = Math.min(Math.max(current, lowest), highest);
  const oldest = Math.min(upCutoff, downCutoff);
  remember(
    history,
    history.recommendations.filter(({ at }) => at >= oldest),
    wish,
  );
  const able = stabilized === desired ? ready : desired >= current ? stabilizedUp : stabilizedDown;
  if (stabilized > current) {
    const fastest = Math.max(current, upLimit(rules.up, { current, history, now }));
    const limit: Bound = max > fastest ? [fastest, tooFastUp] : [max, tooMany];
    const [replicas, why] = clamp(stabilized, { max: limit });
    return { replicas, able, limited: limitedBy(why) };
  }
  if (stabilized < current) {
    const slowest = Math.min(current, downLimit(rules.down, { current, history, now }));
    const limit: Bound = min < slowest ? [slowest, tooFastDown] : [min, tooFew];
    const [replicas, why] = clamp(stabilized, { min: limit });
    return { replicas, able, limited: limitedBy(why) };
  }
  return { replicas: stabilized, able, limited: limitedBy(undefined) };
}

/** What policies will ask for later. */
export function recordChange(history: History, change: { from: number; to: number; now: number }, rules: Rules): void {
  const { from, to, now } = change;
  const [list, of] = to > from ? (["added", rules.up] as const) : (["removed", rules.down] as const);
  const cutoff = now - 1000 * Math.max(0, ...(of.policies ?? []).map(({ periodSeconds }) => periodSeconds));
  history[list] = [...history[list].filter(({ at }) => at >= cutoff), { replicas: Math.abs(to - from), at: now }];
}

/** Upstream overwrites one that is too old; that the others go too changes nothing that is asked. */
function remember(history: History, kept: Recommendation[], { desired, now }: Wish): void {
  history.recommendations = [...kept, { replicas: desired, at: now }];
}

type Bound = readonly [limit: number, why: Words];

function clamp(count: number, { min, max }: { min?: Bound; max?: Bound }): [replicas: number, why: Words | undefined] {
  if (min && count < min[0]) return [...min];
  if (max && count > max[0]) return [...max];
  return [count, undefined];
}

const limitedBy = (why: Words | undefined): Verdict["limited"] =>
  why ? { status: "True", ...why } : { status: "False", ...withinRange };

interface Pace {
  readonly current: number;
  readonly history: History;
  readonly now: number;
}

function upLimit(rules: Seen<HPAScalingRules>, pace: Pace): number {
  return chosen(rules, pace, {
    // Rounded up, or a percentage of few would never add one.
    propose: (start, { type, value }) => (type === "Pods" ? start + value : Math.ceil(start * (1 + value / 100))),
    most: Math.max,
    least: Math.min,
  });
}

function downLimit(rules: Seen<HPAScalingRules>, pace: Pace): number {
  return chosen(rules, pace, {
    propose: (start, { type, value }) => (type === "Pods" ? start - value : Math.trunc(start * (1 - value / 100))),
    most: Math.min,
    least: Math.max,
  });
}

interface Direction {
  propose(start: number, policy: { readonly type: string; readonly value: number }): number;
  most(...counts: number[]): number;
  least(...counts: number[]): number;
}

function chosen(
  { selectPolicy, policies = [] }: Seen<HPAScalingRules>,
  { current, history, now }: Pace,
  { propose, most, least }: Direction,
): number {
  if (selectPolicy === "Disabled") return current;
  const within = (changes: readonly Change[], seconds: number) =>
    changes.reduce((sum, { at, replicas }) => sum + (at > now - seconds * 1000 ? replicas : 0), 0);
  const proposals = policies.map((policy) => {
    const { periodSeconds } = policy;
    const start = current - within(history.added, periodSeconds) + within(history.removed, periodSeconds);
    return propose(start, policy);
  });
  return (selectPolicy === "Min" ? least : most)(...proposals);
}
