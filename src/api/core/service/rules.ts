/** What the type of a service and its policies mean for its other fields. */
import type { Service, ServiceSpec } from "../../types.d.ts";

export const specOf = (service: Service): ServiceSpec => service.spec ?? {};

export const isHeadless = ({ clusterIPs = [] }: ServiceSpec): boolean =>
  clusterIPs.length === 1 && clusterIPs[0] === "None";

export const needsClusterIp = ({ type }: ServiceSpec): boolean => type !== "ExternalName";

export const needsNodePort = ({ type }: ServiceSpec): boolean => type === "NodePort" || type === "LoadBalancer";

/** Reached from outside the cluster. */
export const isExternal = ({ type, externalIPs = [] }: ServiceSpec): boolean =>
  type === "LoadBalancer" || type === "NodePort" || (type === "ClusterIP" && externalIPs.length > 0);

/** The balancer asks each node whether it has pods of the service. */
export const needsHealthCheckPort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean =>
  type === "LoadBalancer" && externalTrafficPolicy === "Local";

export const sameTexts = (a: readonly string[] = [], b: readonly string[] = []): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i]);
