/**
 * The Endpoints object of a Service with a selector: the older, flat form of its EndpointSlices, which old clients still read. Pure.
 */
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service } from "#api";
import { jsonEqual, semanticEqual } from "#machinery";
import { isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { isPodFinished, isPodReady, type SeenPod } from "../lib/pods.ts";
import {
  hasAddress,
  hasHostname,
  headlessLabel,
  isHeadless,
  isIpv6,
  targetPortOf,
  triggerTimeAnnotation,
} from "../lib/service-pods.ts";

export const endpointsManagedByLabel = "endpoints.kubernetes.io/managed-by";
export const endpointsManager = "endpoint-controller";
const overCapacityAnnotation = "endpoints.kubernetes.io/over-capacity";
/** Addresses in one object: every change sends all of them to every watcher. Slices have no such bound. */
const addressesMax = 1000;

export interface EndpointsState {
  readonly service: Seen<Service>;
  readonly pods: readonly SeenPod[];
  readonly current: Seen<Endpoints> | undefined;
  readonly triggerTime?: string;
}

/** The object to create or update; undefined when it is right already. */
export function planEndpoints({ service, pods, current, triggerTime }: EndpointsState): Endpoints | undefined {
  const all = subsetsOf(service, pods);
  const { subsets, truncated } = truncate(all);
  const { [headlessLabel]: _reserved, ...serviceLabels } = service.metadata.labels ?? {};
  const labels = {
    ...serviceLabels,
    ...(hasAddress(service) ? {} : { [headlessLabel]: "" }),
    [endpointsManagedByLabel]: endpointsManager,
  };
  const wasTruncated = current?.metadata.annotations?.[overCapacityAnnotation] !== undefined;
  if (
    current &&
    wasTruncated === truncated &&
    semanticEqual(current.subsets, subsets) &&
    jsonEqual(current.metadata.labels, labels)
  ) {
    return undefined;
  }
  const annotations: Record<string, string> = { ...current?.metadata.annotations };
  delete annotations[triggerTimeAnnotation];
  delete annotations[overCapacityAnnotation];
  if (triggerTime) annotations[triggerTimeAnnotation] = triggerTime;
  if (truncated) annotations[overCapacityAnnotation] = "truncated";
  const metadata: Seen<Endpoints["metadata"]> = {
    ...(current?.metadata ?? { name: nameOf(service), namespace: namespaceOf(service) }),
    labels,
    annotations,
  };
  return { apiVersion: "v1", kind: "Endpoints", metadata: metadata as Endpoints["metadata"], subsets }; // sent, never changed
}

interface Entry {
  readonly address: EndpointAddress;
  readonly ready: boolean;
}

/** Addresses that offer the same ports, together. */
function subsetsOf(service: Seen<Service>, pods: readonly SeenPod[]): EndpointSubset[] {
  const { publishNotReadyAddresses: publishNotReady = false } = service.spec ?? {};
  const entries = new Map<string, { entry: Entry; ports: EndpointPort[] }>();
  for (const pod of pods) {
    if (isPodFinished(pod) || !pod.status?.podIP || (!publishNotReady && isDeleting(pod))) continue;
    const ready = publishNotReady || isPodReady(pod);
    const address = addressOf(pod, service);
    if (!address) continue;
    const ports = portsOf(service, pod);
    if (ports.length === 0 && !(isHeadless(service) && !service.spec?.ports?.length)) continue;
    const key = `${address.ip} ${uidOf(pod)}`;
    entries.set(key, { entry: { address, ready }, ports });
  }
  const groups = new Map<string, { ports: EndpointPort[]; entries: Entry[] }>();
  for (const { entry, ports } of entries.values()) {
    const key = JSON.stringify(ports);
    const group = groups.get(key);
    if (group) group.entries.push(entry);
    else groups.set(key, { ports, entries: [entry] });
  }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => {
      const addresses = (ready: boolean) =>
        group.entries
          .filter((entry) => entry.ready === ready)
          .map(({ address }) => address)
          .sort(byAddress);
      const readyOnes = addresses(true);
      const others = addresses(false);
      return {
        ...(readyOnes.length > 0 ? { addresses: readyOnes } : {}),
        ...(others.length > 0 ? { notReadyAddresses: others } : {}),
        ...(group.ports.length > 0 ? { ports: group.ports } : {}),
      };
    });
}

const byAddress = (a: EndpointAddress, b: EndpointAddress): number =>
  `${a.ip} ${a.targetRef?.uid}` < `${b.ip} ${b.targetRef?.uid}` ? -1 : 1;

/** In the Service's first family; a pod without such an address has no endpoint. */
function addressOf(pod: SeenPod, service: Seen<Service>): EndpointAddress | undefined {
  const [family] = service.spec?.ipFamilies ?? [];
  const wantsIpv6 = family ? family === "IPv6" : isIpv6(service.spec?.clusterIP ?? "");
  const addresses = pod.status?.podIPs?.map(({ ip }) => ip ?? "") ?? [pod.status?.podIP ?? ""];
  const ip = addresses.find((address) => address !== "" && isIpv6(address) === wantsIpv6);
  if (ip === undefined) return undefined;
  return {
    ip,
    ...(hasHostname(pod, service) ? { hostname: pod.spec?.hostname ?? "" } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: "Pod", namespace: namespaceOf(pod), name: nameOf(pod), uid: uidOf(pod) },
  };
}

function portsOf(service: Seen<Service>, pod: SeenPod): EndpointPort[] {
  const found: EndpointPort[] = [];
  for (const servicePort of service.spec?.ports ?? []) {
    const port = targetPortOf(pod, servicePort);
    if (port === undefined) continue;
    const { name, protocol = "TCP", appProtocol } = servicePort;
    found.push({ ...(name ? { name } : {}), port, protocol, ...(appProtocol ? { appProtocol } : {}) });
  }
  return found.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Ready addresses count first; what is dropped is dropped from each subset in proportion. */
function truncate(subsets: EndpointSubset[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const count = (of: (subset: EndpointSubset) => readonly unknown[] | undefined) =>
    subsets.reduce((total, subset) => total + (of(subset)?.length ?? 0), 0);
  const ready = count(({ addresses }) => addresses);
  const notReady = count(({ notReadyAddresses }) => notReadyAddresses);
  if (ready + notReady <= addressesMax) return { subsets, truncated: false };
  const dropsReady = ready > addressesMax;
  const room = dropsReady ? addressesMax : addressesMax - ready;
  const total = dropsReady ? ready : notReady;
  let left = room;
  const kept = subsets.map(({ addresses = [], notReadyAddresses = [], ports }) => {
    const list = dropsReady ? addresses : notReadyAddresses;
    const part = list.slice(0, Math.min(left, Math.ceil((list.length / total) * room)));
    left -= part.length;
    const readyPart = dropsReady ? part : addresses;
    const notReadyPart = dropsReady ? [] : part;
    return {
      ...(readyPart.length > 0 ? { addresses: readyPart } : {}),
      ...(notReadyPart.length > 0 ? { notReadyAddresses: notReadyPart } : {}),
      ...(ports ? { ports } : {}),
    };
  });
  return { subsets: kept, truncated: true };
}
