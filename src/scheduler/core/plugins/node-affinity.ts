import type { NodeAffinity } from "#api";
import type { DeepReadonly } from "#machinery";
import { type FilterPlugin, normalizeByMax, rejection, type ScorePlugin } from "../framework.ts";
import type { PodInfo } from "../pod-info.ts";
import { compileRequiredNodes, compileTerm, type NodeMatcher, namedNodes } from "#machinery";

const mismatch = rejection(false, "node(s) didn't match Pod's node affinity/selector");
const notEnforced = rejection(false, "node(s) didn't match scheduler-enforced node affinity");
const conflict = rejection(false, "pod affinity terms conflict");

export const compileRequired = ({ pod }: PodInfo): NodeMatcher | undefined =>
  compileRequiredNodes(
    pod.spec?.nodeSelector,
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
  );

/** `added`: what holds for all pods of a profile (NodeAffinityArgs). */
export function createNodeAffinityFilter(added?: DeepReadonly<NodeAffinity>): FilterPlugin {
  const enforced = compileRequiredNodes({}, added?.requiredDuringSchedulingIgnoredDuringExecution);
  return {
    name: "NodeAffinity",
    prepare(info) {
      const matches = compileRequired(info);
      if (!matches) return enforced && { filter: (node) => (enforced(node) ? undefined : notEnforced) };
      const required = info.pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
      const onlyNodes = required && namedNodes(required);
      if (onlyNodes?.size === 0) return { impossible: conflict };
      if (!enforced) return { filter: (node) => (matches(node) ? undefined : mismatch), onlyNodes };
      return { filter: (node) => (!enforced(node) ? notEnforced : matches(node) ? undefined : mismatch), onlyNodes };
    },
    events: ["node-added", "node-updated"],
    helps(event, pod) {
      if (event.kind !== "node-added" && !(event.kind === "node-updated" && event.changed.labels)) return false;
      return (enforced?.(event.node) ?? true) && (compileRequired(pod)?.(event.node) ?? true);
    },
  };
}

/** The sum of the weights of the preferred terms that match. */
export function createNodeAffinityScore(added?: DeepReadonly<NodeAffinity>): ScorePlugin {
  const compile = ({ preferredDuringSchedulingIgnoredDuringExecution: terms = [] }: DeepReadonly<NodeAffinity>) =>
    terms.map(({ weight, preference }) => ({ weight, matches: compileTerm(preference) }));
  const enforced = compile(added ?? {});
  return {
    name: "NodeAffinity",
    weight: 2,
    prepare({ pod }) {
      const terms = [...enforced, ...compile(pod.spec?.affinity?.nodeAffinity ?? {})];
      if (terms.length === 0) return undefined;
      return {
        score: (node) => terms.reduce((sum, { weight, matches }) => (matches(node) ? sum + weight : sum), 0),
        normalize: (scores) => normalizeByMax(scores),
      };
    },
  };
}
