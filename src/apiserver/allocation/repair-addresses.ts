/**
 * Whether cluster addresses and their IPAddress objects belong together, and what is to be done where they don't. Both are written in one
 * transaction, so this finds what people did by hand, and what a data base from elsewhere brought along. Pure; follows
 * pkg/registry/core/service/ipallocator/controller/repairip.go.
 */
import { type IPAddress, parseIp, type Service } from "#api";
import type { DeepReadonly } from "#machinery";
import { addressLabels, familyLabel, managedByLabel, manager } from "./ip-address.ts";
import { addressesOf } from "./service-addresses.ts";
import type { ServiceRange } from "./service-ranges.ts";

/** So long a Service may follow its address: upstream's timeout for requests. */
const graceMs = 60_000;

export type Repair =
  | { readonly type: "event"; readonly reason: string; readonly action: string; readonly note: string }
  /** The IPAddress is missing or wrong. */
  | { readonly type: "write"; readonly address: string }
  | { readonly type: "delete"; readonly address: string }
  | { readonly type: "look-again"; readonly afterMs: number };

export interface AddressState {
  readonly ranges: readonly ServiceRange[];
  service(namespace: string, name: string): DeepReadonly<Service> | undefined;
  address(name: string): DeepReadonly<IPAddress> | undefined;
}

const hasAddress = ({ spec }: DeepReadonly<Service>): boolean =>
  spec?.type !== "ExternalName" && spec?.clusterIP !== "None" && (spec?.clusterIP ?? "") !== "";

/** For each of a Service's addresses there is an object that names it. */
export function repairService(service: DeepReadonly<Service>, state: AddressState): Repair[] {
  if (!hasAddress(service)) return [];
  return (service.spec?.clusterIPs ?? []).flatMap((address) => repairAddressOf(service, address, state));
}

function repairAddressOf(service: DeepReadonly<Service>, address: string, state: AddressState): Repair[] {
  const { name = "", namespace = "" } = service.metadata;
  const event = (reason: string, note: string, action = "ClusterIPAllocation"): Repair => ({
    type: "event",
    reason,
    action,
    note,
  });
  const family = parseIp(address)?.family;
  if (!family)
    return [
      event(
        "ClusterIPNotValid",
        `Cluster IP ${address} is not a valid IP; please recreate Service`,
        "ClusterIPValidation",
      ),
    ];
  if (!state.ranges.some(({ range }) => range.contains(address)))
    return [
      event(
        "ClusterIPOutOfRange",
        `Cluster IP [${family}]: ${address} is not within any configured Service CIDR; please recreate service`,
      ),
    ];
  const write: Repair = { type: "write", address };
  const found = state.address(address);
  if (!found)
    return [event("ClusterIPNotAllocated", `Cluster IP [${family}]: ${address} is not allocated; repairing`), write];
  const wrong = `the ClusterIP [${family}]: ${address} for Service ${namespace}/${name} has a wrong reference; repairing`;
  const parent = found.spec?.parentRef;
  if (!isServiceRef(parent)) return [event("ClusterIPNotAllocated", wrong), write];
  if (parent?.namespace !== namespace || parent.name !== name) {
    const other = state.service(parent?.namespace ?? "", parent?.name ?? "");
    if (!other) return [event("ClusterIPNotAllocated", wrong), write];
    if (other.spec?.clusterIPs?.includes(address))
      return [
        event(
          "ClusterIPAlreadyAllocated",
          `Cluster IP [${family}]:${address} was assigned to multiple services; please recreate service`,
        ),
      ];
    return [];
  }
  const labels = found.metadata.labels ?? {};
  const wanted = addressLabels(address);
  const labelled = labels[familyLabel] === wanted[familyLabel] && labels[managedByLabel] === manager;
  return labelled ? [] : [write];
}

/** An object of ours stands for an address that its Service has. */
export function repairIpAddress(object: DeepReadonly<IPAddress>, state: AddressState, now: number): Repair[] {
  const { metadata, spec } = object;
  const address = metadata.name ?? "";
  // Others may make their own.
  if (metadata.labels?.[managedByLabel] !== manager) return [];
  const remove = (reason: string, note: string): Repair[] => [
    { type: "event", reason, action: "IPAddressAllocation", note },
    { type: "delete", address },
  ];
  const parent = spec?.parentRef;
  if (!parent || !isServiceRef(parent)) {
    const printed = parent
      ? `&ParentReference{Group:${parent.group ?? ""},Resource:${parent.resource},Namespace:${parent.namespace ?? ""},Name:${parent.name},}`
      : "nil";
    return remove(
      "IPAddressNotAllocated",
      `IPAddress ${address} appears to have been modified, not referencing a Service ${printed}: cleaning up`,
    );
  }
  const { namespace = "", name } = parent;
  const service = state.service(namespace, name);
  const ageMs = now - Date.parse(metadata.creationTimestamp ?? "");
  const young = ageMs <= graceMs;
  const lookAgain: Repair[] = [{ type: "look-again", afterMs: graceMs - ageMs + 1 }];
  if (!service) {
    if (young) return lookAgain;
    return remove(
      "IPAddressNotAllocated",
      `IPAddress: ${address} for Service ${namespace}/${name} appears to have leaked: cleaning up`,
    );
  }
  if (addressesOf(service.spec).includes(address)) return [];
  if (service.spec?.type === "ExternalName" && young) return lookAgain;
  return remove(
    "IPAddressWrongReference",
    `IPAddress: ${address} for Service ${namespace}/${name} has a wrong reference; cleaning up`,
  );
}

const isServiceRef = (parent: { readonly group?: string; readonly resource?: string } | undefined): boolean =>
  (parent?.group ?? "") === "" && parent?.resource === "services";
