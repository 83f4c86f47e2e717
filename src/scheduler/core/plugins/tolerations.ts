/** Whether a pod bears a node's taints. */
import type { Taint, Toleration } from "#api";
import type { DeepReadonly } from "#machinery";

type Tolerations = readonly DeepReadonly<Toleration>[];

function tolerates(toleration: DeepReadonly<Toleration>, taint: DeepReadonly<Taint>): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === "Exists") return true;
  const isEqual = !toleration.operator || toleration.operator === "Equal";
  // Without a key only "Exists" matches everything.
  return isEqual && (toleration.value ?? "") === (taint.value ?? "") && Boolean(toleration.key);
}

export function isTolerated(taint: DeepReadonly<Taint>, tolerations: Tolerations = []): boolean {
  return tolerations.some((toleration) => tolerates(toleration, taint));
}

export function areTolerated(taints: readonly DeepReadonly<Taint>[], tolerations?: Tolerations): boolean {
  for (const taint of taints) if (!isTolerated(taint, tolerations)) return false;
  return true;
}
