/** Which quotas an object counts for, and for what. Pure. Follows upstream's generic.Matches and the pod evaluator's scopes. */
import { type DeepReadonly, type GroupResource, type KubernetesObject, parseQuantity } from "#machinery";
import { isNativeResource } from "../resource-names.ts";
import { computeQosClass } from "../core/pod/qos.ts";
import type {
  Container,
  PersistentVolumeClaim,
  Pod,
  PodAffinityTerm,
  ResourceQuota,
  ResourceQuotaSpec,
} from "../types.d.ts";
import { countName, deviceClassSuffix, namedUsage, storageClassSuffix } from "./usage.ts";

const podNames = new Set([
  "pods",
  "cpu",
  "memory",
  "ephemeral-storage",
  ...["cpu", "memory", "ephemeral-storage"].flatMap((name) => [`requests.${name}`, `limits.${name}`]),
]);
const namesOf: Readonly<Record<string, readonly string[]>> = {
  services: ["services", "services.nodeports", "services.loadbalancers"],
  configmaps: ["configmaps"],
  replicationcontrollers: ["replicationcontrollers"],
  resourcequotas: ["resourcequotas"],
  secrets: ["secrets"],
};
const claimNames = ["persistentvolumeclaims", "requests.storage"];

/** Those of the quota's resource names that objects of this resource are counted by. */
export function countedNames(resource: GroupResource, names: readonly string[]): string[] {
  const count = countName(resource);
  const isClaims = count === "count/resourceclaims.resource.k8s.io";
  return names.filter(
    (name) =>
      name === count ||
      (resource.group === "" && isOwnName(resource.resource, name)) ||
      (isClaims && name.endsWith(deviceClassSuffix)),
  );
}

function isOwnName(resource: string, name: string): boolean {
  if (resource === "pods") {
    const huge = name.startsWith("hugepages-") || name.startsWith("requests.hugepages-");
    return podNames.has(name) || huge || (name.startsWith("requests.") && !isNativeResource(name));
  }
  if (resource === "persistentvolumeclaims") {
    return claimNames.some((each) => name === each || name.endsWith(storageClassSuffix + each));
  }
  return namesOf[resource]?.includes(name) ?? false;
}

interface ScopeRequirement {
  readonly scopeName: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

export function quotaMatches(
  { spec, status }: DeepReadonly<ResourceQuota>,
  resource: GroupResource,
  object: DeepReadonly<KubernetesObject>,
): boolean {
  const names = Object.keys(status?.hard ?? spec?.hard ?? {});
  if (countedNames(resource, names).length === 0) return false;
  return requirementsOf(spec ?? {}).every((requirement) => inScope(requirement, resource, object));
}

function requirementsOf({ scopes = [], scopeSelector }: DeepReadonly<ResourceQuotaSpec>): readonly ScopeRequirement[] {
  return [
    ...scopes.map((scopeName) => ({ scopeName, operator: "Exists" })),
    ...(scopeSelector?.matchExpressions ?? []),
  ];
}

function inScope(
  requirement: ScopeRequirement,
  { group, resource }: GroupResource,
  object: DeepReadonly<KubernetesObject>,
): boolean {
  if (group !== "") return false;
  if (resource === "pods") return podInScope(requirement, object as Pod); // objects of the resource
  if (resource !== "persistentvolumeclaims" || requirement.scopeName !== "VolumeAttributesClass") return false;
  const { spec, status } = object as PersistentVolumeClaim;
  const classes = new Set(
    [
      spec?.volumeAttributesClassName,
      status?.currentVolumeAttributesClassName,
      status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
    ].filter((name) => name),
  );
  return classes.size === 0
    ? hasValue(requirement, undefined)
    : [...classes].some((name) => hasValue(requirement, name));
}

function podInScope(requirement: ScopeRequirement, { spec = {} as NonNullable<Pod["spec"]> }: Pod): boolean {
  switch (requirement.scopeName) {
    case "Terminating":
      return (spec.activeDeadlineSeconds ?? -1) >= 0;
    case "NotTerminating":
      return (spec.activeDeadlineSeconds ?? -1) < 0;
    case "BestEffort":
      return computeQosClass(spec) === "BestEffort";
    case "NotBestEffort":
      return computeQosClass(spec) !== "BestEffort";
    case "PriorityClass":
      return hasValue(requirement, spec.priorityClassName);
    case "CrossNamespacePodAffinity":
      return affinityTerms(spec).some(({ namespaces, namespaceSelector }) => namespaces?.length || namespaceSelector);
    default:
      return false;
  }
}

function hasValue({ operator, values = [] }: ScopeRequirement, value: string | undefined): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "DoesNotExist":
      return !value;
    default:
      return Boolean(value);
  }
}

function affinityTerms({ affinity }: NonNullable<Pod["spec"]>): PodAffinityTerm[] {
  const both = [affinity?.podAffinity, affinity?.podAntiAffinity];
  return both.flatMap((each) => [
    ...(each?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(each?.preferredDuringSchedulingIgnoredDuringExecution?.map(({ podAffinityTerm }) => podAffinityTerm) ?? []),
  ]);
}

/** Every container of a pod must name these when a quota counts them. */
const demanded = new Set(["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]);

/**
 * What containers leave out though a quota counts it, in order: "limits.cpu for: app,proxy". Nothing is missing where the pod
 * says it for all of them.
 */
export function missingAmounts(names: readonly string[], { spec }: DeepReadonly<Pod>): string[] {
  const { requests, limits } = spec?.resources ?? {};
  if ([requests, limits].some((each) => Object.keys(each ?? {}).some(isPodLevelResource))) return [];
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map((container) => ({
    name: container.name ?? "",
    named: namedUsage(amounts(container, "requests"), amounts(container, "limits")),
  }));
  const wanted = names.filter((name) => demanded.has(name)).sort();
  return wanted.flatMap((name) => {
    const without = new Set(containers.filter(({ named }) => !named.has(name)).map((each) => each.name));
    return without.size > 0 ? [`${name} for: ${[...without].sort().join()}`] : [];
  });
}

const isPodLevelResource = (name: string): boolean =>
  name === "cpu" || name === "memory" || name.startsWith("hugepages-");

const amounts = (container: DeepReadonly<Container>, kind: "requests" | "limits") =>
  new Map(Object.entries(container.resources?.[kind] ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
