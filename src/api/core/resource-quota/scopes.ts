/** Scopes of quotas: which objects count, and what of them can be counted. */

const podResources = ["pods"];
const podAmounts = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

/** By scope. */
const countable: Readonly<Record<string, readonly string[]>> = {
  Terminating: [...podResources, ...podAmounts],
  NotTerminating: [...podResources, ...podAmounts],
  // Such pods have no amounts.
  BestEffort: podResources,
  NotBestEffort: [...podResources, ...podAmounts],
  PriorityClass: [...podResources, ...podAmounts],
  CrossNamespacePodAffinity: [...podResources, ...podAmounts],
  VolumeAttributesClass: ["persistentvolumeclaims", "requests.storage"],
};

export const scopes: readonly string[] = Object.keys(countable);

/** An unknown scope has its own error. */
export const isValidForResource = (scope: string, name: string): boolean =>
  !Object.hasOwn(countable, scope) || (countable[scope]?.includes(name) ?? false);

/** An object has one of these scopes or not; there are no values. */
export const needsExists = (scope: string): boolean =>
  scopes.includes(scope) && scope !== "PriorityClass" && scope !== "VolumeAttributesClass";

export const conflictingScopes: readonly (readonly string[])[] = [
  ["BestEffort", "NotBestEffort"],
  ["Terminating", "NotTerminating"],
];
