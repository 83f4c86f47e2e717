/**
 * Makes room for a pod that fits nowhere by removing pods of lower priority; upstream's DefaultPreemption. Looks at a sample of the nodes
 * where that could help, from a random one on. On each it takes all lower pods off, checks that the pod fits then, and puts
 * back as many as it can, most important first, and before them those whose disruption budget would be overdrawn. Of the nodes
 * `pickCandidate` chooses the one that hurts least. Nothing is removed here: pods are taken off the live state and put back.
 */
import type { ClusterState } from "./cluster-state.ts";
import { createFitCheck, type FitCheck } from "./fit-check.ts";
import { type FitFailure, printFitFailure } from "./fit-error.ts";
import { type CandidateLimits, type FilterPlugin, type Rejection, rejection } from "./framework.ts";
import { compileSelector } from "./affinity-terms.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

/** `isHopeless`: room that was promised to it earlier doesn't help it. */
export type Preemption =
  | { readonly candidates: readonly Candidate[] }
  | { readonly message: string; readonly isHopeless: boolean };

export interface Candidate {
  readonly node: NodeInfo;
  /** At least one, the most important first; some may be on their way out already. */
  readonly victims: readonly PodInfo[];
  /** How many of them overdraw a budget. */
  readonly violations: number;
}

export const defaultCandidateLimits: CandidateLimits = {
  minCandidateNodesPercentage: 10,
  minCandidateNodesAbsolute: 100,
};

const notHelpful = rejection(false, "Preemption is not helpful for scheduling");
const noVictims = rejection(false, "No preemption victims found for incoming pod");

export function preempt(
  pod: PodInfo,
  options: {
    failure: FitFailure;
    state: ClusterState;
    filters: readonly FilterPlugin[];
    /** Milliseconds since 1970: pods that have not started start now. */
    now: number;
    random?: () => number;
    candidates?: CandidateLimits;
  },
): Preemption {
  const { failure, state, filters, now, random = Math.random, candidates = defaultCandidateLimits } = options;
  const { nodeCount, resolvable } = failure;
  const refused = whyNotEligible(pod, { resolvable, state });
  if (refused) return { message: `preemption: ${refused}`, isHopeless: false };

  const rejections = new Map<Rejection, number>();
  const reject = (reason: Rejection, count: number) => {
    if (count > 0) rejections.set(reason, (rejections.get(reason) ?? 0) + count);
  };
  reject(notHelpful, nodeCount - resolvable.length);
  const good: Candidate[] = [];
  const violating: Candidate[] = [];
  if (!state.hasLower(pod.priority)) reject(noVictims, resolvable.length);
  else if (resolvable.length > 0) {
    const wanted = candidatesWanted(resolvable.length, candidates);
    const offset = Math.floor(random() * resolvable.length);
    const fit = createFitCheck(filters, { pod, state });
    const budgets = createBudgets(state);
    for (let index = 0; index < resolvable.length; index++) {
      const node = resolvable[(offset + index) % resolvable.length] as NodeInfo; // in range
      const found = selectVictims(pod, node, { fit, budgets, now });
      if ("reasons" in found) reject(found, 1);
      else if (found.violations === 0) good.push(found);
      else if (violating.length < wanted) violating.push(found);
      if (good.length > 0 && good.length + violating.length >= wanted) break;
    }
  }
  const found = [...good, ...violating];
  if (found.length > 0) return { candidates: found };
  return { message: `preemption: ${printFitFailure({ nodeCount, rejections })}`, isHopeless: true };
}

export function candidatesWanted(nodeCount: number, limits = defaultCandidateLimits): number {
  const share = Math.trunc((nodeCount * limits.minCandidateNodesPercentage) / 100);
  return Math.min(nodeCount, Math.max(limits.minCandidateNodesAbsolute, share));
}

function whyNotEligible(
  pod: PodInfo,
  { resolvable, state }: { resolvable: readonly NodeInfo[]; state: ClusterState },
): string | undefined {
  if (pod.pod.spec?.preemptionPolicy === "Never") return "not eligible due to preemptionPolicy=Never.";
  const promised = state.node(state.nomination(pod.uid) ?? "");
  if (!promised || !resolvable.includes(promised)) return undefined;
  for (const other of promised.pods.values()) {
    if (other.priority < pod.priority && isBeingPreempted(other)) {
      return "not eligible due to a terminating pod on the nominated node.";
    }
  }
  return undefined;
}

function isBeingPreempted({ pod }: PodInfo): boolean {
  if (!pod.metadata.deletionTimestamp) return false;
  const condition = pod.status?.conditions?.find(({ type }) => type === "DisruptionTarget");
  return condition?.status === "True" && condition.reason === "PreemptionByScheduler";
}

function selectVictims(
  pod: PodInfo,
  node: NodeInfo,
  { fit, budgets, now }: { fit: FitCheck; budgets: Budgets; now: number },
): Candidate | Rejection {
  const lower: PodInfo[] = [];
  for (const each of node.pods.values()) if (each.priority < pod.priority) lower.push(each);
  if (lower.length === 0) return noVictims;
  lower.sort((a, b) => byImportance(a, b, now));
  const removed = new Set(lower);
  for (const each of lower) fit.takeOff(each, node);
  try {
    const reason = fit.check(node);
    if (reason) return reason;
    const overdrawing = findOverdrawing(lower, budgets);
    const victims: PodInfo[] = [];
    let violations = 0;
    const spare = (each: PodInfo) => {
      fit.place(each, node);
      removed.delete(each);
      if (!fit.check(node)) return;
      fit.takeOff(each, node);
      removed.add(each);
      victims.push(each);
      if (overdrawing.has(each)) violations++;
    };
    for (const each of lower) if (overdrawing.has(each)) spare(each);
    for (const each of lower) if (!overdrawing.has(each)) spare(each);
    victims.sort((a, b) => byImportance(a, b, now));
    // Can't be, as rules answer the same for the same state; a node that needs nobody removed is no candidate.
    return victims.length > 0 ? { node, victims, violations } : notHelpful;
  } finally {
    for (const each of removed) fit.place(each, node);
  }
}

interface Budget {
  readonly allowed: number;
  covers(pod: PodInfo): boolean;
}

type Budgets = (namespace: string) => readonly Budget[];

/** Read once for a search. */
function createBudgets({ objects }: ClusterState): Budgets {
  const found = new Map<string, readonly Budget[]>();
  const read = (namespace: string): readonly Budget[] =>
    objects.budgets(namespace).map(({ spec, status }) => {
      const selector = compileSelector(spec?.selector);
      const isVoid = selector.nothing || selector.everything;
      const covers = ({ name, pod }: PodInfo) =>
        // One that the server is already disrupting is taken from the budget already.
        !isVoid && selector.matches(pod.metadata.labels) && status?.disruptedPods?.[name] === undefined;
      return { allowed: status?.disruptionsAllowed ?? 0, covers };
    });
  return (namespace) => {
    const budgets = found.get(namespace) ?? read(namespace);
    found.set(namespace, budgets);
    return budgets;
  };
}

const nobody: ReadonlySet<PodInfo> = new Set();

/** Those that would exceed what their budgets allow if all were removed in this order. */
function findOverdrawing(pods: readonly PodInfo[], budgets: Budgets): ReadonlySet<PodInfo> {
  if (pods.every(({ namespace }) => budgets(namespace).length === 0)) return nobody;
  const left = new Map<Budget, number>();
  const found = new Set<PodInfo>();
  for (const pod of pods) {
    if (Object.keys(pod.pod.metadata.labels ?? {}).length === 0) continue;
    for (const budget of budgets(pod.namespace)) {
      if (!budget.covers(pod)) continue;
      const rest = (left.get(budget) ?? budget.allowed) - 1;
      left.set(budget, rest);
      if (rest < 0) found.add(pod);
    }
  }
  return found;
}

function startedAt({ pod }: PodInfo, now: number): number {
  return pod.status?.startTime ? Date.parse(pod.status.startTime) : now;
}

function byImportance(a: PodInfo, b: PodInfo, now: number): number {
  return b.priority - a.priority || startedAt(a, now) - startedAt(b, now);
}

/** Makes sums of priorities grow with each pod, also with those of negative priority. */
const priorityShift = 2 ** 31;

/** The fewest overdrawn budgets, the lowest highest priority, the lowest sum, the fewest victims, the youngest of the highest. */
export function pickCandidate(candidates: readonly Candidate[], now: number): Candidate | undefined {
  const highest = ({ victims }: Candidate) => victims[0]?.priority ?? 0;
  const costs: readonly ((candidate: Candidate) => number)[] = [
    ({ violations }) => violations,
    highest,
    ({ victims }) => victims.reduce((sum, { priority }) => sum + priority + priorityShift, 0),
    ({ victims }) => victims.length,
    (candidate) => {
      const top = candidate.victims.filter(({ priority }) => priority === highest(candidate));
      return -Math.min(...top.map((each) => startedAt(each, now)));
    },
  ];
  let left = candidates;
  for (const cost of costs) {
    if (left.length < 2) break;
    const values = left.map(cost);
    const min = Math.min(...values);
    left = left.filter((_, index) => values[index] === min);
  }
  return left[0];
}
