/**
 * Spreads like pods evenly over zones, nodes or whatever a label tells apart. Hard constraints reject nodes where the difference to the
 * emptiest domain would become too large; soft ones prefer emptier domains. Pods without constraints of their own are spread softly over
 * nodes (skew 3) and zones (skew 5) together with the pods of their Services and owner, as upstream's defaults do.
 */
import type { TopologySpreadConstraint } from "#api";
import { type DeepReadonly, type LabelMatcher, parseLabelSelector } from "#machinery";
import { compileSelector } from "../affinity-terms.ts";
import type { ClusterState } from "../cluster-state.ts";
import { type FilterPlugin, rejection, type ScorePlugin, scoreMax } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { NodeCounts } from "../pod-counts.ts";
import type { PodInfo } from "../pod-info.ts";
import { compileRequired } from "./node-affinity.ts";
import { areTolerated } from "#machinery";

const uneven = rejection(true, "node(s) didn't match pod topology spread constraints");
const unlabelled = rejection(false, "node(s) didn't match pod topology spread constraints (missing required label)");

const hostname = "kubernetes.io/hostname";
const whenUnsatisfiable = "ScheduleAnyway";
const systemDefaults: readonly TopologySpreadConstraint[] = [
  { topologyKey: hostname, maxSkew: 3, whenUnsatisfiable },
  { topologyKey: "topology.kubernetes.io/zone", maxSkew: 5, whenUnsatisfiable },
];

/** PodTopologySpreadArgs. */
export interface TopologySpreadArguments {
  /** For pods without constraints of their own; System: upstream's. */
  readonly defaultingType: "System" | "List";
  readonly defaultConstraints: readonly DeepReadonly<TopologySpreadConstraint>[];
}

export const defaultTopologySpread: TopologySpreadArguments = { defaultingType: "System", defaultConstraints: [] };

interface Constraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly selector: LabelMatcher;
  /** Whether the node's pods count and its domain exists for this constraint. */
  readonly includes: (node: NodeInfo) => boolean;
}

const noConstraints: readonly Constraint[] = [];

function constraintsOf(
  info: PodInfo,
  { state, args, action }: { state: ClusterState; args: TopologySpreadArguments; action: string },
): readonly Constraint[] {
  const own = info.pod.spec?.topologySpreadConstraints ?? [];
  const { defaultingType, defaultConstraints } = args;
  const given = own.length > 0 ? own : defaultingType === "System" ? systemDefaults : defaultConstraints;
  const wanted = given.filter((constraint) => constraint.whenUnsatisfiable === action);
  if (wanted.length === 0) return noConstraints;
  // The defaults are about the pods that belong together with this one.
  const selector = own.length > 0 ? undefined : state.objects.selectorOf(info.pod);
  if (own.length === 0 && !selector) return noConstraints;
  return wanted.map((constraint) => ({
    topologyKey: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    selector: selector ?? selectorOf(constraint, info),
    includes: inclusion(constraint, info),
  }));
}

/** With the pod's own values of `matchLabelKeys`, which tell one rollout from the next. */
function selectorOf(constraint: DeepReadonly<TopologySpreadConstraint>, { pod }: PodInfo): LabelMatcher {
  const selector = compileSelector(constraint.labelSelector);
  const own = (constraint.matchLabelKeys ?? []).flatMap((key) => {
    const value = pod.metadata.labels?.[key];
    return value === undefined ? [] : [`${key}=${value}`];
  });
  if (own.length === 0 || selector.nothing) return selector;
  return parseLabelSelector([...own, ...(selector.everything ? [] : [selector.toString()])].join(","));
}

function inclusion(constraint: DeepReadonly<TopologySpreadConstraint>, info: PodInfo): (node: NodeInfo) => boolean {
  const { nodeAffinityPolicy = "Honor", nodeTaintsPolicy = "Ignore" } = constraint;
  const required = nodeAffinityPolicy === "Honor" ? compileRequired(info) : undefined;
  const tolerations = info.pod.spec?.tolerations;
  return (node) =>
    (!required || required(node)) && (nodeTaintsPolicy !== "Honor" || areTolerated(node.hardTaints, tolerations));
}

const noCounts: NodeCounts = new Map();

/** A selector of everything counts nothing, upstream's oddity. */
const countsFor = ({ selector }: Constraint, { namespace }: PodInfo, state: ClusterState): NodeCounts =>
  selector.everything ? noCounts : state.count({ namespace, selector, terminating: false });

const hasAllKeys = ({ labels }: Pick<NodeInfo, "labels">, constraints: readonly Constraint[]): boolean =>
  constraints.every(({ topologyKey }) => labels[topologyKey] !== undefined);

export const createTopologySpreadFilter = (args: TopologySpreadArguments): FilterPlugin => ({
  name: "PodTopologySpread",
  prepare(info, state) {
    const constraints = constraintsOf(info, { state, args, action: "DoNotSchedule" });
    if (constraints.length === 0) return undefined;
    const eligible = state.nodes.filter((node) => hasAllKeys(node, constraints));
    const checks = constraints.map((constraint) => {
      const { topologyKey, maxSkew, minDomains, selector, includes } = constraint;
      const counts = countsFor(constraint, info, state);
      const domains = new Map<string, number>();
      for (const node of eligible) {
        const value = node.labels[topologyKey];
        if (value !== undefined && includes(node))
          domains.set(value, (domains.get(value) ?? 0) + (counts.get(node) ?? 0));
      }
      let min: number | undefined;
      const self = selector.matches(info.pod.metadata.labels) ? 1 : 0;
      return {
        topologyKey,
        allows(value: string) {
          min ??= domains.size < minDomains ? 0 : smallest(domains.values());
          return (domains.get(value) ?? 0) + self - min <= maxSkew;
        },
        update(node: NodeInfo, { pod, namespace }: PodInfo, by: 1 | -1) {
          const value = node.labels[topologyKey];
          const sum = value === undefined ? undefined : domains.get(value);
          if (value === undefined || sum === undefined || !hasAllKeys(node, constraints) || !includes(node)) return;
          if (namespace !== info.namespace || pod.metadata.deletionTimestamp) return;
          if (!selector.matches(pod.metadata.labels)) return;
          domains.set(value, sum + by);
          min = undefined;
        },
      };
    });
    return {
      filter({ labels }) {
        for (const { topologyKey, allows } of checks) {
          const value = labels[topologyKey];
          if (value === undefined) return unlabelled;
          if (!allows(value)) return uneven;
        }
        return undefined;
      },
      update(pod, node, by) {
        for (const check of checks) check.update(node, pod, by);
      },
    };
  },
  events: ["node-added", "node-updated", "node-deleted", "pod-added", "pod-updated", "pod-deleted"],
  helps(event, info, state) {
    const constraints = constraintsOf(info, { state, args, action: "DoNotSchedule" });
    switch (event.kind) {
      case "node-added":
        return hasAllKeys(event.node, constraints);
      case "node-updated":
        return event.changed.labels || event.changed.taints;
      case "node-deleted":
        // The emptiest domain may have been its own.
        return hasAllKeys(event, constraints);
      case "pod-updated":
        return event.changed.labels && event.pod.namespace === info.namespace;
      case "pod-added":
      case "pod-deleted":
        return (
          event.pod.namespace === info.namespace &&
          constraints.some(({ selector }) => selector.matches(event.pod.pod.metadata.labels))
        );
      default:
        return false;
    }
  },
});

function smallest(values: Iterable<number>): number {
  let min = Number.POSITIVE_INFINITY;
  for (const value of values) if (value < min) min = value;
  return min;
}

export const createTopologySpreadScore = (args: TopologySpreadArguments): ScorePlugin => ({
  name: "PodTopologySpread",
  weight: 2,
  prepare(info, state, nodes) {
    const constraints = constraintsOf(info, { state, args, action: "ScheduleAnyway" });
    if (constraints.length === 0) return undefined;
    const areDefaults = args.defaultingType === "System" && !info.pod.spec?.topologySpreadConstraints?.length;
    // Of the defaults a node without zone still takes part in spreading over nodes.
    const isScored = (node: NodeInfo) => areDefaults || hasAllKeys(node, constraints);
    const scored = nodes.filter(isScored);

    const parts = constraints.map((constraint) => {
      const { topologyKey, maxSkew } = constraint;
      const counts = countsFor(constraint, info, state);
      if (topologyKey === hostname) {
        return {
          topologyKey,
          maxSkew,
          weight: weightOf(scored.length),
          count: (node: NodeInfo) => counts.get(node) ?? 0,
        };
      }
      const domains = new Map<string, number>();
      for (const node of scored) domains.set(node.labels[topologyKey] ?? "", 0);
      for (const [node, pods] of counts) {
        const value = node.labels[topologyKey] ?? "";
        const sum = domains.get(value);
        if (sum === undefined || !node.node || !constraint.includes(node) || !isScored(node)) continue;
        domains.set(value, sum + pods);
      }
      const count = ({ labels }: NodeInfo) => domains.get(labels[topologyKey] ?? "") ?? 0;
      return { topologyKey, maxSkew, weight: weightOf(domains.size), count };
    });

    return {
      score(node) {
        if (!isScored(node)) return ignored;
        let sum = 0;
        for (const { topologyKey, maxSkew, weight, count } of parts) {
          // Small skews are watered down by those that the constraint allows.
          if (node.labels[topologyKey] !== undefined) sum += count(node) * weight + maxSkew - 1;
        }
        return Math.round(sum);
      },
      normalize: normalizeFewestBest,
    };
  },
});

const ignored = -1;

/** Domains of a key with many values hold fewer pods each; this makes keys comparable. */
const weightOf = (domains: number): number => Math.log(domains + 2);

function normalizeFewestBest(scores: Float64Array): void {
  let min = Infinity;
  let max = 0;
  for (const score of scores) {
    if (score === ignored) continue;
    min = Math.min(min, score);
    max = Math.max(max, score);
  }
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? 0;
    if (score === ignored) scores[index] = 0;
    else scores[index] = max === 0 ? scoreMax : Math.trunc((scoreMax * (max + min - score)) / max);
  }
}
