/** What Services and their pods have to do with each other; shared by Endpoints and EndpointSlices. */
import type { Pod, Service, ServicePort } from "#api";
import { type Informer, keyOf, type WorkQueue } from "#client";
import { jsonEqual } from "#machinery";
import { watch } from "./controller.ts";
import { isDeleting, namespaceOf, nameOf, type Seen } from "./objects.ts";
import { isPodReady, type SeenPod } from "./pods.ts";
import { indexPodsByLabel, podsMatching } from "./pods-by-label.ts";
import { createSelectorCache } from "./selectors.ts";

export const headlessLabel = "service.kubernetes.io/headless";
export const triggerTimeAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

export const isHeadless = (service: Seen<Service>): boolean => service.spec?.clusterIP === "None";
/** Has no address: headless, or not a service with addresses at all. */
export const hasAddress = ({ spec }: Seen<Service>): boolean =>
  Boolean(spec?.clusterIP) && spec?.clusterIP !== "None" && spec?.type !== "ExternalName";

/** From then on a Service changes all the time while its pods start, and its changes are collected. */
const largePodsMin = 100;

/** Which pods Services have, and which Services a pod concerns. `batchMs`: for how long changes of large ones are collected. */
export function createServicePods(
  { services, pods }: { readonly services: Informer<Service>; readonly pods: Informer<Pod> },
  batchMs: number,
) {
  indexPodsByLabel(pods);
  const selectors = createSelectorCache();
  const large = new Set<string>();
  const matcherOf = (service: Seen<Service>) => selectors.ofLabels(service.spec?.selector);
  const keysOf = (pod: SeenPod) =>
    services
      .list(namespaceOf(pod))
      .filter((service) => matcherOf(service).matches(pod.metadata.labels))
      .map(keyOf);
  const add = (queue: WorkQueue, keys: readonly string[]) => {
    for (const key of keys) queue.addAfter(key, large.has(key) ? batchMs : 0);
  };
  const mark = (queue: WorkQueue, pod: SeenPod) => add(queue, keysOf(pod));
  return {
    /** Marks the Services whose selector matches the pod. */
    mark,
    /** Marks those whose endpoints change with a pod. */
    watch: (queue: WorkQueue) =>
      watch(pods, {
        added: (pod) => mark(queue, pod),
        updated(pod, old) {
          const { labels } = pod.metadata;
          const isMoved = labels !== old.metadata.labels && !jsonEqual(labels, old.metadata.labels);
          if (isMoved) add(queue, [...new Set([...keysOf(pod), ...keysOf(old)])]);
          else if (isOtherEndpoint(pod, old)) mark(queue, pod);
        },
        deleted: (pod) => mark(queue, pod),
      }),
    of(service: Seen<Service>): readonly SeenPod[] {
      const found = podsMatching(pods, namespaceOf(service), matcherOf(service));
      if (found.length > largePodsMin) large.add(keyOf(service));
      else large.delete(keyOf(service));
      return found;
    },
    /** The Service is gone. */
    forget: (key: string) => void large.delete(key),
  };
}

/** Most changes of a pod touch no endpoint. */
const isOtherEndpoint = (pod: SeenPod, old: SeenPod): boolean =>
  pod.spec?.hostname !== old.spec?.hostname ||
  pod.spec?.subdomain !== old.spec?.subdomain ||
  isDeleting(pod) !== isDeleting(old) ||
  isPodReady(pod) !== isPodReady(old) ||
  pod.status?.phase !== old.status?.phase ||
  !jsonEqual(pod.status?.podIPs, old.status?.podIPs);

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
