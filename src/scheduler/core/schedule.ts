/**
 * One decision: which node a pod goes to. Pure but for the position from which the next search starts.
 *
 * In large clusters it stops looking when enough nodes have room (upstream's rule: half of them for 100 nodes down to 5 % for
 * thousands, at least 100), and the next search goes on where this one stopped, so that all nodes get their share.
 */
import type { ClusterState } from "./cluster-state.ts";
import { createFitCheck } from "./fit-check.ts";
import type { FitFailure } from "./fit-error.ts";
import { type Plugins, type Profile, type PreparedScore, type Rejection, rejection } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { PodInfo } from "./pod-info.ts";

export type Decision =
  | { readonly node: NodeInfo; readonly evaluated: number; readonly feasible: number }
  | { readonly failure: FitFailure };

/** Which nodes have room; extenders reject some more before one is chosen. */
export interface Examination {
  readonly feasible: readonly NodeInfo[];
  readonly evaluated: number;
  /** As if no node had passed. */
  readonly failure: FitFailure;
}

export interface Decider {
  decide(pod: PodInfo, state: ClusterState): Decision;
  /** `anywhere`: also if the node that the pod was promised has room. */
  examine(pod: PodInfo, state: ClusterState, anywhere?: boolean): Examination;
  /** `more`: scores by node's name that come on top. */
  choose(
    pod: PodInfo,
    nodes: readonly NodeInfo[],
    options: { state: ClusterState; more?: readonly ReadonlyMap<string, number>[] },
  ): NodeInfo;
}

const feasibleMin = 100;
const percentMin = 5;

/** How many nodes with room are enough. */
export function feasibleWanted(nodeCount: number, asked = 0): number {
  if (nodeCount < feasibleMin || asked >= 100) return nodeCount;
  const percent = asked > 0 ? asked : Math.max(percentMin, 50 - Math.trunc(nodeCount / 125));
  return Math.max(feasibleMin, Math.trunc((nodeCount * percent) / 100));
}

/** `random` answers 0 ≤ x < 1 and picks among equals. */
export function createDecider(
  plugins: Plugins & Pick<Partial<Profile>, "percentageOfNodesToScore">,
  random: () => number = Math.random,
): Decider {
  let start = 0;

  return { examine, choose, decide };

  function decide(pod: PodInfo, state: ClusterState): Decision {
    const { feasible, evaluated, failure } = examine(pod, state);
    if (feasible.length === 0) return { failure };
    return { node: choose(pod, feasible, { state }), evaluated, feasible: feasible.length };
  }

  function examine(pod: PodInfo, state: ClusterState, anywhere = false): Examination {
    const all = state.nodes;
    const objecting = new Set<string>();
    const rejections = new Map<Rejection, number>();
    const resolvable: NodeInfo[] = [];
    const feasible: NodeInfo[] = [];
    const result = (evaluated: number, impossible?: Rejection): Examination => ({
      feasible,
      evaluated,
      failure: { nodeCount: all.length, rejections, impossible, plugins: objecting, resolvable },
    });
    if (all.length === 0) return result(0);

    const fit = createFitCheck(plugins.filters, { pod, state });
    const { impossible, only, narrowing } = fit;
    if (impossible) {
      objecting.add(impossible.plugin);
      if (impossible.reason.isResolvable) resolvable.push(...all);
      return result(0, impossible.reason);
    }

    const reject = (reason: Rejection, count = 1) => rejections.set(reason, (rejections.get(reason) ?? 0) + count);
    const look = (node: NodeInfo) => {
      const reason = fit.check(node, objecting);
      if (!reason) {
        feasible.push(node);
        return;
      }
      reject(reason);
      if (reason.isResolvable) resolvable.push(node);
    };

    // Room that was made for this pod is taken without looking further.
    const nomination = anywhere ? undefined : state.nomination(pod.uid);
    const promised = nomination !== undefined && (only?.has(nomination) ?? true) ? state.node(nomination) : undefined;
    if (promised && !fit.check(promised)) {
      feasible.push(promised);
      return result(1);
    }

    let evaluated = 0;
    if (only) {
      for (const name of only) {
        const node = state.node(name);
        if (!node) continue;
        look(node);
        evaluated++;
      }
      if (feasible.length === 0) {
        for (const name of narrowing) objecting.add(name);
        const others = all.length - evaluated;
        if (others > 0)
          reject(rejection(false, `node(s) didn't satisfy plugin(s) [${narrowing.toSorted().join(" ")}]`), others);
      }
    } else {
      const wanted = feasibleWanted(all.length, plugins.percentageOfNodesToScore);
      for (; evaluated < all.length && feasible.length < wanted; evaluated++) {
        const node = all[(start + evaluated) % all.length];
        if (node) look(node);
      }
      start = (start + evaluated) % all.length;
    }
    return result(evaluated);
  }

  function choose(
    pod: PodInfo,
    nodes: readonly NodeInfo[],
    { state, more = [] }: { state: ClusterState; more?: readonly ReadonlyMap<string, number>[] },
  ): NodeInfo {
    const [first] = nodes;
    if (nodes.length === 1 && first) return first;
    const totals = new Float64Array(nodes.length);
    const scores = new Float64Array(nodes.length);
    for (const { weight, prepare } of plugins.scores) {
      const prepared = prepare(pod, state, nodes);
      if (prepared) addScores(prepared, weight);
    }
    for (const given of more) {
      for (const [index, { name }] of nodes.entries()) totals[index] = (totals[index] ?? 0) + (given.get(name) ?? 0);
    }
    let chosen = 0;
    let equals = 1;
    for (let index = 1; index < nodes.length; index++) {
      const difference = (totals[index] ?? 0) - (totals[chosen] ?? 0);
      if (difference < 0) continue;
      equals = difference > 0 ? 1 : equals + 1;
      if (difference > 0 || random() * equals < 1) chosen = index;
    }
    return nodes[chosen] as NodeInfo; // an index of it

    function addScores({ score, normalize }: PreparedScore, weight: number): void {
      for (let index = 0; index < nodes.length; index++) scores[index] = score(nodes[index] as NodeInfo); // in range
      normalize?.(scores);
      for (let index = 0; index < nodes.length; index++)
        totals[index] = (totals[index] ?? 0) + weight * (scores[index] ?? 0);
    }
  }
}
