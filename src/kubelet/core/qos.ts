/** Quality of service: who is squeezed first when the node runs short. */
import { milliOf } from "./quantity.ts";
import type { PodView } from "./types.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

const counted = ["cpu", "memory"] as const;

export function podQos(pod: PodView): QosClass {
  const status = pod.status?.qosClass;
  if (status === "Guaranteed" || status === "Burstable" || status === "BestEffort") return status;
  return computeQos(pod);
}

/** From the spec alone. Resources of the pod as a whole count instead of those of its containers. */
export function computeQos({ spec }: PodView): QosClass {
  const whole = spec?.resources;
  const list =
    whole && (hasAny(whole.requests) || hasAny(whole.limits))
      ? [{ resources: whole }]
      : [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const requests = new Map<string, number>();
  const limits = new Map<string, number>();
  let guaranteed = true;
  for (const { resources } of list) {
    for (const name of counted) {
      const request = milliOf(resources?.requests?.[name]);
      const limit = milliOf(resources?.limits?.[name]);
      if (request > 0) requests.set(name, (requests.get(name) ?? 0) + request);
      if (limit > 0) limits.set(name, (limits.get(name) ?? 0) + limit);
      else guaranteed = false;
    }
  }
  if (requests.size === 0 && limits.size === 0) return "BestEffort";
  const equal = counted.every((name) => requests.get(name) === limits.get(name)) && requests.size === limits.size;
  return guaranteed && equal ? "Guaranteed" : "Burstable";
}

const hasAny = (list: Readonly<Record<string, string>> | undefined): boolean =>
  counted.some((name) => milliOf(list?.[name]) > 0);
