/**
 * How much of a namespace's quota one object takes: counts of objects, amounts of pods, sizes of claims. Pure; the API server asks before
 * it stores an object, the quota controller when it counts what is there. Follows upstream's pkg/quota/v1/evaluator/core.
 */
import {
  addQuantities,
  type DeepReadonly,
  type GroupResource,
  type KubernetesObject,
  parseQuantity,
  type Quantity,
  quantityOf,
  quantityValue,
} from "#machinery";
import { aggregateLimits, aggregateRequests, type Sums } from "../pod-spec/aggregate.ts";
import { isExtendedResource, isHugePages } from "../resource-names.ts";
import type { PersistentVolumeClaim, Pod, PodSpec, Service } from "../types.d.ts";

export type QuotaUsage = ReadonlyMap<string, Quantity>;

/** Counted by their bare name as well, since before `count/…` existed. */
const oldCounts = new Set(["configmaps", "replicationcontrollers", "resourcequotas", "secrets"]);

export const countName = ({ group, resource }: GroupResource): string =>
  `count/${group === "" ? resource : `${resource}.${group}`}`;

const one = quantityOf(1);

export function quotaUsage(resource: GroupResource, object: DeepReadonly<KubernetesObject>, now: number): QuotaUsage {
  const usage = new Map<string, Quantity>([[countName(resource), one]]);
  if (resource.group !== "") return usage;
  // Each is asked with objects of its own kind.
  switch (resource.resource) {
    case "pods":
      addPod(usage, object as Pod, now);
      break;
    case "services":
      addService(usage, object as Service);
      break;
    case "persistentvolumeclaims":
      addClaim(usage, object as PersistentVolumeClaim);
      break;
    default:
      if (oldCounts.has(resource.resource)) usage.set(resource.resource, one);
  }
  return usage;
}

function addPod(usage: Map<string, Quantity>, pod: Pod, now: number): void {
  if (!isCharged(pod, now) || !pod.spec) return;
  usage.set("pods", one);
  for (const [name, amount] of computeUsage(pod.spec)) usage.set(name, amount);
}

/** Pods that are over, or should be, cost nothing any more. */
function isCharged({ status, metadata }: Pod, now: number): boolean {
  if (status?.phase === "Failed" || status?.phase === "Succeeded") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds: grace } = metadata;
  if (deletionTimestamp === undefined || grace === undefined) return true;
  return now <= Date.parse(deletionTimestamp) + grace * 1000;
}

function computeUsage(spec: PodSpec): Sums {
  const overhead = new Map(Object.entries(spec.overhead ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
  const requests = plus(aggregateRequests(spec), overhead);
  const limits = plus(aggregateLimits(spec), overhead);
  return namedUsage(requests, limits);
}

function plus(sums: Sums, more: Sums): Sums {
  const result: Sums = new Map(sums);
  for (const [name, amount] of more) {
    const known = result.get(name);
    result.set(name, known ? addQuantities(known, amount) : amount);
  }
  return result;
}

const bothNames = ["cpu", "memory", "ephemeral-storage"];

/** Requests go by two names, limits by one. */
export function namedUsage(requests: Sums, limits: Sums): Sums {
  const usage: Sums = new Map();
  for (const name of bothNames) {
    const request = requests.get(name);
    if (request) usage.set(name, request).set(`requests.${name}`, request);
    const limit = limits.get(name);
    if (limit) usage.set(`limits.${name}`, limit);
  }
  for (const [name, request] of requests) {
    if (isHugePages(name)) usage.set(name, request).set(`requests.${name}`, request);
    else if (isExtendedResource(name)) usage.set(`requests.${name}`, request);
  }
  return usage;
}

function addService(usage: Map<string, Quantity>, { spec }: Service): void {
  usage.set("services", one);
  const ports = spec?.ports?.length ?? 0;
  if (spec?.type === "NodePort") usage.set("services.nodeports", quantityOf(ports));
  if (spec?.type !== "LoadBalancer") return;
  usage.set("services.loadbalancers", one);
  // Without allocation only ports that somebody chose count.
  const allocates = spec.allocateLoadBalancerNodePorts !== false;
  const chosen = spec.ports?.filter(({ nodePort }) => nodePort).length ?? 0;
  usage.set("services.nodeports", quantityOf(allocates ? ports : chosen));
}

export const storageClassSuffix = ".storageclass.storage.k8s.io/";

function addClaim(usage: Map<string, Quantity>, { spec, metadata, status }: PersistentVolumeClaim): void {
  usage.set("persistentvolumeclaims", one);
  const storageClass =
    metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? spec?.storageClassName ?? "";
  if (storageClass !== "") usage.set(`${storageClass}${storageClassSuffix}persistentvolumeclaims`, one);
  const asked = spec?.resources?.requests?.storage;
  if (asked === undefined) return;
  const allocated = status?.allocatedResources?.storage;
  const bytes = Math.max(quantityValue(asked), allocated === undefined ? 0 : quantityValue(allocated));
  // The text as asked for is kept when it decides.
  const size = bytes === quantityValue(asked) ? parseQuantity(asked) : quantityOf(bytes, "BinarySI");
  usage.set("requests.storage", size);
  if (storageClass !== "") usage.set(`${storageClass}${storageClassSuffix}requests.storage`, size);
}
