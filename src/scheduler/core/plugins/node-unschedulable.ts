import { type FilterPlugin, rejection } from "../framework.ts";
import { isTolerated } from "#machinery";

const unschedulable = rejection(false, "node(s) were unschedulable");
const cordon = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

/** `kubectl cordon`. */
export const nodeUnschedulable: FilterPlugin = {
  name: "NodeUnschedulable",
  prepare({ pod }, state) {
    if (state.cordoned === 0 || isTolerated(cordon, pod.spec?.tolerations)) return undefined;
    return { filter: ({ isUnschedulable }) => (isUnschedulable ? unschedulable : undefined) };
  },
  events: ["node-added", "node-updated"],
  helps(event, { pod }) {
    if (event.kind !== "node-added" && !(event.kind === "node-updated" && event.changed.unschedulable)) return false;
    return !event.node.isUnschedulable || isTolerated(cordon, pod.spec?.tolerations);
  },
};
