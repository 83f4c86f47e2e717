import { type FilterPlugin, normalizeByMax, rejection, type ScorePlugin } from "../framework.ts";
import type { PodInfo } from "../pod-info.ts";
import { compileRequiredNodes, compileTerm, type NodeMatcher, namedNodes } from "#machinery";

const mismatch = rejection(false, "node(s) didn't match Pod's node affinity/selector");
const conflict = rejection(false, "pod affinity terms conflict");

export const compileRequired = ({ pod }: PodInfo): NodeMatcher | undefined =>
  compileRequiredNodes(
    pod.spec?.nodeSelector,
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution,
  );

export const nodeAffinityFilter: FilterPlugin = {
  name: "NodeAffinity",
  prepare(info) {
    const matches = compileRequired(info);
    if (!matches) return undefined;
    const required = info.pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    const onlyNodes = required && namedNodes(required);
    if (onlyNodes?.size === 0) return { impossible: conflict };
    return { filter: (node) => (matches(node) ? undefined : mismatch), onlyNodes };
  },
  events: ["node-added", "node-updated"],
  helps(event, pod) {
    if (event.kind !== "node-added" && !(event.kind === "node-updated" && event.changed.labels)) return false;
    return compileRequired(pod)?.(event.node) ?? true;
  },
};

/** The sum of the weights of the preferred terms that match. */
export const nodeAffinityScore: ScorePlugin = {
  name: "NodeAffinity",
  weight: 2,
  prepare({ pod }) {
    const terms = (pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ weight, preference }) => ({ weight, matches: compileTerm(preference) }),
    );
    if (terms.length === 0) return undefined;
    return {
      score: (node) => terms.reduce((sum, { weight, matches }) => (matches(node) ? sum + weight : sum), 0),
      normalize: (scores) => normalizeByMax(scores),
    };
  },
};
