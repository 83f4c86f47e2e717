import { type FilterPlugin, normalizeByMax, rejection, type ScorePlugin } from "../framework.ts";
import { areTolerated, isTolerated } from "#machinery";

// Since 1.34.2 without the taint itself: it told pods' owners about nodes that they may not see.
const untolerated = rejection(false, "node(s) had untolerated taint(s)");

export const taintTolerationFilter: FilterPlugin = {
  name: "TaintToleration",
  prepare({ pod }, state) {
    if (state.tainted === 0) return undefined;
    const tolerations = pod.spec?.tolerations;
    return {
      filter: ({ hardTaints }) =>
        hardTaints.length === 0 || areTolerated(hardTaints, tolerations) ? undefined : untolerated,
    };
  },
  events: ["node-added", "node-updated"],
  helps(event, { pod }) {
    if (event.kind !== "node-added" && !(event.kind === "node-updated" && event.changed.taints)) return false;
    return areTolerated(event.node.hardTaints, pod.spec?.tolerations);
  },
};

/** The fewer PreferNoSchedule taints a pod must overlook, the better. */
export const taintTolerationScore: ScorePlugin = {
  name: "TaintToleration",
  weight: 3,
  prepare({ pod }, state) {
    if (state.discouraging === 0) return undefined;
    const tolerations = pod.spec?.tolerations?.filter(({ effect }) => !effect || effect === "PreferNoSchedule");
    return {
      score: ({ softTaints }) => softTaints.filter((taint) => !isTolerated(taint, tolerations)).length,
      normalize: (scores) => normalizeByMax(scores, true),
    };
  },
};
