/** What was allocated to a claim, and who uses it. Follows upstream's validateResourceClaimStatusUpdate. */
import { type FieldError, longerThan, validateConditions } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { Place } from "../place.ts";
import { validateNodeSelector } from "../pod-spec/affinity.ts";
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from "../types.d.ts";
import { validateBindingConditions } from "./binding-conditions.ts";
import { requestNames, validateNamedRequest, validateNamedRequests } from "./claim-spec.ts";
import { configurationsMax, validateConfiguration, validateJsonObject } from "./configuration.ts";
import { validateInterfaceAddress } from "./interface-address.ts";
import { validateList, validateSet } from "./lists.ts";
import { validateDriverName, validateLabelName, validatePoolName, validateUid } from "./names.ts";

const consumersMax = 256;
const resultsMax = 32;
const conditionsMax = 8;
const dataBytesMax = 10 * 1024;
const addressesMax = 16;
const interfaceNameBytesMax = 256;
const hardwareAddressBytesMax = 128;
const sources = ["FromClaim", "FromClass"];

interface DeviceId {
  readonly driver: string;
  readonly pool: string;
  readonly device: string;
  readonly shareID?: string;
}

const keyOf = ({ driver, pool, device, shareID = "" }: DeviceId): string => [driver, pool, device, shareID].join("\0");
const keyOfUnshared = ({ driver, pool, device }: DeviceId): string => keyOf({ driver, pool, device });

/** As Go prints it. */
const printId = ({ driver: Driver, pool: Pool, device: Device, shareID: ShareID = "" }: DeviceId) => ({
  Driver,
  Pool,
  Device,
  ShareID,
});

const resultsOf = ({ status }: ResourceClaim): readonly DeviceRequestAllocationResult[] =>
  status?.allocation?.devices?.results ?? [];

/** What drivers say of devices goes with their allocation. */
export function dropDeallocatedDevices(claim: ResourceClaim, old: ResourceClaim): void {
  const { status } = claim;
  if (!status?.devices) return;
  const gone = new Set(resultsOf(old).map(keyOfUnshared));
  for (const result of resultsOf(claim)) gone.delete(keyOfUnshared(result));
  status.devices = status.devices.filter((device) => !gone.has(keyOfUnshared(device)));
  if (status.devices.length === 0) delete status.devices;
}

export function validateClaimStatus(claim: ResourceClaim, old: ResourceClaim): FieldError[] {
  const { allocation, reservedFor = [], devices } = claim.status ?? {};
  const at = Place.root("status");
  validateSet(reservedFor, at.child("reservedFor"), {
    countMax: consumersMax,
    check: validateConsumer,
    key: ({ uid }) => uid ?? "",
  });
  const allocated = new Set(resultsOf(claim).map(keyOf));
  validateSet(devices, at.child("devices"), {
    check(device, place) {
      validateDevice(device, place, allocated);
    },
    key: keyOf,
    print: printId,
  });
  if (reservedFor.length > 0) validateReservation(claim, old, at.child("reservedFor"));
  if (allocation) validateAllocation(allocation, old.status?.allocation, { claim, at: at.child("allocation") });
  return at.errors;
}

function validateConsumer({ resource, name, uid }: ResourceClaimConsumerReference, at: Place): void {
  if (!resource) at.child("resource").required();
  if (!name) at.child("name").required();
  if (!uid) at.child("uid").required();
}

function validateReservation({ metadata, status }: ResourceClaim, old: ResourceClaim, at: Place): void {
  if (!status?.allocation) {
    at.forbidden("may not be specified when `allocated` is not set");
    return;
  }
  if (!metadata.deletionTimestamp) return;
  const before = old.status?.reservedFor ?? [];
  const isNew = (consumer: ResourceClaimConsumerReference) => !before.some((each) => semanticEqual(each, consumer));
  if (status.reservedFor?.some(isNew)) {
    at.forbidden("new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
  }
}

/** Only a new one is checked; it stays as it is until it is taken back. */
function validateAllocation(
  allocation: AllocationResult,
  before: AllocationResult | undefined,
  { claim, at }: { claim: ResourceClaim; at: Place },
): void {
  if (before) {
    if (semanticEqual(allocation, before)) return;
    at.invalid(goStruct("api.resource.v1.AllocationResult", allocation), "field is immutable");
    return;
  }
  const names = requestNames(claim.spec?.devices);
  validateList(allocation.devices?.results, at.child("devices").child("results"), {
    countMax: resultsMax,
    check(result, place) {
      validateResult(result, place, names);
    },
  });
  validateList(allocation.devices?.config, at.child("devices").child("config"), {
    // Those of the class and those of the claim.
    countMax: 2 * configurationsMax,
    check(config, place) {
      validateAllocatedConfiguration(config, place, names);
    },
  });
  const { nodeSelector } = allocation;
  if (nodeSelector) validateNodeSelector(nodeSelector, at.child("nodeSelector"), { anyValue: false });
}

function validateResult(result: DeviceRequestAllocationResult, at: Place, names: ReadonlySet<string>): void {
  validateNamedRequest(result.request, at.child("request"), names);
  validateDriverName(result.driver, at.child("driver"));
  validatePoolName(result.pool, at.child("pool"));
  validateLabelName(result.device, at.child("device"));
  validateBindingConditions(result, at);
  if (result.shareID !== undefined) validateUid(result.shareID, at.child("shareID"));
}

function validateAllocatedConfiguration(
  config: DeviceAllocationConfiguration,
  at: Place,
  names: ReadonlySet<string>,
): void {
  if (!config.source) at.child("source").required();
  else if (!sources.includes(config.source)) at.child("source").notSupported(config.source, sources);
  validateNamedRequests(config.requests, at.child("requests"), names);
  validateConfiguration(config, at);
}

function validateDevice(device: AllocatedDeviceStatus, at: Place, allocated: ReadonlySet<string>): void {
  const { driver, pool, device: name, shareID, data, networkData } = device;
  const conditions = device.conditions ?? [];
  validateDriverName(driver, at.child("driver"));
  validatePoolName(pool, at.child("pool"));
  validateLabelName(name, at.child("device"));
  if (shareID !== undefined) validateUid(shareID, at.child("shareID"));
  if (!allocated.has(keyOf(device))) at.invalid(printId(device), "must be an allocated device in the claim");
  const conditionsAt = at.child("conditions");
  if (conditions.length > conditionsMax) conditionsAt.tooMany(conditions.length, conditionsMax);
  at.add(validateConditions(conditions, conditionsAt.path));
  if (data !== undefined && data !== null) validateJsonObject(data, at.child("data"), { bytesMax: dataBytesMax });
  if (networkData) validateNetworkData(networkData, at.child("networkData"));
}

function validateNetworkData({ interfaceName, hardwareAddress, ips }: NetworkDeviceData, at: Place): void {
  if (longerThan(interfaceName ?? "", interfaceNameBytesMax)) at.child("interfaceName").tooLong(interfaceNameBytesMax);
  if (longerThan(hardwareAddress ?? "", hardwareAddressBytesMax)) {
    at.child("hardwareAddress").tooLong(hardwareAddressBytesMax);
  }
  validateSet(ips, at.child("ips"), { countMax: addressesMax, check: validateInterfaceAddress, key: (ip) => ip });
}
