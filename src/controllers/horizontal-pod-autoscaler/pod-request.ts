/** What a pod with resources of its own requests: its own amounts win over what its containers add up to. */
import type { Container } from "#api";
import type { Seen } from "../lib/objects.ts";
import type { SeenPod } from "../lib/pods.ts";
import { milliOf } from "./milli.ts";

/** In thousandths, with overhead; undefined: nobody requests any. */
export function pooledRequest({ spec }: SeenPod, resource: string): bigint | undefined {
  const amountOf = (requests: Readonly<Record<string, string>> | undefined): bigint | undefined => {
    const text = requests?.[resource];
    return text === undefined ? undefined : milliOf(text);
  };
  const own = amountOf(spec?.resources?.requests);
  const total = own ?? ofContainers();
  const overhead = amountOf(spec?.overhead);
  return total === undefined && overhead === undefined ? undefined : (total ?? 0n) + (overhead ?? 0n);

  /** Sidecars run beside all that comes after them; other init containers one after the other, before the rest. */
  function ofContainers(): bigint | undefined {
    let known = false;
    const amount = (container: Seen<Container>): bigint => {
      const found = amountOf(container.resources?.requests);
      known ||= found !== undefined;
      return found ?? 0n;
    };
    let running = 0n;
    let [sidecars, peak] = [0n, 0n];
    for (const container of spec?.containers ?? []) running += amount(container);
    for (const container of spec?.initContainers ?? []) {
      const wanted = sidecars + amount(container);
      if (container.restartPolicy === "Always") sidecars = wanted;
      if (wanted > peak) peak = wanted;
    }
    running += sidecars;
    return known ? (running > peak ? running : peak) : undefined;
  }
}
