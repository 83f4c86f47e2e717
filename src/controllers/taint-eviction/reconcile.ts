/** How long a pod may stay on a tainted node. Pure. */
import { tolerates } from "#machinery";
import type { SeenTaint } from "../lib/nodes.ts";
import type { SeenPod } from "../lib/pods.ts";

/** Ms the pod may stay from when the taint was noticed; Infinity: for good. */
export function stayMs(pod: SeenPod, taints: readonly SeenTaint[]): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (const taint of taints) {
    const toleration = (pod.spec?.tolerations ?? []).find((each) => tolerates(each, taint));
    if (!toleration) return 0;
    const { tolerationSeconds } = toleration;
    if (tolerationSeconds !== undefined) shortest = Math.min(shortest, Math.max(0, tolerationSeconds) * 1000);
  }
  return shortest;
}
