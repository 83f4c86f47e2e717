/** EndpointSlices as two controllers write them: labels, groups by ports, packing into slices. Pure. */
import type { DiscoveryV1EndpointPort, Endpoint, EndpointSlice } from "#api";
import { jsonEqual } from "#machinery";
import type { Seen } from "./objects.ts";

export const serviceNameLabel = "kubernetes.io/service-name";
export const managedByLabel = "endpointslice.kubernetes.io/managed-by";

export type AddressType = "IPv4" | "IPv6";

export interface SlicePlan {
  readonly create: readonly EndpointSlice[];
  readonly update: readonly EndpointSlice[];
  readonly delete: readonly Seen<EndpointSlice>[];
}

/** Equal for the same ports in any order. */
export function portsKey(ports: readonly Seen<DiscoveryV1EndpointPort>[] | undefined): string {
  return JSON.stringify(
    (ports ?? [])
      .map(({ name = "", port, protocol = "TCP", appProtocol = "" }) => [name, port, protocol, appProtocol])
      .sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  );
}

/** What makes an endpoint the same one, whatever its condition. */
export function endpointKey({ addresses, hostname = "", targetRef }: Seen<Endpoint>): string {
  return JSON.stringify([addresses, hostname, targetRef?.namespace ?? "", targetRef?.name ?? ""]);
}

/** Hints are decided later, for all slices together. */
export function isSameEndpoint(a: Seen<Endpoint>, b: Seen<Endpoint>): boolean {
  const { hints: _a, targetRef: first, ...restA } = a;
  const { hints: _b, targetRef: second, ...restB } = b;
  return jsonEqual(restA, restB) && first?.uid === second?.uid && first?.kind === second?.kind;
}

export const sliceNamePrefix = (name: string): string => (name.length < 253 ? `${name}-` : name);

export interface Packing {
  readonly existing: readonly Seen<EndpointSlice>[];
  readonly desired: readonly Endpoint[];
  readonly endpointsMax: number;
  /** An existing slice as it would be written anew, apart from its endpoints. */
  refresh(slice: Seen<EndpointSlice>): EndpointSlice;
  /** Whether `refresh` would change it. */
  isOutdated(slice: Seen<EndpointSlice>): boolean;
  make(): EndpointSlice;
}

/**
 * Puts endpoints into slices with as few writes as possible: endpoints stay where they are, slices that are written anyway are
 * filled first, then one that has room for the rest, then new ones. Slices are not merged: a write costs more than a slice.
 */
export function packEndpoints({ existing, desired, endpointsMax, ...how }: Packing): SlicePlan {
  const left = new Map(desired.map((endpoint) => [endpointKey(endpoint), endpoint]));
  const update: EndpointSlice[] = [];
  const unchanged: Seen<EndpointSlice>[] = [];
  const remove: Seen<EndpointSlice>[] = [];
  for (const slice of existing) {
    const kept: Endpoint[] = [];
    const before = slice.endpoints ?? [];
    let changed = false;
    for (const endpoint of before) {
      const key = endpointKey(endpoint);
      const wanted = left.get(key);
      if (!wanted) continue;
      left.delete(key);
      kept.push(wanted);
      if (!isSameEndpoint(wanted, endpoint)) changed = true;
    }
    if (changed || kept.length !== before.length) {
      if (kept.length === 0) remove.push(slice);
      else update.push({ ...how.refresh(slice), endpoints: kept });
    } else if (how.isOutdated(slice)) update.push({ ...how.refresh(slice), endpoints: kept });
    else unchanged.push(slice);
  }
  const rest = [...left.values()];
  const fill = (slice: EndpointSlice) => {
    const room = endpointsMax - (slice.endpoints?.length ?? 0);
    slice.endpoints = [...(slice.endpoints ?? []), ...rest.splice(0, Math.max(0, room))];
  };
  for (const slice of update.toSorted((a, b) => (b.endpoints?.length ?? 0) - (a.endpoints?.length ?? 0))) fill(slice);
  const create: EndpointSlice[] = [];
  while (rest.length > 0) {
    const roomy = rest.length < endpointsMax ? roomiest(unchanged, rest.length, endpointsMax) : undefined;
    if (roomy) {
      unchanged.splice(unchanged.indexOf(roomy), 1);
      const slice = { ...how.refresh(roomy), endpoints: [...((roomy.endpoints ?? []) as readonly Endpoint[])] };
      fill(slice);
      update.push(slice);
    } else {
      const slice = how.make();
      fill(slice);
      create.push(slice);
    }
  }
  return { create, update, delete: remove };
}

/** The slice that the rest would fill best. */
function roomiest(slices: readonly Seen<EndpointSlice>[], count: number, endpointsMax: number) {
  let best: Seen<EndpointSlice> | undefined;
  let bestRoom = endpointsMax;
  for (const slice of slices) {
    const room = endpointsMax - (count + (slice.endpoints?.length ?? 0));
    if (room < 0 || room >= bestRoom) continue;
    best = slice;
    bestRoom = room;
  }
  return best;
}

/** Slices that would be deleted are used for those that would be created: half the writes, and no moment without endpoints. */
export function recycle(plan: SlicePlan, mayReuse: (slice: Seen<EndpointSlice>) => boolean): SlicePlan {
  const create = [...plan.create];
  const update = [...plan.update];
  const remove: Seen<EndpointSlice>[] = [];
  for (const old of plan.delete) {
    const at = mayReuse(old) ? create.findIndex((slice) => slice.addressType === old.addressType) : -1;
    if (at < 0) {
      remove.push(old);
      continue;
    }
    const [slice] = create.splice(at, 1);
    if (!slice) continue;
    const { generateName: _none, ...metadata } = slice.metadata;
    const { name = "", resourceVersion } = old.metadata;
    update.push({ ...slice, metadata: { ...metadata, name, ...(resourceVersion ? { resourceVersion } : {}) } });
  }
  return { create, update, delete: remove };
}
