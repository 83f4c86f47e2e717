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

export interface Scheduler {
  decide(pod: PodInfo, state: ClusterState): Decision;
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
): Scheduler {
  let start = 0;

  return {
    decide(pod, state) {
      const all = state.nodes;
      const objecting = new Set<string>();
      const rejections = new Map<Rejection, number>();
      const resolvable: NodeInfo[] = [];
      const fail = (impossible?: Rejection): Decision => ({
        failure: { nodeCount: all.length, rejections, impossible, plugins: objecting, resolvable },
      });
      if (all.length === 0) return fail();

      const fit = createFitCheck(plugins.filters, { pod, state });
      const { impossible, only, narrowing } = fit;
      if (impossible) {
        objecting.add(impossible.plugin);
        if (impossible.reason.isResolvable) resolvable.push(...all);
        return fail(impossible.reason);
      }

      const reject = (reason: Rejection, count = 1) => rejections.set(reason, (rejections.get(reason) ?? 0) + count);
      const feasible: NodeInfo[] = [];
      const examine = (node: NodeInfo) => {
        const reason = fit.check(node, objecting);
        if (!reason) {
          feasible.push(node);
          return;
        }
        reject(reason);
        if (reason.isResolvable) resolvable.push(node);
      };

      // Room that was made for this pod is taken without looking further.
      const nomination = state.nomination(pod.uid);
      const promised = nomination !== undefined && (only?.has(nomination) ?? true) ? state.node(nomination) : undefined;
      if (promised && !fit.check(promised)) return { node: promised, evaluated: 1, feasible: 1 };

      let evaluated = 0;
      if (only) {
        for (const name of only) {
          const node = state.node(name);
          if (!node) continue;
          examine(node);
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
          if (node) examine(node);
        }
        start = (start + evaluated) % all.length;
      }

      const [first] = feasible;
      if (!first) return fail();
      const node = feasible.length === 1 ? first : best(pod, state, feasible);
      return { node, evaluated, feasible: feasible.length };
    },
  };

  function best(pod: PodInfo, state: ClusterState, nodes: readonly NodeInfo[]): NodeInfo {
    const totals = new Float64Array(nodes.length);
    const scores = new Float64Array(nodes.length);
    for (const { weight, prepare } of plugins.scores) {
      const prepared = prepare(pod, state, nodes);
      if (prepared) addScores(prepared, weight);
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
