/** What a status says of a pod's devices: their health, and which claims were made for them. */
import { isDns1123Label, nameIsDnsSubdomain, quantitySign } from "#machinery";
import type { Place } from "../../place.ts";
import { isNativeResource } from "../../resource-names.ts";
import type { Container, ContainerStatus, PodSpec, PodStatus, ResourceStatus } from "../../types.d.ts";

export function validateResourceStatuses(status: PodStatus, spec: PodSpec, at: Place): void {
  validateExtendedClaim(status, spec, at.child("extendedResourceClaimStatus"));
  validateAllocatableClaims(status, spec, at.child("nodeAllocatableResourceClaimStatuses"));
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status;
  validateAllocated(containerStatuses, at.child("containerStatuses"), spec.containers);
  validateAllocated(initContainerStatuses, at.child("initContainerStatuses"), spec.initContainers);
  ephemeralContainerStatuses.forEach(({ allocatedResourcesStatus }, i) => {
    if (!allocatedResourcesStatus?.length) return;
    const place = at.child("ephemeralContainerStatuses").index(i).child("allocatedResourcesStatus");
    place.forbidden("must not be specified in container status");
  });
}

function validateAllocated(
  statuses: readonly ContainerStatus[],
  at: Place,
  containers: readonly Container[] | undefined,
): void {
  statuses.forEach(({ name, allocatedResourcesStatus }, i) => {
    const container = containers?.find((each) => each.name === name);
    allocatedResourcesStatus?.forEach((allocated, j) => {
      const place = at.index(i).child("allocatedResourcesStatus").index(j);
      if (container) validateAllocatedName(allocated.name ?? "", place.child("name"), container);
      validateHealth(allocated, place.child("resources"));
    });
  });
}

function validateAllocatedName(name: string, at: Place, { resources }: Container): void {
  if (name.startsWith("claim:")) {
    const claims = (resources?.claims ?? []).map(
      (each) => `claim:${each.name}${each.request ? `/${each.request}` : ""}`,
    );
    if (claims.includes(name)) return;
    at.invalid(
      name,
      "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty",
    );
  } else if (resources?.requests?.[name] === undefined) {
    at.invalid(name, "must match one of the container's resource requests");
  }
}

const healths = ["Healthy", "Unhealthy", "Unknown"];

function validateHealth({ resources = [] }: ResourceStatus, at: Place): void {
  const seen = new Set<string>();
  resources.forEach(({ health = "", resourceID }, i) => {
    if (!healths.includes(health)) at.index(i).child("health").notSupported(health, healths);
    if (seen.has(resourceID)) at.index(i).child("resourceID").duplicate(resourceID);
    seen.add(resourceID);
  });
}

/** The claim that the scheduler made for resources that a device driver offers. */
function validateExtendedClaim({ extendedResourceClaimStatus: status }: PodStatus, spec: PodSpec, at: Place): void {
  if (!status) return;
  const mappings = status.requestMappings ?? [];
  if (mappings.length === 0) at.child("requestMappings").required("at least one request mapping is required");
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const seen = new Set<string>();
  mappings.forEach(({ containerName, resourceName, requestName }, i) => {
    const place = at.child("requestMappings").index(i);
    const container = containers.find(({ name }) => name === containerName);
    if (!container) {
      const why = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
      place.child("containerName").invalid(containerName, why);
    } else if (container.resources?.requests?.[resourceName] === undefined) {
      const why =
        "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
      place.child("resourceName").invalid(resourceName, why);
    }
    at.child("requestName").invalidEach(requestName, isDns1123Label(requestName));
    const key = JSON.stringify([containerName, resourceName, requestName]);
    if (seen.has(key)) {
      place.child("containerName").duplicate(containerName);
      place.child("resourceName").duplicate(resourceName);
      place.child("requestName").duplicate(requestName);
    }
    seen.add(key);
  });
  const { resourceClaimName: claim } = status;
  if (!claim) at.child("resourceClaimName").required();
  else at.child("resourceClaimName").invalidEach(claim, nameIsDnsSubdomain(claim, false));
}

/** Claims for cpu, memory and the like. */
function validateAllocatableClaims(status: PodStatus, spec: PodSpec, at: Place): void {
  const known = new Set([
    ...(spec.resourceClaims ?? []).map(({ resourceClaimName }) => resourceClaimName),
    ...(status.resourceClaimStatuses ?? []).map(({ resourceClaimName }) => resourceClaimName),
  ]);
  status.nodeAllocatableResourceClaimStatuses?.forEach(({ resourceClaimName, containers, ...given }, i) => {
    const resources = given.resources ?? {}; // printed as null
    const place = at.index(i);
    if (!resourceClaimName) place.child("resourceClaimName").required("must not be empty");
    if (!known.has(resourceClaimName)) {
      place.child("resourceClaimName").invalid(resourceClaimName, "no mapping found in pod reference");
    }
    if (!containers?.length) place.child("containers").required("must not be empty");
    if (Object.keys(resources).length === 0) place.child("resources").required("must not be empty");
    for (const [name, amount] of Object.entries(resources)) {
      const key = place.child("resources").key(name);
      if (!isNativeResource(name)) key.invalid(name, "must be a node allocatable resource name");
      if (quantitySign(amount) < 0) key.invalid(amount, "must be non-negative");
    }
  });
}
