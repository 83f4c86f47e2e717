/** A service by itself: upstream's ValidateService, in its order. What is allocated is checked when it is allocated. */
import { type FieldError, isDns1123Subdomain, isPortNumber, isQualifiedName } from "#machinery";
import { validateCidr, validateIp, validateNonSpecialIp } from "../../ip.ts";
import { Place } from "../../place.ts";
import { validateLabels } from "../../selectors.ts";
import type { Service, ServiceSpec } from "../../types.d.ts";
import { validateAddresses } from "./families.ts";
import { validatePortNumbers, validateServicePorts } from "./ports.ts";
import { isExternal, isHeadless, needsHealthCheckPort, specOf } from "./rules.ts";

const affinities = ["ClientIP", "None"];
const types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const trafficPolicies = ["Cluster", "Local"];
const distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const hintsAnnotation = "service.kubernetes.io/topology-aware-hints";
const topologyAnnotation = "service.kubernetes.io/topology-mode";
const sourceRangesAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";

export function validateService(service: Service, errors: FieldError[] = []): FieldError[] {
  const spec = specOf(service);
  const { annotations = {} } = service.metadata;
  const annotationsAt = Place.root("metadata", errors).child("annotations");
  const at = Place.root("spec", errors);
  const mode = annotations[topologyAnnotation];
  const hints = annotations[hintsAnnotation];
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    annotationsAt
      .key(topologyAnnotation)
      .invalid(mode, `must match annotations[${hintsAnnotation}] when both are specified`);
  }
  validateType(spec, at);
  validateServicePorts(spec, at.child("ports"));
  validateLabels(spec.selector, at.child("selector"));
  validateAffinity(spec, at);
  validateAddresses(spec, at);
  spec.externalIPs?.forEach((address, i) => {
    const place = at.child("externalIPs").index(i);
    if (validateIp(address, place)) validateNonSpecialIp(address, place);
  });
  const { type = "" } = spec;
  if (type === "") at.child("type").required();
  else if (!types.includes(type)) at.child("type").notSupported(type, types);
  validatePortNumbers(spec, at.child("ports"));
  validateSourceRanges(spec, at, { annotation: annotations[sourceRangesAnnotation], annotationsAt });
  validateBalancer(spec, at);
  validateTraffic(spec, at);
  return errors;
}

function validateType(spec: ServiceSpec, at: Place): void {
  const { type, ports = [], externalName = "" } = spec;
  if (ports.length === 0 && !isHeadless(spec) && type !== "ExternalName") at.child("ports").required();
  if ((type === "LoadBalancer" || type === "NodePort") && isHeadless(spec)) {
    at.child("clusterIPs").index(0).invalid("None", `may not be set to 'None' for ${type} services`);
  }
  if (type !== "ExternalName") return;
  const why = "may not be set for ExternalName services";
  if (spec.clusterIPs?.length) at.child("clusterIPs").forbidden(why);
  if (spec.ipFamilies?.length) at.child("ipFamilies").forbidden(why);
  if (spec.ipFamilyPolicy !== undefined) at.child("ipFamilyPolicy").forbidden(why);
  const domain = externalName.replace(/\.$/, "");
  if (domain === "") at.child("externalName").required();
  else at.child("externalName").invalidEach(domain, isDns1123Subdomain(domain));
}

/** A day. */
const affinitySecondsMax = 86400;

function validateAffinity({ sessionAffinity = "", sessionAffinityConfig: config }: ServiceSpec, at: Place): void {
  if (sessionAffinity === "") at.child("sessionAffinity").required();
  else if (!affinities.includes(sessionAffinity)) at.child("sessionAffinity").notSupported(sessionAffinity, affinities);
  const place = at.child("sessionAffinityConfig");
  if (sessionAffinity === "None" && config) place.forbidden("must not be set when session affinity is None");
  if (sessionAffinity !== "ClientIP") return;
  const why = "when session affinity type is ClientIP";
  const seconds = config?.clientIP?.timeoutSeconds;
  if (!config) place.required(why);
  else if (!config.clientIP) place.child("clientIP").required(why);
  else if (seconds === undefined) place.child("clientIP").child("timeoutSeconds").required(why);
  else if (seconds <= 0 || seconds > affinitySecondsMax) {
    const range = `must be greater than 0 and less than ${affinitySecondsMax}`;
    place.child("clientIP").child("timeoutSeconds").invalid(seconds, range);
  }
}

const forBalancers = "may only be used when `type` is 'LoadBalancer'";

function validateSourceRanges(
  { type, loadBalancerSourceRanges: ranges = [] }: ServiceSpec,
  at: Place,
  { annotation, annotationsAt }: { annotation: string | undefined; annotationsAt: Place },
): void {
  if (ranges.length > 0) {
    const place = at.child("LoadBalancerSourceRanges");
    if (type !== "LoadBalancer") place.forbidden(forBalancers);
    ranges.forEach((range, i) => {
      validateCidr(range.trim(), place.index(i));
    });
  } else if (annotation !== undefined) {
    const place = annotationsAt.key(sourceRangesAnnotation);
    if (type !== "LoadBalancer") place.forbidden(forBalancers);
    if (annotation.trim() !== "") for (const range of annotation.split(",")) validateCidr(range.trim(), place);
  }
}

function validateBalancer(spec: ServiceSpec, at: Place): void {
  const { type, allocateLoadBalancerNodePorts: allocate, loadBalancerClass: balancerClass } = spec;
  const isBalancer = type === "LoadBalancer";
  if (allocate !== undefined && !isBalancer) at.child("allocateLoadBalancerNodePorts").forbidden(forBalancers);
  if (allocate === undefined && isBalancer) Place.root("allocateLoadBalancerNodePorts", at.errors).required();
  if (balancerClass === undefined) return;
  const place = at.child("loadBalancerClass");
  if (isBalancer) place.invalidEach(balancerClass, isQualifiedName(balancerClass));
  else place.forbidden(forBalancers);
}

function validateTraffic(spec: ServiceSpec, at: Place): void {
  const { type = "", externalTrafficPolicy: outer = "", internalTrafficPolicy: inner, healthCheckNodePort = 0 } = spec;
  const outerAt = at.child("externalTrafficPolicy");
  if (!isExternal(spec)) {
    if (outer !== "") outerAt.invalid(outer, "may only be set for externally-accessible services");
  } else if (outer === "") outerAt.required();
  else if (!trafficPolicies.includes(outer)) outerAt.notSupported(outer, trafficPolicies);

  const healthAt = at.child("healthCheckNodePort");
  if (healthCheckNodePort !== 0) {
    if (needsHealthCheckPort(spec)) healthAt.invalidEach(healthCheckNodePort, isPortNumber(healthCheckNodePort));
    else {
      const why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
      healthAt.invalid(healthCheckNodePort, why);
    }
  }
  const innerAt = at.child("internalTrafficPolicy");
  if (inner === undefined) {
    if (type === "NodePort" || type === "LoadBalancer" || type === "ClusterIP") innerAt.required();
  } else if (!trafficPolicies.includes(inner)) innerAt.notSupported(inner, trafficPolicies);

  const { trafficDistribution } = spec;
  if (trafficDistribution !== undefined && !distributions.includes(trafficDistribution)) {
    at.child("trafficDistribution").notSupported(trafficDistribution, distributions);
  }
}
