/** Which faults a stored pod spec already has; only asked when its update has errors. */
import { isLabelValue } from "#machinery";
import { Place } from "../place.ts";
import { isDivisibleHugePages, isHugePages } from "../resource-names.ts";
import { hasInvalidSelectorValue, validateLabelSelector } from "../selectors.ts";
import type { PodSpec, TopologySpreadConstraint } from "../types.d.ts";
import { isDeletionCost } from "./annotations.ts";
import type { Tolerance } from "./check.ts";
import { containersOf, isSidecar } from "./containers-of.ts";
import { validateUnreservedPath } from "./paths.ts";
import { namespaceOfSysctl } from "./security-context.ts";

const required = "requiredDuringSchedulingIgnoredDuringExecution";
const preferred = "preferredDuringSchedulingIgnoredDuringExecution";

export function toleranceOf(spec: PodSpec, annotations: Readonly<Record<string, string>> = {}): Tolerance {
  const cost = annotations["controller.kubernetes.io/pod-deletion-cost"];
  return {
    deletionCost: cost !== undefined && !isDeletionCost(cost),
    selectorValues: hasInvalidAffinityValue(spec),
    nodeAffinityValues: hasInvalidNodeValue(spec),
    spreadSelectors: spec.topologySpreadConstraints?.some(hasInvalidSpreadSelector) ?? false,
    partialHugePages: hasPartialHugePages(spec),
    tokenPaths: hasReservedTokenPath(spec),
    hostSysctls: hasHostSysctl(spec),
    emptyImageReferences: spec.volumes?.some(({ image }) => image && !image.reference) ?? false,
    userNamespaceDevices: spec.hostUsers === false && containersOf(spec).some((each) => each.volumeDevices?.length),
    initResizePolicies:
      spec.initContainers?.some(
        (each) =>
          !isSidecar(each) && each.resizePolicy?.some(({ restartPolicy }) => restartPolicy === "RestartContainer"),
      ) ?? false,
  };
}

function hasInvalidAffinityValue({ affinity }: PodSpec): boolean {
  for (const each of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    const terms = [...(each?.[required] ?? []), ...(each?.[preferred] ?? []).map((term) => term.podAffinityTerm)];
    const isInvalid = terms.some(
      (term) => hasInvalidSelectorValue(term.labelSelector) || hasInvalidSelectorValue(term.namespaceSelector),
    );
    if (isInvalid) return true;
  }
  return false;
}

function hasInvalidNodeValue({ affinity }: PodSpec): boolean {
  const terms = affinity?.nodeAffinity?.[required]?.nodeSelectorTerms ?? [];
  return terms.some((term) =>
    term.matchExpressions?.some((each) => each.values?.some((value) => isLabelValue(value).length > 0)),
  );
}

function hasInvalidSpreadSelector({ labelSelector }: TopologySpreadConstraint): boolean {
  const place = Place.root("");
  validateLabelSelector(labelSelector, place);
  return place.errors.length > 0;
}

function hasPartialHugePages(spec: PodSpec): boolean {
  const isPartial = (amounts: Record<string, string> = {}) =>
    Object.entries(amounts).some(([name, amount]) => isHugePages(name) && !isDivisibleHugePages(name, amount));
  return (
    isPartial(spec.overhead) ||
    containersOf(spec).some(({ resources }) => isPartial(resources?.limits) || isPartial(resources?.requests))
  );
}

function hasReservedTokenPath(spec: PodSpec): boolean {
  const place = Place.root("");
  for (const { projected } of spec.volumes ?? []) {
    for (const { serviceAccountToken } of projected?.sources ?? []) {
      if (serviceAccountToken) validateUnreservedPath(serviceAccountToken.path, place);
    }
  }
  return place.errors.length > 0;
}

function hasHostSysctl({ securityContext, hostNetwork, hostIPC }: PodSpec): boolean {
  const namespaces = securityContext?.sysctls?.map(({ name }) => namespaceOfSysctl(name)) ?? [];
  return (hostNetwork === true && namespaces.includes("net")) || (hostIPC === true && namespaces.includes("ipc"));
}
