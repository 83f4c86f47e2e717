/** What Services and their pods have to do with each other; shared by Endpoints and EndpointSlices. */
import type { Service, ServicePort } from "#api";
import { type Informer, keyOf } from "#client";
import { jsonEqual } from "#machinery";
import { isDeleting, namespaceOf, nameOf, type Seen } from "./objects.ts";
import { isPodReady, type SeenPod } from "./pods.ts";
import type { SelectorCache } from "./selectors.ts";

export const headlessLabel = "service.kubernetes.io/headless";
export const triggerTimeAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

export const isHeadless = (service: Seen<Service>): boolean => service.spec?.clusterIP === "None";
/** Has no address: headless, or not a service with addresses at all. */
export const hasAddress = ({ spec }: Seen<Service>): boolean =>
  Boolean(spec?.clusterIP) && spec?.clusterIP !== "None" && spec?.type !== "ExternalName";

/** Keys of the Services whose selector matches the pod. */
export function servicesOf(pod: SeenPod, services: Informer<Service>, selectors: SelectorCache): string[] {
  return services
    .list(namespaceOf(pod))
    .filter((service) => selectors.ofLabels(service.spec?.selector).matches(pod.metadata.labels))
    .map(keyOf);
}

/** Services whose endpoints a change of this pod may touch: most changes of a pod touch none. */
export function servicesChangedBy(
  change: { readonly pod: SeenPod; readonly old: SeenPod },
  services: Informer<Service>,
  selectors: SelectorCache,
): string[] {
  const { pod, old } = change;
  const labelsChanged =
    pod.metadata.labels !== old.metadata.labels && !jsonEqual(pod.metadata.labels, old.metadata.labels);
  const endpointChanged =
    pod.spec?.hostname !== old.spec?.hostname ||
    pod.spec?.subdomain !== old.spec?.subdomain ||
    isDeleting(pod) !== isDeleting(old) ||
    isPodReady(pod) !== isPodReady(old) ||
    pod.status?.phase !== old.status?.phase ||
    !jsonEqual(pod.status?.podIPs, old.status?.podIPs);
  if (!labelsChanged && !endpointChanged) return [];
  const now = servicesOf(pod, services, selectors);
  return labelsChanged ? [...new Set([...now, ...servicesOf(old, services, selectors)])] : now;
}

export const hasHostname = (pod: SeenPod, service: Seen<Service>): boolean =>
  Boolean(pod.spec?.hostname) && pod.spec?.subdomain === nameOf(service);

/** The pod's port behind a Service's port; undefined when the pod has none of that name. */
export function targetPortOf(pod: SeenPod, servicePort: Seen<ServicePort>): number | undefined {
  const { targetPort = servicePort.port, protocol = "TCP" } = servicePort;
  if (typeof targetPort === "number") return targetPort === 0 ? servicePort.port : targetPort;
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  for (const { ports = [] } of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const port of ports) {
      if (port.name === targetPort && (port.protocol ?? "TCP") === protocol) return port.containerPort;
    }
  }
  return undefined;
}

export const isIpv6 = (address: string): boolean => address.includes(":");
