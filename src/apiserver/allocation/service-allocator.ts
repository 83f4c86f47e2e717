/**
 * Addresses and node ports of Services. Each one in use is a key of its own, written in the same transaction as the Service: two servers
 * can't give out the same, nothing has to be repaired after a crash, and a Service that goes takes its keys along.
 * Which fields are filled in, and the refusals, follow pkg/registry/core/service/storage.
 */
import { type ClusterFamilies, completeServiceAddresses, type Service } from "#api";
import type { DeepReadonly } from "#machinery";
import type { HookRequest, KindHooks } from "../registry/core.ts";
import { invalid } from "../registry/errors.ts";
import { ReservedKeys } from "../registry/reserved-keys.ts";
import type { SideWrites } from "../registry/storage.ts";
import { storageKey } from "../resource.ts";
import type { PortTable } from "./port-table.ts";
import { type AddressOptions, allocateAddresses } from "./service-addresses.ts";
import { allocatePorts } from "./service-ports.ts";

export interface ServiceAllocatorOptions extends AddressOptions {
  readonly families: ClusterFamilies;
  readonly ports: PortTable;
}

export function serviceAllocator(options: ServiceAllocatorOptions): KindHooks {
  return { allocate: (request) => allocate(options, request) };
}

async function allocate(
  options: ServiceAllocatorOptions,
  { object, old, dryRun }: HookRequest,
): Promise<SideWrites | undefined> {
  // The registry calls this for Services only.
  const service = object as Service | undefined;
  const former = old as DeepReadonly<Service> | undefined;
  if (service) {
    const errors = completeServiceAddresses(service, former, options.families);
    if (errors.length > 0) throw invalid({ group: "", kind: "Service" }, service.metadata.name ?? "", errors);
  }
  const keys = new ReservedKeys();
  const request = { service, before: former?.spec, dryRun };
  await allocateAddresses(options, request, keys);
  await allocatePorts(options.ports, request, keys);
  if (!service && former) await releaseEndpoints(options, former, keys);
  return dryRun || keys.empty ? undefined : keys;
}

/** A new Service of the same name must not begin with the old one's endpoints. */
async function releaseEndpoints(
  { lookup }: ServiceAllocatorOptions,
  { metadata }: DeepReadonly<Service>,
  keys: ReservedKeys,
): Promise<void> {
  const { name = "", namespace = "" } = metadata;
  const kind = lookup.kind("", "endpoints");
  const endpoints = await lookup.get(kind, namespace, name);
  if (endpoints && !endpoints.metadata?.finalizers?.length) keys.release(storageKey(kind, namespace, name));
}
