/** Cluster addresses of Services: each is an IPAddress object, as upstream has them since 1.33. */
import { randomInt, randomUUID } from "node:crypto";
import type { Service, ServiceSpec } from "#api";
import type { Clock } from "#base";
import { type DeepReadonly, FieldPath, fieldError, type KubernetesObject, statusError } from "#machinery";
import type { Lookup } from "../admission/chain.ts";
import { encodeValue } from "../cache/encode.ts";
import { storageKey } from "../resource.ts";
import { invalid } from "./errors.ts";
import type { ReservedKeys } from "./reserved-keys.ts";
import { rfc3339 } from "./rfc3339.ts";
import type { ServiceRange } from "./service-range.ts";

type Spec = DeepReadonly<ServiceSpec>;

const addressesOf = (spec: Spec | undefined): readonly string[] =>
  spec === undefined || spec.type === "ExternalName"
    ? []
    : (spec.clusterIPs ?? []).filter((address) => address !== "None" && address !== "");

export interface AddressOptions {
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly range: ServiceRange;
}

export async function allocateAddresses(
  { lookup, clock, range }: AddressOptions,
  service: Service | undefined,
  before: Spec | undefined,
  keys: ReservedKeys,
): Promise<void> {
  const kind = lookup.kind("networking.k8s.io", "ipaddresses");
  const had = addressesOf(before);
  const spec = service?.spec;
  const headless = spec?.clusterIPs?.[0] === "None";
  const taken = async (address: string) => (await lookup.get(kind, "", address)) !== undefined;
  if (spec && spec.type !== "ExternalName" && !headless && addressesOf(spec).length === 0) {
    const address = await findFree(range.candidates(randomInt), taken);
    if (address === undefined) throw statusError.internal("failed to allocate a serviceIP: range is full");
    spec.clusterIP = address;
    spec.clusterIPs = [address];
  }
  const wants = addressesOf(spec);
  for (const address of wants) {
    if (had.includes(address)) continue;
    const refuse = (why: string) =>
      invalid({ group: "", kind: "Service" }, service?.metadata.name ?? "", [
        fieldError.invalid(
          FieldPath.root("spec").child("clusterIPs"),
          wants,
          `failed to allocate IP ${address}: ${why}`,
        ),
      ]);
    if (!range.contains(address)) {
      throw refuse(`the provided IP (${address}) is not in the valid range. The range of valid IPs is ${range.text}`);
    }
    if (await taken(address)) throw refuse("provided IP is already allocated");
    keys.take(storageKey(kind, "", address), encodeValue(kind.head, ipAddress(address, service, clock.now())));
  }
  for (const address of had) {
    if (!wants.includes(address) && (await taken(address))) keys.release(storageKey(kind, "", address));
  }
}

async function findFree(
  candidates: Iterable<string>,
  taken: (address: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const address of candidates) if (!(await taken(address))) return address;
  return undefined;
}

function ipAddress(address: string, service: Service | undefined, now: number): KubernetesObject & { spec: object } {
  const { name, namespace } = service?.metadata ?? {};
  return {
    kind: "IPAddress",
    apiVersion: "networking.k8s.io/v1",
    metadata: {
      name: address,
      uid: randomUUID(),
      creationTimestamp: rfc3339(now),
      labels: {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
      },
    },
    spec: { parentRef: { resource: "services", namespace, name } },
  };
}
