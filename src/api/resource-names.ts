/** Names of resources (cpu, memory, example.com/gpu, hugepages-2Mi): which are known where, and what their amounts may be. */
import {
  isQualifiedName,
  negativeMessage,
  QuantityError,
  quantityMilliValue,
  quantitySign,
  quantityValue,
} from "#machinery";
import type { Place } from "./place.ts";

const computeResources = ["cpu", "memory", "ephemeral-storage"];
const countedResources = [
  "pods",
  "resourcequotas",
  "services",
  "replicationcontrollers",
  "secrets",
  "persistentvolumeclaims",
  "configmaps",
  "services.nodeports",
  "services.loadbalancers",
];
const quotaResources: ReadonlySet<string> = new Set([
  ...computeResources,
  ...computeResources.map((name) => `requests.${name}`),
  "requests.storage",
  ...computeResources.map((name) => `limits.${name}`),
  ...countedResources,
]);
const standardResources: ReadonlySet<string> = new Set([...quotaResources, "storage"]);
const integerResources: ReadonlySet<string> = new Set(countedResources);

export const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
const isQuotaHugePages = (name: string): boolean => isHugePages(name) || name.startsWith("requests.hugepages-");
const isStandardResource = (name: string): boolean => standardResources.has(name) || isQuotaHugePages(name);
export const isStandardQuotaResource = (name: string): boolean => quotaResources.has(name) || isQuotaHugePages(name);
const isStandardContainerResource = (name: string): boolean => computeResources.includes(name) || isHugePages(name);

/** In the kubernetes.io domain, which names without a domain are in too. */
export const isNativeResource = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");

/** A device or another resource of the cluster's own. */
export const isExtendedResource = (name: string): boolean =>
  !isNativeResource(name) && !name.startsWith("requests.") && isQualifiedName(`requests.${name}`).length === 0;

/** Requests may be lower than limits. */
export const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePages(name);

const isIntegerResource = (name: string): boolean => integerResources.has(name) || isExtendedResource(name);

/** Answers whether the name is fine as far as any resource goes. */
export function validateResourceName(name: string, at: Place): boolean {
  const messages = isQualifiedName(name);
  at.invalidEach(name, messages);
  if (messages.length > 0) return false;
  if (name.includes("/") || isStandardResource(name)) return true;
  at.invalid(name, "must be a standard resource type or fully qualified");
  return false;
}

export function validateContainerResourceName(name: string, at: Place): void {
  // The names that nearly every container uses.
  if (name === "cpu" || name === "memory") return;
  validateResourceName(name, at);
  if (!name.includes("/")) {
    if (!isStandardContainerResource(name)) at.invalid(name, "must be a standard resource for containers");
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    at.invalid(name, "doesn't follow extended resource name standard");
  }
}

export const isPodLevelResource = (name: string): boolean => name === "cpu" || name === "memory" || isHugePages(name);

export function validatePodResourceName(name: string, at: Place): void {
  if (validateResourceName(name, at) && !isPodLevelResource(name)) {
    at.notSupported(name, ["cpu", "hugepages-", "memory"]);
  }
}

export function validateQuotaResourceName(name: string, at: Place): void {
  validateResourceName(name, at);
  if (!name.includes("/") && !isStandardQuotaResource(name)) at.invalid(name, "must be a standard resource for quota");
}

export const isWholeAmount = (amount: string): boolean => quantityMilliValue(amount) % 1000 === 0;

/** Not negative, and whole for what is counted. `amount` is a canonical quantity. */
export function validateAmount(name: string, amount: string, at: Place): void {
  if (quantitySign(amount) < 0) at.invalid(amount, negativeMessage);
  if (name !== "cpu" && name !== "memory" && isIntegerResource(name) && !isWholeAmount(amount)) {
    at.invalid(amount, "must be an integer");
  }
}

/** Whole pages of the size in the name. */
export function isDivisibleHugePages(name: string, amount: string): boolean {
  const size = name.slice("hugepages-".length);
  try {
    return quantitySign(size) > 0 && isWholeAmount(size) && quantityValue(amount) % quantityValue(size) === 0;
  } catch (error) {
    if (error instanceof QuantityError) return false;
    throw error;
  }
}
