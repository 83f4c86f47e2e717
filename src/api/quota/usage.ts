/**
 * How much of a namespace's quota one object takes: counts of objects, amounts of pods, sizes of claims. Pure; the API server asks before
 * it stores an object, the quota controller when it counts what is there. Follows upstream's pkg/quota/v1/evaluator/core.
 */
import {
  addQuantities,
  compareQuantities,
  type DeepReadonly,
  type GroupResource,
  type KubernetesObject,
  parseQuantity,
  type Quantity,
  quantityOf,
  quantityValue,
} from "#machinery";
import { podSums, type Sums } from "../pod-spec/aggregate.ts";
import { isExtendedResource, isHugePages } from "../resource-names.ts";
import type { Container, PersistentVolumeClaim, Pod, PodSpec, ResourceClaim, Service } from "../types.d.ts";

export type QuotaUsage = ReadonlyMap<string, Quantity>;

/** Counted by their bare name as well, since before `count/…` existed. */
const oldCounts = new Set(["configmaps", "replicationcontrollers", "resourcequotas", "secrets"]);

export const countName = ({ group, resource }: GroupResource): string =>
  `count/${group === "" ? resource : `${resource}.${group}`}`;

const one = quantityOf(1);

export function quotaUsage(resource: GroupResource, object: DeepReadonly<KubernetesObject>, now: number): QuotaUsage {
  const usage = new Map<string, Quantity>([[countName(resource), one]]);
  if (resource.group === "resource.k8s.io" && resource.resource === "resourceclaims")
    addDevices(usage, object as ResourceClaim);
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
  for (const [name, amount] of computeUsage(pod, pod.spec)) usage.set(name, amount);
}

/** Pods that are over, or should be, cost nothing any more. */
function isCharged({ status, metadata }: Pod, now: number): boolean {
  if (status?.phase === "Failed" || status?.phase === "Succeeded") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds: grace } = metadata;
  if (deletionTimestamp === undefined || grace === undefined) return true;
  return now <= Date.parse(deletionTimestamp) + grace * 1000;
}

function computeUsage({ status }: Pod, spec: PodSpec): Sums {
  const actual = withActual(spec, status);
  return namedUsage(podSums(actual, "requests"), podSums(actual, "limits"));
}

/** While a running container is resized the larger amounts count; what is impossible doesn't. */
function withActual(spec: PodSpec, status: Pod["status"]): PodSpec {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  if (!statuses.some(({ resources }) => resources)) return spec;
  const pending = status?.conditions?.find(({ type }) => type === "PodResizePending");
  const isInfeasible = pending?.reason === "Infeasible";
  const actual = (container: Container): Container => {
    const found = statuses.find(({ name }) => name === container.name);
    if (!found?.resources) return container;
    const { requests, limits } = isInfeasible ? {} : (container.resources ?? {});
    const larger = (...lists: (Readonly<Record<string, string>> | undefined)[]) => {
      const most: Record<string, string> = {};
      for (const [name, text] of lists.flatMap((list) => Object.entries(list ?? {})))
        if (most[name] === undefined || compareQuantities(text, most[name]) > 0) most[name] = text;
      return most;
    };
    return {
      ...container,
      resources: {
        requests: larger(requests, found.resources.requests, found.allocatedResources),
        limits: larger(limits, found.resources.limits),
      },
    };
  };
  const { containers, initContainers } = spec;
  return {
    ...spec,
    containers: containers.map(actual),
    ...(initContainers
      ? { initContainers: initContainers.map((each) => (each.restartPolicy === "Always" ? actual(each) : each)) }
      : {}),
  };
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

export const deviceClassSuffix = ".deviceclass.resource.k8s.io/devices";
/** All that match: as many as one claim can hold. */
const devicesMax = 32;

/** By class; of alternatives the one that takes most. */
function addDevices(usage: Map<string, Quantity>, { spec }: ResourceClaim): void {
  for (const { exactly, firstAvailable } of spec?.devices?.requests ?? []) {
    const most = new Map<string, number>();
    for (const { deviceClassName, allocationMode, count = 0 } of firstAvailable ?? (exactly ? [exactly] : [])) {
      const name = `${deviceClassName}${deviceClassSuffix}`;
      const devices = allocationMode === "ExactCount" ? count : allocationMode === "All" ? devicesMax : 0;
      most.set(name, Math.max(most.get(name) ?? 0, devices));
    }
    for (const [name, devices] of most)
      usage.set(name, addQuantities(usage.get(name) ?? quantityOf(0), quantityOf(devices)));
  }
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
