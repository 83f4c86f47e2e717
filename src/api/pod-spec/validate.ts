/**
 * A pod spec as a whole, in a pod or in a template: upstream's ValidatePodSpec, in its order.
 * Upstream looks at what the stored object tolerates first; we check strictly and look only when something is wrong.
 */
import { isDns1123Label, isQualifiedName, type Messages, nameIsDnsSubdomain, rangeMessage } from "#machinery";
import { Place } from "../place.ts";
import { validateLabels } from "../selectors.ts";
import type { PodResourceClaim, PodSpec } from "../types.d.ts";
import { validateAffinity } from "./affinity.ts";
import type { PodCheck, PodCheckOptions } from "./check.ts";
import { validateContainers, validateEphemeralContainers, validateInitContainers } from "./container.ts";
import { visitContainers } from "./containers-of.ts";
import { validateDnsConfig, validateDnsPolicy, validateHostAliases, validateHostnameOverride } from "./dns.ts";
import { validateFileKeyVolumes } from "./env.ts";
import { validateHostNetworkPorts } from "./ports.ts";
import { validateOverhead, validatePodResources } from "./resources.ts";
import { validatePodSecurity } from "./security-context.ts";
import { validateTolerations } from "./tolerations.ts";
import { validateTopologySpread } from "./topology-spread.ts";
import { validateVolumes } from "./volumes.ts";
import { validateHostProcess, validateSystem } from "./windows.ts";

export function validatePodSpec(spec: PodSpec, at: Place, options: PodCheckOptions): void {
  const gracePeriod = spec.terminationGracePeriodSeconds;
  if (gracePeriod === undefined) at.child("terminationGracePeriodSeconds").required();
  const check: PodCheck = {
    ...options,
    spec,
    volumes: validateVolumes(spec.volumes ?? [], at.child("volumes"), options),
    claimNames: new Set(spec.resourceClaims?.map(({ name }) => name).filter(Boolean)),
    hostUsers: spec.hostUsers ?? true,
  };
  if (spec.resourceClaims) validateResourceClaims(spec.resourceClaims, at.child("resourceClaims"), options);
  validateContainers(at.child("containers"), check);
  if (spec.initContainers) validateInitContainers(spec.initContainers, at.child("initContainers"), check);
  if (spec.ephemeralContainers) {
    validateEphemeralContainers(spec.ephemeralContainers, at.child("ephemeralContainers"), check);
  }
  if (spec.resources) validatePodResources(spec, at.child("resources"), check);
  validateHostNetworkPorts(spec, at, options);
  validateOneOf(spec.restartPolicy, at.child("restartPolicy"), restartPolicies);
  validateDnsPolicy(spec.dnsPolicy, at.child("dnsPolicy"));
  validateLabels(spec.nodeSelector, at.child("nodeSelector"));
  if (spec.securityContext) validatePodSecurity(spec.securityContext, at.child("securityContext"), check);
  validateScheduling(spec, at, check);
  validateHostProcess(spec, at);
  if (spec.hostUsers === false) validateUserNamespace(spec, at, check);
  validateHostnameOverride(spec, at.child("hostnameOverride"));
  validateNames(spec, at);
  validateRest(spec, at, check);
}

const restartPolicies = ["Always", "OnFailure", "Never"];
const preemptionPolicies = ["PreemptLowerPriority", "Never"];

function validateOneOf(value: string | undefined, at: Place, known: readonly string[]): void {
  if (!value) at.required();
  else if (!known.includes(value)) at.notSupported(value, known);
}

function validateScheduling(spec: PodSpec, at: Place, { tolerate }: PodCheck): void {
  if (spec.affinity) validateAffinity(spec.affinity, at.child("affinity"), tolerate);
  validateDnsConfig(spec, at.child("dnsConfig"));
  spec.readinessGates?.forEach(({ conditionType = "" }, i) => {
    const place = at.child("readinessGates").index(i).child("conditionType");
    place.invalidEach(conditionType, isQualifiedName(conditionType));
  });
  const gates = new Set<string>();
  spec.schedulingGates?.forEach(({ name = "" }, i) => {
    const place = at.child("schedulingGates").index(i);
    place.invalidEach(name, isQualifiedName(name));
    if (gates.has(name)) place.duplicate(name);
    gates.add(name);
  });
  const spread = spec.topologySpreadConstraints;
  if (spread) validateTopologySpread(spread, at.child("topologySpreadConstraints"), tolerate);
}

/** Own user namespaces don't go together with the host's other namespaces. */
function validateUserNamespace(spec: PodSpec, at: Place, { tolerate }: PodCheck): void {
  const why = "when `hostUsers` is false";
  if (spec.hostNetwork) at.child("hostNetwork").forbidden(why);
  if (spec.hostPID) at.child("HostPID").forbidden(why);
  if (spec.hostIPC) at.child("HostIPC").forbidden(why);
  if (tolerate.userNamespaceDevices) return;
  visitContainers(spec, at, (container, place) => {
    if (container.volumeDevices?.length) place.child("volumeDevices").forbidden(why);
  });
}

const isSubdomain = (name: string): Messages => nameIsDnsSubdomain(name, false);

function validateNames(spec: PodSpec, at: Place): void {
  const { serviceAccountName, nodeName, activeDeadlineSeconds: deadline, hostname, subdomain } = spec;
  if (serviceAccountName)
    at.child("serviceAccountName").invalidEach(serviceAccountName, isSubdomain(serviceAccountName));
  if (nodeName) at.child("nodeName").invalidEach(nodeName, isSubdomain(nodeName));
  if (deadline !== undefined && (deadline < 1 || deadline > int32Max)) {
    at.child("activeDeadlineSeconds").invalid(deadline, rangeMessage(1, int32Max));
  }
  if (hostname) at.child("hostname").invalidEach(hostname, isDns1123Label(hostname));
  if (subdomain) at.child("subdomain").invalidEach(subdomain, isDns1123Label(subdomain));
}

export const int32Max = 2 ** 31 - 1;

function validateRest(spec: PodSpec, at: Place, check: PodCheck): void {
  const { tolerations, hostAliases, priorityClassName, runtimeClassName, preemptionPolicy, overhead } = spec;
  if (tolerations) validateTolerations(tolerations, at.child("tolerations"));
  if (hostAliases) validateHostAliases(hostAliases, at.child("hostAliases"));
  if (priorityClassName) at.child("priorityClassName").invalidEach(priorityClassName, isSubdomain(priorityClassName));
  if (runtimeClassName !== undefined) {
    at.child("runtimeClassName").invalidEach(runtimeClassName, isSubdomain(runtimeClassName));
  }
  if (preemptionPolicy !== undefined) {
    validateOneOf(preemptionPolicy, at.child("preemptionPolicy"), preemptionPolicies);
  }
  if (overhead) validateOverhead(overhead, at.child("overhead"), check);
  validateSystem(spec, at);
  if (spec.schedulingGroup) {
    const place = at.child("schedulingGroup").child("podGroupName");
    const name = spec.schedulingGroup.podGroupName;
    if (name === undefined) place.invalid(undefined, "must specify one of: `podGroupName`");
    else place.invalidEach(name, isSubdomain(name));
  }
  validateFileKeyVolumes(spec, at);
}

function validateResourceClaims(claims: readonly PodResourceClaim[], at: Place, options: PodCheckOptions): void {
  if (options.isMirror) {
    if (claims.length > 0) Place.whole(at.errors).forbidden("static pods do not support resource claims");
    return;
  }
  const names = new Set<string>();
  claims.forEach((claim, i) => {
    const place = at.index(i);
    const { name = "", resourceClaimName, resourceClaimTemplateName } = claim;
    if (name === "") place.child("name").required();
    else if (names.has(name)) place.child("name").duplicate(name);
    else place.child("name").invalidEach(name, isDns1123Label(name));
    names.add(name);
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      place.invalid(claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      place.invalid(claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    }
    for (const field of ["resourceClaimName", "resourceClaimTemplateName"] as const) {
      const value = claim[field];
      if (value !== undefined) place.child(field).invalidEach(value, isSubdomain(value));
    }
  });
}
