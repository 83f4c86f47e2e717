/** Cluster addresses of Services: which one needs, which it gets, which it gives back. Follows pkg/registry/core/service/storage/alloc.go. */
import { type Service, type ServiceSpec, parseIp } from "#api";
import type { Clock } from "#base";
import { type DeepReadonly, FieldPath, fieldError, statusError } from "#machinery";
import type { Lookup } from "../admission/chain.ts";
import { encodeValue } from "../cache/encode.ts";
import { invalid } from "../registry/errors.ts";
import type { ReservedKeys } from "../registry/reserved-keys.ts";
import { type StoredKind, storageKey } from "../resource.ts";
import { ipAddressOf } from "./ip-address.ts";
import type { ServiceRange, ServiceRanges } from "./service-ranges.ts";

type Spec = DeepReadonly<ServiceSpec>;

export interface AddressOptions {
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly ranges: ServiceRanges;
}

export interface AddressRequest {
  /** Undefined: it goes. May be changed; its families are complete. */
  readonly service: Service | undefined;
  readonly before: Spec | undefined;
  readonly dryRun: boolean;
}

export const addressesOf = (spec: Spec | undefined): readonly string[] =>
  spec === undefined || spec.type === "ExternalName"
    ? []
    : (spec.clusterIPs ?? []).filter((address) => address !== "None" && address !== "");

const isHeadless = (spec: Spec | undefined): boolean => spec?.clusterIPs?.[0] === "None";

export async function allocateAddresses(
  options: AddressOptions,
  { service, before, dryRun }: AddressRequest,
  keys: ReservedKeys,
): Promise<void> {
  const kind = options.lookup.kind("networking.k8s.io", "ipaddresses");
  const spec = service?.spec;
  if (service && spec)
    for (const position of positionsToFill(spec, before))
      await fill(options, { service, spec, position, kind, dryRun }, keys);
  for (const address of addressesToRelease(spec, before))
    if (await options.lookup.get(kind, "", address)) keys.release(storageKey(kind, "", address));
}

/** Families that need an address now: all of a Service that had none, the second of one that becomes dual-stack. */
function positionsToFill(spec: Spec, before: Spec | undefined): number[] {
  if (spec.type === "ExternalName" || isHeadless(spec)) return [];
  const families = spec.ipFamilies ?? [];
  if (!before || before.type === "ExternalName") return families.map((_, i) => i);
  if (isHeadless(before)) return [];
  return before.ipFamilies?.length === 1 && families.length === 2 ? [1] : [];
}

function addressesToRelease(spec: Spec | undefined, before: Spec | undefined): readonly string[] {
  const had = addressesOf(before);
  if (!spec || spec.type === "ExternalName") return had;
  return before?.ipFamilies?.length === 2 && spec.ipFamilies?.length === 1 ? had.slice(1) : [];
}

interface Filling {
  readonly service: Service;
  readonly spec: ServiceSpec;
  readonly position: number;
  readonly kind: StoredKind;
  readonly dryRun: boolean;
}

async function fill(options: AddressOptions, filling: Filling, keys: ReservedKeys): Promise<void> {
  const { service, spec, position, kind, dryRun } = filling;
  const wanted = spec.clusterIPs?.[position] ?? "";
  const address = wanted === "" ? await nextAddress(options, filling) : await wantedAddress(options, filling, wanted);
  const addresses = [...(spec.clusterIPs ?? [])];
  addresses[position] = address;
  spec.clusterIPs = addresses;
  if (position === 0) spec.clusterIP = address;
  if (dryRun) return;
  const { name = "", namespace = "" } = service.metadata;
  const object = ipAddressOf(address, { name, namespace }, options.clock.now());
  keys.take(storageKey(kind, "", address), encodeValue(kind.head, object));
}

async function nextAddress({ ranges, lookup }: AddressOptions, { service, spec, position, kind, dryRun }: Filling) {
  const family = spec.ipFamilies?.[position];
  for (const { range, ready } of await ranges.current()) {
    if (range.family !== family) continue;
    // Upstream doesn't bother to find one that nobody gets.
    if (dryRun) return range.network();
    if (!ready) continue;
    for (const address of range.candidates()) if (!(await lookup.get(kind, "", address))) return address;
  }
  const name = JSON.stringify(service.metadata.name ?? "");
  throw statusError.internal(`failed to allocate a serviceIP for Service ${name}: range is full`);
}

async function wantedAddress(
  { ranges, lookup }: AddressOptions,
  { service, spec, kind, dryRun }: Filling,
  address: string,
): Promise<string> {
  const problem = rangeProblem(await ranges.current(), address, dryRun);
  const taken = !problem && !dryRun && (await lookup.get(kind, "", address)) !== undefined;
  const why = taken ? "provided IP is already allocated" : problem;
  if (why === undefined) return address;
  const path = FieldPath.root("spec").child("clusterIPs");
  throw invalid({ group: "", kind: "Service" }, service.metadata.name ?? "", [
    fieldError.invalid(path, spec.clusterIPs ?? [], `failed to allocate IP ${address}: ${why}`),
  ]);
}

function rangeProblem(ranges: readonly ServiceRange[], address: string, dryRun: boolean): string | undefined {
  if (ranges.some(({ range, ready }) => (ready || dryRun) && range.contains(address))) return undefined;
  const family = parseIp(address)?.family;
  const own = dryRun && ranges.find(({ range }) => range.family === family);
  if (own) return `the provided IP (${address}) is not in the valid range. The range of valid IPs is ${own.range.text}`;
  return "the provided network does not match the current range";
}
