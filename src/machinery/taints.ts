/** Whether a pod bears a node's taints. */

interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}

type Tolerations = readonly Toleration[];

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === "Exists") return true;
  const isEqual = !toleration.operator || toleration.operator === "Equal";
  // Without a key only "Exists" matches everything.
  return isEqual && (toleration.value ?? "") === (taint.value ?? "") && Boolean(toleration.key);
}

export function isTolerated(taint: Taint, tolerations: Tolerations = []): boolean {
  return tolerations.some((toleration) => tolerates(toleration, taint));
}

export function areTolerated(taints: readonly Taint[], tolerations?: Tolerations): boolean {
  for (const taint of taints) if (!isTolerated(taint, tolerations)) return false;
  return true;
}
