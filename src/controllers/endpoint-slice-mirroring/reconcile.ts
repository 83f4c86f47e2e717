/** EndpointSlices that mirror Endpoints which somebody else writes (a Service without a selector). Pure. */
import {
  type DiscoveryV1EndpointPort,
  type Endpoint,
  type EndpointAddress,
  type EndpointSlice,
  type Endpoints,
  parseIp,
  printIp,
} from "#api";
import { semanticEqual } from "#machinery";
import { controllerReference, isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { triggerTimeAnnotation } from "../lib/service-pods.ts";
import {
  type AddressType,
  endpointKey,
  isSameEndpoint,
  managedByLabel,
  portsKey,
  recycle,
  serviceNameLabel,
  type SlicePlan,
  sliceNamePrefix,
} from "../lib/slices.ts";

export const mirrorManager = "endpointslicemirroring-controller.k8s.io";
const skipMirrorLabel = "endpointslice.kubernetes.io/skip-mirror";
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader";
const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";
/** Addresses of one subset that are mirrored, so that a subset is a slice. */
const addressesPerSubsetMax = 1000;

export const shouldMirror = (endpoints: Seen<Endpoints>): boolean =>
  endpoints.metadata.labels?.[skipMirrorLabel] !== "true" &&
  endpoints.metadata.annotations?.[leaderAnnotation] === undefined;

export interface MirrorPlan extends SlicePlan {
  /** What had to be left out, as events say it. */
  readonly warnings: readonly { readonly reason: string; readonly message: string }[];
}

interface Group {
  readonly type: AddressType;
  readonly ports: DiscoveryV1EndpointPort[];
  readonly endpoints: Map<string, Endpoint>;
}

export function planMirror(endpoints: Seen<Endpoints>, slices: readonly Seen<EndpointSlice>[]): MirrorPlan {
  const { groups, warnings } = groupEndpoints(endpoints);
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const remove = slices.filter((slice) => !groups.has(groupKey(slice.addressType, slice.ports)));
  for (const [key, group] of groups) {
    const existing = slices.filter((slice) => groupKey(slice.addressType, slice.ports) === key);
    if (group.endpoints.size === 0) {
      remove.push(...existing);
      continue;
    }
    const [first, ...others] = existing;
    remove.push(...others);
    const wanted = mirrorSlice(endpoints, group);
    if (!first) create.push(wanted);
    else if (!isCurrent(first, wanted, group)) {
      const { generateName: _none, ...metadata } = wanted.metadata;
      const { name = "", resourceVersion } = first.metadata;
      update.push({ ...wanted, metadata: { ...metadata, name, ...(resourceVersion ? { resourceVersion } : {}) } });
    }
  }
  const plan = recycle({ create, update, delete: remove }, () => true);
  return { ...plan, create: isDeleting(endpoints) ? [] : plan.create, warnings };
}

const groupKey = (type: string, ports: readonly Seen<DiscoveryV1EndpointPort>[] | undefined) =>
  `${type} ${portsKey(ports)}`;

function groupEndpoints(endpoints: Seen<Endpoints>) {
  const groups = new Map<string, Group>();
  let invalid = 0;
  let skipped = 0;
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of endpoints.subsets ?? []) {
    const slicePorts = ports.map(({ name = "", port, protocol = "TCP", appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol ? { appProtocol } : {}),
    }));
    let added = 0;
    const add = (address: Seen<EndpointAddress>, ready: boolean) => {
      if (added >= addressesPerSubsetMax) {
        skipped++;
        return;
      }
      const parsed = parseIp(address.ip);
      if (!parsed) {
        invalid++;
        return;
      }
      const type: AddressType = parsed.family;
      const key = groupKey(type, slicePorts);
      let group = groups.get(key);
      if (!group) {
        group = { type, ports: slicePorts, endpoints: new Map() };
        groups.set(key, group);
      }
      const endpoint = endpointOf({ ...address, ip: printIp(parsed) }, ready);
      group.endpoints.set(endpointKey(endpoint), endpoint);
      added++;
    };
    for (const address of addresses) add(address, true);
    for (const address of notReadyAddresses) add(address, false);
  }
  const warnings = [
    ...(invalid > 0
      ? [
          {
            reason: "InvalidIPAddress",
            message: `Skipped ${invalid} invalid IP addresses when mirroring to EndpointSlices`,
          },
        ]
      : []),
    ...(skipped > 0
      ? [
          {
            reason: "TooManyAddressesToMirror",
            message: `A max of ${addressesPerSubsetMax} addresses can be mirrored to EndpointSlices per Endpoints subset. ${skipped + invalid} addresses were skipped`,
          },
        ]
      : []),
  ];
  return { groups, warnings };
}

const endpointOf = ({ ip, hostname, nodeName, targetRef }: Seen<EndpointAddress>, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(nodeName ? { nodeName } : {}),
  ...(targetRef ? { targetRef } : {}),
});

function mirrorSlice(endpoints: Seen<Endpoints>, group: Group): EndpointSlice {
  const {
    [triggerTimeAnnotation]: _time,
    [lastAppliedAnnotation]: _applied,
    ...annotations
  } = endpoints.metadata.annotations ?? {};
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      generateName: sliceNamePrefix(nameOf(endpoints)),
      namespace: namespaceOf(endpoints),
      labels: {
        ...endpoints.metadata.labels,
        [serviceNameLabel]: nameOf(endpoints),
        [managedByLabel]: mirrorManager,
      },
      annotations,
      ownerReferences: [controllerReference(endpoints, { apiVersion: "v1", kind: "Endpoints" })],
    },
    addressType: group.type,
    endpoints: [...group.endpoints.values()],
    ports: group.ports,
  };
}

function isCurrent(slice: Seen<EndpointSlice>, wanted: EndpointSlice, { endpoints }: Group): boolean {
  const existing = slice.endpoints ?? [];
  const [owner = { name: "", uid: "" }] = wanted.metadata.ownerReferences ?? [];
  return (
    existing.length === endpoints.size &&
    // Of Endpoints that were made anew under the same name: the garbage collector would take the slice away with the old ones.
    !slice.metadata.ownerReferences?.some(
      ({ kind, name, uid }) => kind === "Endpoints" && name === owner.name && uid !== owner.uid,
    ) &&
    existing.every((endpoint) => {
      const same = endpoints.get(endpointKey(endpoint));
      return same !== undefined && isSameEndpoint(same, endpoint);
    }) &&
    semanticEqual(slice.metadata.labels, wanted.metadata.labels) &&
    semanticEqual(slice.metadata.annotations, wanted.metadata.annotations)
  );
}
