import { type FilterPlugin, rejection } from "../framework.ts";
import { planVolumes, sortClaims } from "../volume-binding.ts";

/** Claims must have volumes that the node can reach, or be able to get some there. */
export const volumeBinding: FilterPlugin = {
  name: "VolumeBinding",
  prepare(pod, state) {
    if (pod.claims.length === 0) return undefined;
    const { storage } = state.objects;
    const claims = sortClaims(pod, storage);
    if (typeof claims === "string") return { impossible: rejection(false, claims) };
    const rejections = new Map<string, ReturnType<typeof rejection>>();
    return {
      filter(node) {
        const plan = planVolumes(claims, node, storage);
        if (!("conflicts" in plan)) return undefined;
        const key = plan.conflicts.join();
        const found = rejections.get(key) ?? rejection(false, ...plan.conflicts);
        rejections.set(key, found);
        return found;
      },
    };
  },
  events: ["node-added", "node-updated", "claim-changed", "storage-changed"],
  helps(event, pod) {
    if (event.kind === "claim-changed") return pod.claims.some(({ key }) => key === event.key);
    if (event.kind === "storage-changed") return event.resource !== "attachment" && event.type !== "deleted";
    return event.kind !== "node-updated" || event.changed.labels;
  },
};
