/** The EndpointSlices that a Service with a selector should have. Pure. Upstream: k8s.io/endpointslice. */
import type { DiscoveryV1EndpointPort, Endpoint, EndpointSlice, Service } from "#api";
import { jsonEqual, semanticEqual } from "#machinery";
import { controllerReference, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
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
import {
  type AddressType,
  managedByLabel,
  packEndpoints,
  portsKey,
  recycle,
  serviceNameLabel,
  type SlicePlan,
  sliceNamePrefix,
} from "../lib/slices.ts";
import { type TopologyEvent, type TopologyHints, wantsHints } from "./topology-hints.ts";

export const sliceManager = "endpointslice-controller.k8s.io";
/** Upstream's default; larger slices cost every watcher more for each change. */
export const endpointsMax = 100;
const closeDistributions = new Set(["PreferClose", "PreferSameZone", "PreferSameNode"]);
const reservedLabels = new Set([serviceNameLabel, managedByLabel, headlessLabel]);

export interface ServiceState {
  readonly service: Seen<Service>;
  /** Those its selector matches. */
  readonly pods: readonly SeenPod[];
  /** Undefined when there is no such node. */
  nodeOf(name: string): { readonly zone?: string } | undefined;
  /** Those that bear the Service's name and this controller's. */
  readonly slices: readonly Seen<EndpointSlice>[];
  readonly triggerTime?: string;
  /** Remembers what it gave. */
  readonly topology: TopologyHints;
}

export interface ServicePlan extends SlicePlan {
  readonly events: readonly TopologyEvent[];
}

export function planSlices(state: ServiceState): ServicePlan {
  const { service, slices } = state;
  const types = addressTypesOf(service);
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const events: TopologyEvent[] = [];
  // Of a family that the Service doesn't have any more.
  const remove = slices.filter(({ addressType }) => !types.has(addressType as AddressType));
  for (const type of types) {
    const { plan, event } = hinted(state, type, planFamily(state, type));
    if (event) events.push(event);
    create.push(...plan.create);
    update.push(...plan.update);
    remove.push(...plan.delete);
  }
  const annotate = (slice: EndpointSlice): EndpointSlice => {
    const { [triggerTimeAnnotation]: _old, ...annotations } = slice.metadata.annotations ?? {};
    if (state.triggerTime) annotations[triggerTimeAnnotation] = state.triggerTime;
    return { ...slice, metadata: { ...slice.metadata, annotations } };
  };
  return {
    // Its garbage collection is under way: what is made now could outlive it.
    create: isDeleting(service) ? [] : create.map(annotate),
    update: update.map(annotate),
    delete: remove,
    events,
  };
}

function planFamily(state: ServiceState, type: AddressType): SlicePlan {
  const { service } = state;
  const existing = state.slices.filter((slice) => slice.addressType === type);
  const owned = existing.filter((slice) => isOwnedBy(slice, service));
  const remove = existing.filter((slice) => !isOwnedBy(slice, service));
  const groups = groupByPorts(state, type);
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const labels = sliceLabels(service);
  for (const [key, { ports, endpoints }] of groups) {
    const plan = packEndpoints({
      existing: owned.filter((slice) => portsKey(slice.ports) === key),
      desired: endpoints,
      endpointsMax,
      isOutdated: (slice) => !semanticEqual(slice.metadata.labels, labels),
      refresh: (slice) => ({
        ...(slice as EndpointSlice),
        metadata: { ...slice.metadata, labels } as EndpointSlice["metadata"],
      }),
      make: () => newSlice(service, { type, ports, labels }),
    });
    create.push(...plan.create);
    update.push(...plan.update);
    remove.push(...plan.delete);
  }
  for (const slice of owned) if (!groups.has(portsKey(slice.ports))) remove.push(slice);
  if (existing.length === remove.length && create.length === 0) {
    // A Service always has a slice: readers can tell "no endpoints" from "not looked at yet".
    const placeholder = newSlice(service, { type, ports: [], labels });
    const [only, ...others] = remove;
    if (only && others.length === 0 && isPlaceholder(only, placeholder)) return { create, update, delete: [] };
    create.push(placeholder);
  }
  return recycle({ create, update, delete: remove }, (slice) => isOwnedBy(slice, service));
}

/** With hints, by whichever of the two ways the Service asks for; the annotation wins. */
function hinted({ service, slices, topology }: ServiceState, type: AddressType, plan: SlicePlan) {
  const touched = new Set([...plan.update, ...plan.delete].map(({ metadata }) => metadata.name));
  const unchanged = slices.filter(
    (slice) => slice.addressType === type && isOwnedBy(slice, service) && !touched.has(slice.metadata.name),
  );
  const key = `${namespaceOf(service)}/${nameOf(service)}`;
  if (wantsHints(service)) return topology.give({ key, type, plan, unchanged });
  return { plan: addHints(service, plan, unchanged), event: topology.drop(key, type) };
}

const isPlaceholder = (slice: Seen<EndpointSlice>, placeholder: EndpointSlice): boolean =>
  (slice.endpoints ?? []).length === 0 &&
  (slice.ports ?? []).length === 0 &&
  jsonEqual(slice.metadata.labels, placeholder.metadata.labels) &&
  jsonEqual(slice.metadata.ownerReferences, placeholder.metadata.ownerReferences);

interface PortGroup {
  readonly ports: DiscoveryV1EndpointPort[];
  readonly endpoints: Endpoint[];
}

/** Pods with the same port numbers share slices; a named port may have another number in each pod. */
function groupByPorts(state: ServiceState, type: AddressType): Map<string, PortGroup> {
  const { service, pods, nodeOf } = state;
  const groups = new Map<string, PortGroup>();
  for (const pod of pods) {
    if (isPodFinished(pod) || !(pod.status?.podIP || pod.status?.podIPs?.length)) continue;
    const ports = portsOf(service, pod);
    const key = portsKey(ports);
    let group = groups.get(key);
    if (!group) {
      group = { ports, endpoints: [] };
      groups.set(key, group);
    }
    const node = nodeOf(pod.spec?.nodeName ?? "");
    if (!node && !service.spec?.publishNotReadyAddresses) continue;
    const endpoint = endpointOf(pod, service, { type, ...(node?.zone ? { zone: node.zone } : {}) });
    if (endpoint.addresses.length > 0) group.endpoints.push(endpoint);
  }
  return groups;
}

function endpointOf(pod: SeenPod, service: Seen<Service>, place: { type: AddressType; zone?: string }): Endpoint {
  const serving = isPodReady(pod);
  const terminating = isDeleting(pod);
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const addresses = (pod.status?.podIPs ?? (pod.status?.podIP ? [{ ip: pod.status.podIP }] : []))
    .map(({ ip }) => ip ?? "")
    .filter((ip) => ip !== "" && isIpv6(ip) === (place.type === "IPv6"));
  return {
    addresses,
    conditions: { ready, serving, terminating },
    ...(hasHostname(pod, service) ? { hostname: pod.spec?.hostname ?? "" } : {}),
    targetRef: { kind: "Pod", namespace: namespaceOf(pod), name: nameOf(pod), uid: uidOf(pod) },
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    ...(place.zone ? { zone: place.zone } : {}),
  };
}

function portsOf(service: Seen<Service>, pod: SeenPod): DiscoveryV1EndpointPort[] {
  const { ports = [] } = service.spec ?? {};
  const found: DiscoveryV1EndpointPort[] = [];
  for (const servicePort of ports) {
    const port = targetPortOf(pod, servicePort);
    if (port === undefined) continue;
    const { name = "", protocol = "TCP", appProtocol } = servicePort;
    found.push({ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return found;
}

interface NewSlice {
  readonly type: AddressType;
  readonly ports: DiscoveryV1EndpointPort[];
  readonly labels: Record<string, string>;
}

const newSlice = (service: Seen<Service>, { type, ports, labels }: NewSlice): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    generateName: sliceNamePrefix(nameOf(service)),
    namespace: namespaceOf(service),
    labels,
    ownerReferences: [controllerReference(service, { apiVersion: "v1", kind: "Service" })],
  },
  addressType: type,
  endpoints: [],
  ports,
});

/** The Service's own labels, and those that tie the slice to it. */
function sliceLabels(service: Seen<Service>): Record<string, string> {
  const labels = Object.fromEntries(
    Object.entries(service.metadata.labels ?? {}).filter(([key]) => !reservedLabels.has(key)),
  );
  if (!hasAddress(service)) labels[headlessLabel] = "";
  labels[serviceNameLabel] = nameOf(service);
  labels[managedByLabel] = sliceManager;
  return labels;
}

const isOwnedBy = (slice: Seen<EndpointSlice>, service: Seen<Service>): boolean =>
  (slice.metadata.ownerReferences ?? []).some(
    ({ uid, kind, apiVersion }) => uid === uidOf(service) && kind === "Service" && apiVersion === "v1",
  );

function addressTypesOf(service: Seen<Service>): Set<AddressType> {
  const { ipFamilies = [], clusterIP = "" } = service.spec ?? {};
  const families = ipFamilies.filter((family): family is AddressType => family === "IPv4" || family === "IPv6");
  if (families.length > 0) return new Set(families);
  if (clusterIP && !isHeadless(service)) return new Set([isIpv6(clusterIP) ? "IPv6" : "IPv4"]);
  return new Set(["IPv4", "IPv6"]);
}

/** `trafficDistribution`: which zones and nodes an endpoint is meant for. Only ready endpoints have hints. */
function addHints(service: Seen<Service>, plan: SlicePlan, unchanged: readonly Seen<EndpointSlice>[]): SlicePlan {
  const { trafficDistribution = "" } = service.spec ?? {};
  const hintsOf = ({ conditions, zone, nodeName }: Seen<Endpoint>): Endpoint["hints"] | undefined => {
    const forNodes = trafficDistribution === "PreferSameNode" && nodeName;
    if (!conditions?.ready || !closeDistributions.has(trafficDistribution) || !(zone || forNodes)) return undefined;
    return {
      ...(zone ? { forZones: [{ name: zone }] } : {}),
      ...(forNodes ? { forNodes: [{ name: forNodes }] } : {}),
    };
  };
  const withHints = (slice: EndpointSlice): EndpointSlice => ({
    ...slice,
    endpoints: (slice.endpoints ?? []).map(({ hints: _old, ...endpoint }) => {
      const hints = hintsOf(endpoint);
      return hints ? { ...endpoint, hints } : endpoint;
    }),
  });
  const wrong = unchanged.filter(
    ({ endpoints }) => !(endpoints ?? []).every((endpoint) => semanticEqual(endpoint.hints, hintsOf(endpoint))),
  ) as EndpointSlice[]; // sent, never changed
  return { create: plan.create.map(withHints), update: [...plan.update, ...wrong].map(withHints), delete: plan.delete };
}
