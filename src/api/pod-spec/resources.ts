/** Requests and limits: of containers, of a pod as a whole, and of what a sandbox costs. */
import { compareQuantities, isDns1123Label, printQuantity } from "#machinery";
import type { Place } from "../place.ts";
import {
  isDivisibleHugePages,
  isHugePages,
  isOvercommitAllowed,
  validateAmount,
  validateContainerResourceName,
  validatePodResourceName,
} from "../resource-names.ts";
import type { CoreV1ResourceClaim, PodSpec, ResourceRequirements } from "../types.d.ts";
import { aggregateLimits, aggregateRequests, type Sums } from "./aggregate.ts";
import type { PodCheck } from "./check.ts";

export type ResourceCheck = Pick<PodCheck, "tolerate" | "claimNames">;
type Amounts = Record<string, string>;
type NameCheck = (name: string, at: Place) => void;

export function validateContainerResources(resources: ResourceRequirements, at: Place, check: ResourceCheck): void {
  validateRequirements(resources, at, { ...check, checkName: validateContainerResourceName });
}

const isComputeOfQuality = (name: string): boolean => name === "cpu" || name === "memory";

function validateRequirements(
  { limits, requests, claims }: ResourceRequirements,
  at: Place,
  check: ResourceCheck & { checkName: NameCheck },
): void {
  let compute = false;
  let hugePages = false;
  const visit = (amounts: Amounts | undefined, list: Place, each: (name: string, amount: string) => void) => {
    for (const name in amounts) {
      const place = list.key(name);
      const amount = amounts[name] ?? "0";
      check.checkName(name, place);
      validateAmount(name, amount, place);
      each(name, amount);
      if (isHugePages(name)) {
        hugePages = true;
        validateHugePages(name, amount, place, check.tolerate.partialHugePages);
      }
      if (isComputeOfQuality(name)) compute = true;
    }
  };
  visit(limits, at.child("limits"), () => undefined);
  visit(requests, at.child("requests"), (name, amount) => {
    validateRequestAgainstLimit(name, amount, { limit: limits?.[name], at });
  });
  if (hugePages && !compute) at.forbidden("HugePages require cpu or memory");
  if (claims?.length) validateClaims(claims, at.child("claims"), check.claimNames);
}

function validateHugePages(name: string, amount: string, at: Place, tolerate: boolean): void {
  if (tolerate || isDivisibleHugePages(name, amount)) return;
  at.invalid(amount, `${amount} is not positive integer multiple of ${name}`);
}

function validateRequestAgainstLimit(
  name: string,
  request: string,
  { limit, at }: { limit: string | undefined; at: Place },
): void {
  if (limit === undefined) {
    if (!isOvercommitAllowed(name)) at.child("limits").required("Limit must be set for non overcommitable resources");
    return;
  }
  const order = compareQuantities(request, limit);
  if (order !== 0 && !isOvercommitAllowed(name)) {
    at.child("requests").invalid(request, `must be equal to ${name} limit of ${limit}`);
  } else if (order > 0) {
    at.child("requests").invalid(request, `must be less than or equal to ${name} limit of ${limit}`);
  }
}

/** Each device claim of the pod at most once, or each of its requests at most once. */
function validateClaims(claims: readonly CoreV1ResourceClaim[], at: Place, known: ReadonlySet<string>): void {
  const seen = new Set<string>();
  claims.forEach(({ name = "", request = "" }, i) => {
    const place = at.index(i);
    if (name === "") {
      place.required();
      return;
    }
    if (seen.has(name)) place.duplicate(name);
    else {
      if (request !== "") place.child("request").invalidEach(request, isDns1123Label(request));
      const key = request === "" ? name : `${name}/${request}`;
      if (seen.has(key)) place.duplicate(key);
      else if (request === "") {
        for (const other of seen) if (other.startsWith(`${name}/`)) place.duplicate(name);
      }
      seen.add(key);
    }
    if (!known.has(name)) {
      const names = known.size === 0 ? " which is empty" : `: ${[...known].sort().join(", ")}`;
      place.notFound(name, `must be one of the names in pod.spec.resourceClaims${names}`);
    }
  });
}

export function validateOverhead(overhead: Amounts, at: Place, check: ResourceCheck): void {
  validateContainerResources({ limits: overhead }, at, check);
}

/** The pod's own limits and requests hold for all its containers together. */
export function validatePodResources(spec: PodSpec, at: Place, check: ResourceCheck): void {
  const { resources } = spec;
  if (!resources) return;
  if (spec.os?.name === "windows") {
    at.forbidden("may not be set for a windows pod");
    return;
  }
  if (resources.claims) at.child("claims").forbidden("claims may not be set for Resources at pod-level");
  validateRequirements(resources, at, { ...check, checkName: validatePodResourceName });
  const { requests = {}, limits = {} } = resources;
  compareWithSum(aggregateRequests(spec), requests, { at: at.child("requests"), what: "requests" });
  const hugePages = [...aggregateLimits(spec)].filter(([name]) => isHugePages(name));
  compareWithSum(new Map(hugePages), limits, { at: at.child("limits"), what: "limits" });
  spec.containers?.forEach((container, i) => {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const max = limits[name];
      if (max === undefined || compareQuantities(limit, max) <= 0) continue;
      const place = at.child("containers").index(i).key(name).child("limits");
      place.invalid(limit, `must be less than or equal to pod limits of ${max}`);
    }
  });
}

function compareWithSum(sums: Sums, amounts: Amounts, { at, what }: { at: Place; what: string }): void {
  for (const [name, sum] of sums) {
    const amount = amounts[name];
    if (amount === undefined || compareQuantities(sum, amount) <= 0) continue;
    const least = printQuantity(sum);
    at.key(name).invalid(amount, `must be greater than or equal to aggregate container ${what} of ${least}`);
  }
}
