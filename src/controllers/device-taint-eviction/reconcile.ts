/** When a pod must leave because a device that it uses is tainted. Pure; upstream's devicetainteviction without rules, which are off by default. */
import {
  type DeviceToleration,
  isReservedForPod,
  type Pod,
  podClaimName,
  type ResourceClaim,
  type ResourceSlice,
  toleratesDeviceTaint,
  whyNotForPod,
} from "#api";
import { namespaceOf, type Seen } from "../lib/objects.ts";

export type SeenSlice = Seen<ResourceSlice>;
export type SeenClaim = Seen<ResourceClaim>;

export const poolOf = (of: { readonly driver: string; readonly pool: string }): string => `${of.driver}/${of.pool}`;
export const poolsOf = ({ status }: SeenClaim): string[] => [
  ...new Set((status?.allocation?.devices?.results ?? []).map(poolOf)),
];

export const evictsAnybody = ({ spec }: SeenSlice): boolean =>
  (spec.devices ?? []).some(({ taints = [] }) => taints.some(({ effect }) => effect === "NoExecute"));

/** Milliseconds since 1970; undefined: it may stay. `slicesOf` answers all slices of a pool. */
export function evictionTime(
  pod: Seen<Pod>,
  of: { claim(key: string): SeenClaim | undefined; slicesOf(pool: string): readonly SeenSlice[] },
): number | undefined {
  if (!pod.spec?.nodeName) return undefined;
  const times = (pod.spec.resourceClaims ?? []).flatMap((entry) => {
    const found = podClaimName(pod, entry);
    if ("missing" in found || found.name === undefined) return [];
    const claim = of.claim(`${namespaceOf(pod)}/${found.name}`);
    if (!claim || (found.isOwn && whyNotForPod(pod, claim)) || !isReservedForPod(pod, claim)) return [];
    return claimTimes(claim, of.slicesOf);
  });
  return times.length > 0 ? Math.min(...times) : undefined;
}

function claimTimes({ status }: SeenClaim, slicesOf: (pool: string) => readonly SeenSlice[]): number[] {
  return (status?.allocation?.devices?.results ?? []).flatMap((result) => {
    const slices = slicesOf(poolOf(result));
    const newest = Math.max(...slices.map(({ spec }) => spec.pool.generation));
    const device = slices
      .filter(({ spec }) => spec.pool.generation === newest)
      .flatMap(({ spec }) => spec.devices ?? [])
      .find(({ name }) => name === result.device);
    return (device?.taints ?? []).flatMap((taint) => {
      if (taint.effect !== "NoExecute" || taint.timeAdded === undefined) return [];
      const stayMs = toleratedMs(
        (result.tolerations ?? []).filter((each) => each.effect === "NoExecute" && toleratesDeviceTaint(each, taint)),
      );
      return stayMs === Number.POSITIVE_INFINITY ? [] : [Date.parse(taint.timeAdded) + stayMs];
    });
  });
}

/** The shortest of those that tolerate for a time; for ever if any does. */
function toleratedMs(tolerations: readonly Seen<DeviceToleration>[]): number {
  if (tolerations.length === 0) return 0;
  if (tolerations.some(({ tolerationSeconds }) => tolerationSeconds === undefined)) return Number.POSITIVE_INFINITY;
  return Math.min(...tolerations.map(({ tolerationSeconds = 0 }) => Math.max(0, tolerationSeconds))) * 1000;
}
