/**
 * What a pod's containers ask for together: the sum of the containers and sidecars, or what starting up takes if that is more
 * (an init container beside the sidecars started before it). Follows component-helpers' resource package.
 */
import { addQuantities, compareQuantities, parseQuantity, type Quantity, quantitySign } from "#machinery";
import { isHugePages } from "../resource-names.ts";
import type { Container, PodSpec } from "../types.d.ts";
import { isSidecar } from "./containers-of.ts";

export type Sums = Map<string, Quantity>;
type Kind = "requests" | "limits";

export const aggregateRequests = (spec: PodSpec): Sums => aggregate(spec, "requests");
export const aggregateLimits = (spec: PodSpec): Sums => aggregate(spec, "limits");

/** With what is said for the pod as a whole, which counts instead of the sum of its containers, and with overhead. */
export function podSums(spec: PodSpec, kind: Kind): Sums {
  const sums = aggregate(spec, kind);
  for (const [name, text] of Object.entries(spec.resources?.[kind] ?? {}))
    if (name === "cpu" || name === "memory" || isHugePages(name)) sums.set(name, parseQuantity(text));
  for (const [name, text] of Object.entries(spec.overhead ?? {})) {
    const sum = sums.get(name);
    if (sum && quantitySign(sum) > 0) sums.set(name, addQuantities(sum, text));
    else if (kind === "requests") sums.set(name, parseQuantity(text));
  }
  return sums;
}

function aggregate(spec: PodSpec, kind: Kind): Sums {
  const sums: Sums = new Map();
  for (const container of spec.containers ?? []) add(sums, amountsOf(container, kind));
  const sidecars: Sums = new Map();
  const starting: Sums = new Map();
  for (const container of spec.initContainers ?? []) {
    const amounts = amountsOf(container, kind);
    if (isSidecar(container)) {
      add(sums, amounts);
      add(sidecars, amounts);
      takeLarger(starting, sidecars);
    } else {
      const together: Sums = new Map(amounts);
      add(together, sidecars);
      takeLarger(starting, together);
    }
  }
  takeLarger(sums, starting);
  return sums;
}

function amountsOf(container: Container, kind: Kind): Sums {
  const amounts = Object.entries(container.resources?.[kind] ?? {});
  return new Map(amounts.map(([name, text]) => [name, parseQuantity(text)]));
}

function add(sums: Sums, amounts: Sums): void {
  for (const [name, amount] of amounts) {
    const sum = sums.get(name);
    sums.set(name, sum ? addQuantities(sum, amount) : amount);
  }
}

function takeLarger(sums: Sums, others: Sums): void {
  for (const [name, amount] of others) {
    const sum = sums.get(name);
    if (!sum || compareQuantities(amount, sum) > 0) sums.set(name, amount);
  }
}
