/** What a ResourceQuota counts, and how much of it is used. Pure; how much one object takes is `#api`'s to say. */
import { quotaMatches, quotaUsage, type ResourceQuota, type ResourceQuotaStatus } from "#api";
import {
  addQuantities,
  compareQuantities,
  type DeepReadonly,
  type GroupResource,
  type KubernetesObject,
  printQuantity,
  quantityOf,
  type Quantity,
} from "#machinery";
import type { Seen } from "../lib/objects.ts";

const counted = [
  "pods",
  "services",
  "persistentvolumeclaims",
  "configmaps",
  "replicationcontrollers",
  "resourcequotas",
  "secrets",
];

/** The resources whose objects a quota with these names counts. */
export function countedResources(names: readonly string[]): GroupResource[] {
  const found = new Map<string, GroupResource>();
  for (const name of names) {
    const resource = resourceOf(name);
    if (resource) found.set(`${resource.group}/${resource.resource}`, resource);
  }
  return [...found.values()];
}

function resourceOf(name: string): GroupResource | undefined {
  if (name.startsWith("count/")) {
    const [, plural = "", group = ""] = /^count\/([^.]+)(?:\.(.+))?$/.exec(name) ?? [];
    return plural === "" ? undefined : { group, resource: plural };
  }
  if (name.startsWith("services")) return { group: "", resource: "services" };
  if (name === "requests.storage" || name.endsWith("persistentvolumeclaims") || name.endsWith("/requests.storage")) {
    return { group: "", resource: "persistentvolumeclaims" };
  }
  if (name.endsWith(".deviceclass.resource.k8s.io/devices"))
    return { group: "resource.k8s.io", resource: "resourceclaims" };
  // Amounts of cpu, memory and everything else that containers ask for.
  return { group: "", resource: counted.includes(name) ? name : "pods" };
}

export interface CountedObjects {
  readonly resource: GroupResource;
  readonly objects: readonly DeepReadonly<KubernetesObject>[];
}

export function quotaStatus(
  quota: Seen<ResourceQuota>,
  content: readonly CountedObjects[],
  now: number,
): ResourceQuotaStatus {
  const hard = { ...quota.spec?.hard };
  const used = new Map<string, Quantity>();
  const known = new Set(content.map(({ resource }) => `${resource.group}/${resource.resource}`));
  for (const name of Object.keys(hard)) {
    const resource = resourceOf(name);
    if (resource && known.has(`${resource.group}/${resource.resource}`)) used.set(name, quantityOf(0));
  }
  const asSpecified: Seen<ResourceQuota> = { metadata: quota.metadata, ...(quota.spec ? { spec: quota.spec } : {}) };
  for (const { resource, objects } of content) {
    for (const object of objects) {
      if (!quotaMatches(asSpecified, resource, object)) continue;
      for (const [name, amount] of quotaUsage(resource, object, now)) {
        const sum = used.get(name);
        if (sum) used.set(name, addQuantities(sum, amount));
      }
    }
  }
  // What nobody can count just now stays as it was.
  const kept = Object.entries(quota.status?.used ?? {}).filter(([name]) => name in hard && !used.has(name));
  return {
    hard,
    used: {
      ...Object.fromEntries(kept),
      ...Object.fromEntries([...used].map(([name, sum]) => [name, printQuantity(sum)])),
    },
  };
}

/** The same amounts, however written. */
export function isCurrent(quota: Seen<ResourceQuota>, { hard = {}, used = {} }: ResourceQuotaStatus): boolean {
  const isSame = (a: Readonly<Record<string, string>> | undefined, b: Readonly<Record<string, string>>) =>
    a !== undefined &&
    Object.keys(a).length === Object.keys(b).length &&
    Object.entries(b).every(([name, amount]) => compareQuantities(a[name] ?? "-1", amount) === 0);
  return isSame(quota.status?.hard, hard) && isSame(quota.status?.used, used);
}
