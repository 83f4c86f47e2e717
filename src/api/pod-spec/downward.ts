/** References to fields and resources of the pod itself: env valueFrom and downwardAPI files. */
import { isQualifiedName, quantitySign } from "#machinery";
import type { Place } from "../place.ts";
import type { ObjectFieldSelector, ResourceFieldSelector } from "../types.d.ts";

/** Fields that the API can convert; which of them may be used depends on the place. */
const convertible: ReadonlySet<string> = new Set([
  "metadata.annotations",
  "metadata.labels",
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.restartPolicy",
  "spec.serviceAccountName",
  "spec.schedulerName",
  "status.phase",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
]);

/** `metadata.labels['x']`: path and key. */
const subscripted = /^(.+?)\['(.*)'\]$/s;

export function validateFieldRef(ref: ObjectFieldSelector, at: Place, supported: ReadonlySet<string>): void {
  if (!ref.apiVersion) at.child("apiVersion").required();
  else if (!ref.fieldPath) at.child("fieldPath").required();
  else {
    const refusal =
      ref.apiVersion === "v1"
        ? validateField(ref.fieldPath, at, supported)
        : `unsupported pod version: ${ref.apiVersion}`;
    if (refusal) at.child("fieldPath").invalid(ref.fieldPath, `error converting fieldPath: ${refusal}`);
  }
}

/** Answers why the API doesn't know the field at all. */
function validateField(fieldPath: string, at: Place, supported: ReadonlySet<string>): string | undefined {
  const [, path, key] = subscripted.exec(fieldPath) ?? [];
  if (path !== undefined && key !== undefined) {
    if (path === "metadata.annotations") at.invalidEach(key.toLowerCase(), isQualifiedName(key.toLowerCase()));
    else if (path === "metadata.labels") at.invalidEach(key, isQualifiedName(key));
    else return `field label does not support subscript: ${fieldPath}`;
    return undefined;
  }
  // Clients of the first v1 say spec.host.
  const field = fieldPath === "spec.host" ? "spec.nodeName" : fieldPath;
  if (!convertible.has(field)) return `field label not supported: ${field}`;
  if (!supported.has(field)) at.child("fieldPath").notSupported(field, [...supported].sort());
  return undefined;
}

const resources = [
  "limits.cpu",
  "limits.ephemeral-storage",
  "limits.memory",
  "requests.cpu",
  "requests.ephemeral-storage",
  "requests.memory",
];
const hugePages = /^(requests|limits)\.hugepages-/;

export function validateResourceFieldRef(
  ref: ResourceFieldSelector,
  at: Place,
  { inVolume }: { inVolume: boolean },
): void {
  const { resource = "" } = ref;
  if (inVolume && !ref.containerName) at.child("containerName").required();
  else if (resource === "") at.child("resource").required();
  else if (!resources.includes(resource) && !hugePages.test(resource)) {
    at.child("resource").notSupported(resource, resources);
  }
  if (ref.divisor !== undefined) validateDivisor(ref.divisor, at.child("divisor"), resource);
}

const cpuDivisors = ["1m", "1"];
const byteDivisors = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

function validateDivisor(divisor: string, at: Place, resource: string): void {
  if (quantitySign(divisor) === 0) return;
  if (resource.endsWith(".cpu")) {
    if (!cpuDivisors.includes(divisor)) {
      at.invalid(resource, "only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  const kind = resource.endsWith(".memory")
    ? "memory"
    : resource.endsWith(".ephemeral-storage")
      ? "local ephemeral storage"
      : hugePages.test(resource)
        ? "hugepages"
        : undefined;
  if (kind && !byteDivisors.includes(divisor)) {
    at.invalid(resource, `only divisor's values ${byteDivisors.join(", ")} are supported with the ${kind} resource`);
  }
}
