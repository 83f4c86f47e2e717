/** A decision in which extenders have a say. They are asked one after the other to reject, at once to score; ours is made before and after. */
import type { ClusterState } from "./core/cluster-state.ts";
import type { Rejection } from "./core/framework.ts";
import type { NodeInfo } from "./core/node-info.ts";
import type { PodInfo } from "./core/pod-info.ts";
import type { Candidate } from "./core/preempt.ts";
import type { Decider, Decision, Examination } from "./core/schedule.ts";
import { type Extender, extenderRule } from "./extender.ts";

/** Throws what an extender that may not be ignored throws. */
export async function decideWith(
  extenders: readonly Extender[],
  { pod, state, decider }: { pod: PodInfo; state: ClusterState; decider: Decider },
): Promise<Decision> {
  let examination = decider.examine(pod, state);
  let { left, failure } = await reduce(extenders, pod, examination);
  const isPromised =
    examination.feasible[0] !== undefined && state.nomination(pod.uid) === examination.feasible[0].name;
  if (left.length === 0 && isPromised) {
    examination = decider.examine(pod, state, true);
    ({ left, failure } = await reduce(extenders, pod, examination));
  }
  if (left.length === 0) return { failure };
  // One that can't answer just gives no scores.
  const answers = left.length > 1 ? await Promise.allSettled(extenders.map((each) => each.prioritize(pod, left))) : [];
  const more = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  return { node: decider.choose(pod, left, { state, more }), evaluated: examination.evaluated, feasible: left.length };
}

async function reduce(
  extenders: readonly Extender[],
  pod: PodInfo,
  { feasible, failure }: Examination,
): Promise<{ left: readonly NodeInfo[]; failure: Examination["failure"] }> {
  let left = feasible;
  const rejections = new Map<Rejection, number>(failure.rejections);
  const resolvable = [...failure.resolvable];
  for (const extender of extenders) {
    if (left.length === 0) break;
    try {
      const filtered = await extender.filter(pod, left);
      for (const [node, reason] of filtered.rejections) {
        rejections.set(reason, 1);
        if (reason.isResolvable) resolvable.push(node);
      }
      left = filtered.nodes;
    } catch (error) {
      if (!extender.isIgnorable) throw error;
    }
  }
  const plugins = left.length === feasible.length ? failure.plugins : new Set([...failure.plugins, extenderRule.name]);
  return { left, failure: { ...failure, rejections, resolvable, plugins } };
}

/** Candidates that extenders leave. */
export async function preemptWith(
  extenders: readonly Extender[],
  pod: PodInfo,
  candidates: readonly Candidate[],
): Promise<readonly Candidate[]> {
  let left = candidates;
  for (const extender of extenders) {
    if (!extender.preempts || left.length === 0) continue;
    try {
      left = await extender.preempt(pod, left);
    } catch (error) {
      if (!extender.isIgnorable) throw error;
    }
  }
  return left;
}
