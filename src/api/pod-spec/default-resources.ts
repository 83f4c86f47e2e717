/** What upstream fills into amounts of resources: thousandths at the finest, requests from limits, a pod's own from its containers'. */
import { milliQuantityOf, parseQuantity, printQuantity, quantityMilliValue } from "#machinery";
import { isHugePages, isOvercommitAllowed, isPodLevelResource } from "../resource-names.ts";
import type { Container, PodSpec } from "../types.d.ts";
import { aggregateLimits, aggregateRequests } from "./aggregate.ts";

/** Only these texts can be finer than a thousandth. */
const maybeFine = /[nu]$|[.e]/;

export function roundResources(amounts: Record<string, string> | undefined): void {
  for (const name in amounts) {
    const text = amounts[name] ?? "0";
    if (!maybeFine.test(text)) continue;
    const quantity = parseQuantity(text);
    if (quantity.scale >= -3) continue;
    amounts[name] = printQuantity(milliQuantityOf(quantityMilliValue(text), quantity.format));
  }
}

/** In a pod, not in a template: whoever limits something asks for as much, if it doesn't say less. */
export function requestLimits(containers: readonly Container[] | undefined): void {
  for (const { resources } of containers ?? []) {
    if (!resources?.limits) continue;
    resources.requests = { ...resources.limits, ...resources.requests };
  }
}

/** The pod's own resources, where it has some, are completed from its containers'. */
export function defaultPodLevelResources(spec: PodSpec): void {
  const { resources } = spec;
  if (!resources) return;
  if (Object.keys({ ...resources.limits, ...resources.requests }).length === 0) return;
  for (const [name, limit] of aggregateLimits(spec)) {
    if (!isHugePages(name) || resources.requests?.[name] !== undefined) continue;
    resources.limits = { [name]: printQuantity(limit), ...resources.limits };
  }
  if (Object.keys(resources.limits ?? {}).length === 0) return;
  for (const [name, request] of aggregateRequests(spec)) {
    if (!isPodLevelResource(name) || !isOvercommitAllowed(name)) continue;
    resources.requests = { [name]: printQuantity(request), ...resources.requests };
  }
  for (const [name, limit] of Object.entries(resources.limits ?? {})) {
    if (isPodLevelResource(name)) resources.requests = { [name]: limit, ...resources.requests };
  }
}
