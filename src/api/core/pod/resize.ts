/** Changing what running containers ask for: cpu and memory, of containers, of init containers, of the pod as a whole. */
import { semanticEqual } from "../../equality.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { mirrorAnnotation } from "../../pod-spec/annotations.ts";
import { isSidecar } from "../../pod-spec/containers-of.ts";
import { bumpGeneration, resetMetaForStatus } from "../../strategy.ts";
import type { Container, Pod, PodSpec, ResourceRequirements } from "../../types.d.ts";
import { computeQosClass, qosClassOf } from "./qos.ts";
import { specOf, validateChangedPod } from "./validate.ts";

export const resizeStrategy: Strategy<Pod> = {
  prepareForUpdate(pod, old) {
    keepAllButResources(pod, old);
    bumpGeneration(pod, old);
  },

  validateUpdate(pod, old) {
    const refused = refusal(old);
    if (refused) {
      const place = Place.whole();
      place.forbidden(refused);
      return place.errors;
    }
    const errors = validateChangedPod(pod, old);
    const at = Place.root("spec", errors);
    const spec = specOf(pod);
    const oldSpec = specOf(old);
    if (qosClassOf(old) !== computeQosClass(spec)) {
      at.invalid(pod.status?.qosClass ?? "", "Pod QOS Class may not change as a result of resizing");
    }
    if (!isSupportedByNode(old)) at.forbidden("Pod running on node without support for resize");
    const masked = { ...spec };
    maskPodLevel(masked, oldSpec, at);
    if (old.status?.nodeAllocatableResourceClaimStatuses?.length) {
      at.forbidden("pods with node allocatable resource claims cannot be resized");
    }
    if (!validateOrder(spec, oldSpec, at)) return errors;
    maskContainers(masked, oldSpec, at);
    if (errors.length === 0 && !semanticEqual(masked, oldSpec)) {
      at.forbidden("only cpu and memory resources are mutable");
    }
    return errors;
  },
};

const lists = ["initContainers", "containers"] as const;

/** Everything but resources is as it was; containers that were added or renamed are left for validation to refuse. */
function keepAllButResources(pod: Pod, old: Pod): void {
  const spec = specOf(pod);
  const oldSpec = specOf(old);
  if (lists.some((list) => (spec[list]?.length ?? 0) !== (oldSpec[list]?.length ?? 0))) return;
  const merge = (now: Container[] = [], before: Container[] = []): Container[] => {
    if (now.some(({ name }, i) => name !== before[i]?.name)) return now;
    return before.map((container, i) => withResourcesOf(container, now[i]));
  };
  const merged: PodSpec = { ...oldSpec, containers: merge(spec.containers, oldSpec.containers) };
  if (oldSpec.initContainers) merged.initContainers = merge(spec.initContainers, oldSpec.initContainers);
  if (spec.resources) merged.resources = spec.resources;
  else delete merged.resources;
  pod.spec = merged;
  if (old.status) pod.status = old.status;
  resetMetaForStatus(pod, old);
}

function withResourcesOf(container: Container, from: Container | undefined): Container {
  const result = { ...container };
  delete result.resources;
  delete result.resizePolicy;
  if (from?.resources) result.resources = from.resources;
  if (from?.resizePolicy) result.resizePolicy = from.resizePolicy;
  return result;
}

function refusal(old: Pod): string | undefined {
  if (old.metadata.annotations?.[mirrorAnnotation] !== undefined) return "static pods cannot be resized";
  return old.spec?.os?.name === "windows" ? "windows pods cannot be resized" : undefined;
}

/** Kubelets that can do it report the resources of running containers. */
function isSupportedByNode({ status }: Pod): boolean {
  const running = status?.containerStatuses?.find(({ state }) => state?.running);
  return !running || running.resources !== undefined;
}

function validateOrder(spec: PodSpec, old: PodSpec, at: Place): boolean {
  const before = at.errors.length;
  for (const list of ["containers", "initContainers"] as const) {
    const now = spec[list] ?? [];
    const known = old[list] ?? [];
    if (now.length !== known.length) at.child(list).forbidden(`${list} may not be added or removed on resize`);
    else {
      now.forEach(({ name }, i) => {
        if (name === known[i]?.name) return;
        at.child(list).index(i).child("name").forbidden(`${list} may not be renamed or reordered on resize`);
      });
    }
  }
  return at.errors.length === before;
}

type Amounts = Record<string, string>;

const isRemoved = (now: Amounts = {}, before: Amounts = {}): boolean =>
  Object.keys(before).some((name) => now[name] === undefined);

/** With the old cpu and memory, so that what is left to compare may not differ. */
function maskAmounts(now: Amounts = {}, before: Amounts = {}): Amounts {
  const masked = { ...now };
  for (const name of ["cpu", "memory"]) {
    delete masked[name];
    if (before[name] !== undefined) masked[name] = before[name];
  }
  return masked;
}

const maskResources = (now: ResourceRequirements = {}, before: ResourceRequirements = {}): ResourceRequirements => ({
  ...now,
  limits: maskAmounts(now.limits, before.limits),
  requests: maskAmounts(now.requests, before.requests),
});

function maskPodLevel(masked: PodSpec, old: PodSpec, at: Place): void {
  if (!masked.resources && !old.resources) return;
  const place = at.child("resources");
  if (old.resources && !masked.resources) {
    place.forbidden("pod-level resources cannot be removed");
    return;
  }
  for (const kind of ["requests", "limits"] as const) {
    if (!isRemoved(masked.resources?.[kind], old.resources?.[kind])) continue;
    place.child(kind).forbidden(`pod-level resource ${kind} cannot be removed`);
  }
  masked.resources = maskResources(masked.resources, old.resources);
  if (!semanticEqual(masked.resources, old.resources)) {
    at.forbidden("only cpu and memory resources are mutable at pod-level");
  }
}

function maskContainers(masked: PodSpec, old: PodSpec, at: Place): void {
  const mask = (container: Container, before: Container): Container => ({
    ...container,
    resources: maskResources(container.resources, before.resources),
  });
  masked.initContainers = (masked.initContainers ?? []).map((container, i) => {
    const before = old.initContainers?.[i] ?? container;
    const place = at.child("initContainers").index(i);
    validateChange(container, before, place.child("resources"));
    const result = mask(container, before);
    if (!semanticEqual(result, before))
      place.forbidden("only cpu and memory resources for init or sidecar containers are mutable");
    const restarts = container.resizePolicy?.some(({ restartPolicy }) => restartPolicy === "RestartContainer");
    if (restarts && !isSidecar(container) && !semanticEqual(container, before))
      place.forbidden("non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
    return result;
  });
  masked.containers = masked.containers.map((container, i) => {
    const before = old.containers[i] ?? container;
    validateChange(container, before, at.child("containers").index(i).child("resources"));
    const result = mask(container, before);
    if (!semanticEqual(result, before)) at.forbidden("only cpu and memory resources are mutable");
    return result;
  });
}

function validateChange({ resources: now = {} }: Container, { resources: before = {} }: Container, at: Place): void {
  for (const kind of ["requests", "limits"] as const) {
    if (isRemoved(now[kind], before[kind])) at.child(kind).forbidden(`resource ${kind} cannot be removed`);
  }
}
