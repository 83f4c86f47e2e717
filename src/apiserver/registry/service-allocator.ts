/**
 * Addresses and node ports of Services. Each one in use is a key of its own, written in the same transaction as the Service: two servers
 * can't give out the same, nothing has to be repaired after a crash, and a Service that goes takes its keys along.
 * Which fields are filled in, and the refusals, follow pkg/registry/core/service/storage/alloc.go.
 */
import type { Service } from "#api";
import type { DeepReadonly } from "#machinery";
import type { Store } from "#store";
import type { HookRequest, KindHooks } from "./core.ts";
import { ReservedKeys } from "./reserved-keys.ts";
import { type AddressOptions, allocateAddresses } from "./service-addresses.ts";
import { allocatePorts } from "./service-ports.ts";
import type { SideWrites } from "./storage.ts";

export interface ServiceAllocatorOptions extends AddressOptions {
  readonly store: Store;
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
  const before = (old as DeepReadonly<Service> | undefined)?.spec;
  const keys = new ReservedKeys();
  await allocateAddresses(options, service, before, keys);
  await allocatePorts(options.store, service, before, keys);
  return dryRun || keys.empty ? undefined : keys;
}
