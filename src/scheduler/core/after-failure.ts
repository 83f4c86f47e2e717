/** What is tried when no node takes a pod: what rules can do about it, then removing less important pods. */
import type { ClusterState } from "./cluster-state.ts";
import type { FitFailure } from "./fit-error.ts";
import type { Profile } from "./framework.ts";
import type { PodInfo } from "./pod-info.ts";
import { type Preemption, preempt } from "./preempt.ts";

const dynamicResources = "DynamicResources";

/** Undefined: nothing is tried. The message goes behind that of the failure. */
export function afterFailure(
  pod: PodInfo,
  options: {
    failure: FitFailure;
    state: ClusterState;
    profile: Pick<Profile, "filters" | "preempts" | "candidates">;
    /** Milliseconds since 1970. */
    now: number;
    random?: (() => number) | undefined;
  },
): Preemption | undefined {
  const { failure, state, profile } = options;
  const { filters, preempts, candidates } = profile;
  if (failure.nodeCount === 0 || !(preempts || filters.some((rule) => rule.afterFailure))) return undefined;
  const notes: string[] = [];
  for (const rule of filters) {
    if (!rule.afterFailure) continue;
    // Upstream's rule misses what it would have prepared, so it fails, and nothing else is tried.
    const isUnprepared =
      failure.impossible !== undefined && rule.name === dynamicResources && !failure.plugins.has(rule.name);
    if (isUnprepared) return { message: "not found", isHopeless: false };
    notes.push(rule.afterFailure(pod, state));
  }
  const preemption = preempts ? preempt(pod, { ...options, filters, candidates }) : undefined;
  if (preemption && "candidates" in preemption) return preemption;
  if (preemption) notes.push(preemption.message);
  return { message: notes.join(", "), isHopeless: preemption?.isHopeless ?? false };
}
