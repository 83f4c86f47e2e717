/**
 * Updates of services: what the client left out but the server had allocated is kept, what a new type has no use for is dropped
 * if the client didn't touch it. Follows patchAllocatedValues, normalizeClusterIPs and dropTypeDependentFields upstream.
 */
import type { ServicePort, ServiceSpec } from "../../types.d.ts";
import { isExternal, needsClusterIp, needsHealthCheckPort, needsNodePort, sameTexts } from "./rules.ts";

/** clusterIP is the first of clusterIPs; old clients only send the one. */
export function shareClusterIp(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  const { clusterIP = "", clusterIPs = [] } = spec;
  if (!old) {
    if (clusterIP !== "" && clusterIPs.length === 0) spec.clusterIPs = [clusterIP];
    return;
  }
  const before = old.clusterIP ?? "";
  if (clusterIPs.length === 0 && old.clusterIPs?.length && before === clusterIP) spec.clusterIPs = [...old.clusterIPs];
  if (before === clusterIP || !sameTexts(old.clusterIPs, spec.clusterIPs)) return;
  if (clusterIP === "") delete spec.clusterIPs;
  else spec.clusterIPs = [clusterIP];
}

/** So that a manifest without allocated values can be applied again and again. */
export function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIp(old) && needsClusterIp(spec)) {
    if (!spec.clusterIP && old.clusterIP) spec.clusterIP = old.clusterIP;
    if (!spec.clusterIPs?.length && old.clusterIPs) spec.clusterIPs = [...old.clusterIPs];
  }
  if (needsNodePort(old) && needsNodePort(spec)) keepNodePorts(spec.ports ?? [], old.ports ?? []);
  if (needsHealthCheckPort(old) && needsHealthCheckPort(spec) && !spec.healthCheckNodePort && old.healthCheckNodePort) {
    spec.healthCheckNodePort = old.healthCheckNodePort;
  }
}

function keepNodePorts(ports: readonly ServicePort[], old: readonly ServicePort[]): void {
  const taken = new Set(ports.map(({ nodePort }) => nodePort));
  const known = new Map(old.map(({ name = "", nodePort }) => [name, nodePort]));
  for (const port of ports) {
    if (port.nodePort) continue;
    const before = known.get(port.name ?? "");
    if (before && !taken.has(before)) port.nodePort = before;
  }
}

/** Only what doesn't apply any more, may have been set by the server, and was not changed in the same update. */
export function dropUnused(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIp(old) && !needsClusterIp(spec)) {
    if (spec.clusterIP === old.clusterIP && sameTexts(spec.clusterIPs, old.clusterIPs)) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    if (sameTexts(spec.ipFamilies, old.ipFamilies)) delete spec.ipFamilies;
    if (spec.ipFamilyPolicy === old.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  }
  if (needsNodePort(old) && !needsNodePort(spec)) {
    const known = new Set(old.ports?.map(({ nodePort }) => nodePort));
    if (spec.ports?.every(({ nodePort }) => !nodePort || known.has(nodePort))) {
      for (const port of spec.ports) delete port.nodePort;
    }
  }
  const drop = (field: keyof ServiceSpec, isUsed: (spec: ServiceSpec) => boolean) => {
    if (isUsed(old) && !isUsed(spec) && spec[field] === old[field]) delete spec[field];
  };
  const isBalancer = ({ type }: ServiceSpec) => type === "LoadBalancer";
  drop("healthCheckNodePort", needsHealthCheckPort);
  drop("allocateLoadBalancerNodePorts", isBalancer);
  drop("loadBalancerClass", isBalancer);
  drop("externalTrafficPolicy", isExternal);
}
