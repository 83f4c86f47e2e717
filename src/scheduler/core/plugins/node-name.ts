import { type FilterPlugin, rejection } from "../framework.ts";

const mismatch = rejection(false, "node(s) didn't match the requested node name");

/** `spec.nodeName` of a pod that is not bound, as when the scheduler is asked about a pod of a DaemonSet. */
export const nodeName: FilterPlugin = {
  name: "NodeName",
  prepare({ pod }) {
    const wanted = pod.spec?.nodeName;
    return wanted ? { filter: ({ name }) => (name === wanted ? undefined : mismatch) } : undefined;
  },
  events: ["node-added"],
  helps: (event, { pod }) => "node" in event && event.node.name === pod.spec?.nodeName,
};
