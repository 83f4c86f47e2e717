/**
 * Pods that want to be near or away from other pods, in zones, nodes or whatever a label tells apart. Required wishes reject nodes: those of
 * the pod itself, and those of pods that must be away from it. Preferred wishes of both sides score them.
 */
import type { AffinityTerm, WeightedTerm } from "../affinity-terms.ts";
import { noTerms } from "../affinity-terms.ts";
import type { ClusterState } from "../cluster-state.ts";
import { type FilterPlugin, rejection, type ScorePlugin, scoreMax } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { PodInfo } from "../pod-info.ts";

const notNear = rejection(false, "node(s) didn't match pod affinity rules");
const notAway = rejection(true, "node(s) didn't match pod anti-affinity rules");
const unwanted = rejection(true, "node(s) didn't satisfy existing pods anti-affinity rules");

/** InterPodAffinityArgs. */
export interface InterPodAffinityArguments {
  /** How much a required wish of a pod that is there counts when nodes are compared. */
  readonly hardPodAffinityWeight: number;
  /** For pods that wish nothing themselves. */
  readonly ignorePreferredTermsOfExistingPods: boolean;
}

export const defaultInterPodAffinity: InterPodAffinityArguments = {
  hardPodAffinityWeight: 1,
  ignorePreferredTermsOfExistingPods: false,
};

function matches(
  { namespaces, namespaceSelector, selector }: AffinityTerm,
  pod: PodInfo,
  state: ClusterState,
): boolean {
  const isInNamespace =
    namespaces.has(pod.namespace) ||
    (!namespaceSelector.nothing && namespaceSelector.matches(state.objects.namespaceLabels(pod.namespace)));
  return isInNamespace && selector.matches(pod.pod.metadata.labels);
}

/** Numbers by topology key and value. */
class Topology {
  readonly #keys = new Map<string, Map<string, number>>();
  /** Of all amounts. */
  total = 0;

  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  add(node: NodeInfo, key: string, amount: number): void {
    const value = node.labels[key];
    if (value === undefined) return;
    const values = this.#keys.get(key) ?? new Map<string, number>();
    this.#keys.set(key, values.set(value, (values.get(value) ?? 0) + amount));
    this.total += amount;
  }

  at({ labels }: NodeInfo, key: string): number {
    const value = labels[key];
    return value === undefined ? 0 : (this.#keys.get(key)?.get(value) ?? 0);
  }

  sum(node: NodeInfo): number {
    let sum = 0;
    for (const key of this.#keys.keys()) sum += this.at(node, key);
    return sum;
  }
}

/** Counts pods that match all terms, at the place of each term. */
function countMatches(terms: readonly AffinityTerm[], state: ClusterState): Topology {
  const topology = new Topology();
  const [only] = terms;
  if (terms.length === 1 && only?.namespaceSelector.nothing) {
    for (const namespace of only.namespaces) {
      const counts = state.count({ namespace, selector: only.selector, terminating: true });
      for (const [node, count] of counts) if (node.node) topology.add(node, only.topologyKey, count);
    }
    return topology;
  }
  for (const node of state.nodes) {
    for (const pod of node.pods.values()) {
      if (!terms.every((term) => matches(term, pod, state))) continue;
      for (const { topologyKey } of terms) topology.add(node, topologyKey, 1);
    }
  }
  return topology;
}

/** Where pods are that must be away from this one. */
function countUnwelcoming(pod: PodInfo, state: ClusterState): Topology {
  const topology = new Topology();
  for (const node of state.nodesWithTerms) {
    if (!node.node) continue;
    for (const other of node.podsWithRequiredAnti) {
      for (const term of other.terms.requiredAnti) {
        if (matches(term, pod, state)) topology.add(node, term.topologyKey, 1);
      }
    }
  }
  return topology;
}

export const interPodAffinityFilter: FilterPlugin = {
  name: "InterPodAffinity",
  prepare(pod, state) {
    const { required, requiredAnti } = pod.terms;
    if (pod.terms === noTerms && state.nodesWithTerms.size === 0) return undefined;
    const unwelcoming = countUnwelcoming(pod, state);
    if (required.length === 0 && requiredAnti.length === 0 && unwelcoming.isEmpty) return undefined;

    const near = required.length > 0 ? countMatches(required, state) : undefined;
    // The first of a group that wants to be together would wait for ever for another one.
    const matchesItself = near !== undefined && required.every((term) => matches(term, pod, state));
    const away = requiredAnti.map((term) => ({ term, found: countMatches([term], state) }));

    return {
      filter(node) {
        const isFirst = matchesItself && near.total === 0;
        for (const { topologyKey } of required) {
          if (node.labels[topologyKey] === undefined) return notNear;
          if (!isFirst && near?.at(node, topologyKey) === 0) return notNear;
        }
        for (const { term, found } of away) if (found.at(node, term.topologyKey) > 0) return notAway;
        return unwelcoming.sum(node) > 0 ? unwanted : undefined;
      },
      update(other, node, by) {
        if (required.every((term) => matches(term, other, state))) {
          for (const { topologyKey } of required) near?.add(node, topologyKey, by);
        }
        for (const { term, found } of away) if (matches(term, other, state)) found.add(node, term.topologyKey, by);
        for (const term of other.terms.requiredAnti) {
          if (matches(term, pod, state)) unwelcoming.add(node, term.topologyKey, by);
        }
      },
    };
  },
  events: ["node-added", "node-updated", "pod-added", "pod-updated", "pod-deleted"],
  helps(event, pod, state) {
    const { required, requiredAnti } = pod.terms;
    switch (event.kind) {
      case "node-added":
        return true;
      case "node-updated":
        return event.changed.labels;
      case "pod-updated":
        return event.changed.labels;
      case "pod-added":
        return required.some((term) => matches(term, event.pod, state));
      case "pod-deleted":
        return (
          requiredAnti.some((term) => matches(term, event.pod, state)) ||
          event.pod.terms.requiredAnti.some((term) => matches(term, pod, state)) ||
          // The last of a group: this pod may be the first again.
          required.some((term) => matches(term, event.pod, state))
        );
      default:
        return false;
    }
  },
};

export const createInterPodAffinityScore = ({
  hardPodAffinityWeight,
  ignorePreferredTermsOfExistingPods,
}: InterPodAffinityArguments): ScorePlugin => ({
  name: "InterPodAffinity",
  weight: 2,
  prepare(pod, state) {
    const { preferred, preferredAnti } = pod.terms;
    const hasPreferences = preferred.length > 0 || preferredAnti.length > 0;
    if (!hasPreferences && (ignorePreferredTermsOfExistingPods || state.nodesWithTerms.size === 0)) return undefined;
    const topology = new Topology();
    const apply = (terms: readonly WeightedTerm[], about: PodInfo, at: { node: NodeInfo; sign: 1 | -1 }) => {
      for (const term of terms) {
        if (matches(term, about, state)) topology.add(at.node, term.topologyKey, at.sign * term.weight);
      }
    };
    for (const node of hasPreferences ? state.nodes : state.nodesWithTerms) {
      if (!node.node) continue;
      for (const other of hasPreferences ? node.pods.values() : node.podsWithTerms) {
        apply(preferred, other, { node, sign: 1 });
        apply(preferredAnti, other, { node, sign: -1 });
        if (other.terms === noTerms) continue;
        if (hardPodAffinityWeight > 0) {
          for (const term of other.terms.required) {
            if (matches(term, pod, state)) topology.add(node, term.topologyKey, hardPodAffinityWeight);
          }
        }
        apply(other.terms.preferred, pod, { node, sign: 1 });
        apply(other.terms.preferredAnti, pod, { node, sign: -1 });
      }
    }
    if (topology.isEmpty) return undefined;
    return { score: (node) => topology.sum(node), normalize: normalizeBetweenExtremes };
  },
});

function normalizeBetweenExtremes(scores: Float64Array): void {
  let min = Infinity;
  let max = -Infinity;
  for (const score of scores) {
    min = Math.min(min, score);
    max = Math.max(max, score);
  }
  for (let index = 0; index < scores.length; index++) {
    // In this order, as upstream: it loses a point here and there.
    scores[index] = max > min ? Math.trunc(scoreMax * (((scores[index] ?? 0) - min) / (max - min))) : 0;
  }
}
