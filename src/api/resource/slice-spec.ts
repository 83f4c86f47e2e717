/** The devices of a pool that one slice lists. Follows upstream's validateResourceSliceSpec. */
import { nameIsDnsSubdomain } from "#machinery";
import { goStruct } from "../go-struct.ts";
import type { Place } from "../place.ts";
import { validateNodeSelector } from "../pod-spec/affinity.ts";
import type { ResourcePool, ResourceSliceSpec } from "../types.d.ts";
import { validateCounterSet } from "./counters.ts";
import { validateDevice } from "./device.ts";
import { validateSet } from "./lists.ts";
import { validateDriverName, validatePoolName } from "./names.ts";

const devicesMax = 128;
/** Where one of them has taints or takes counters. */
const intricateDevicesMax = 64;
const counterSetsMax = 8;

export function validateSliceSpec(spec: ResourceSliceSpec, at: Place, old?: ResourceSliceSpec): void {
  validateDriverName(spec.driver, at.child("driver"));
  validatePool(spec.pool, at.child("pool"));
  if (old) validateSame(spec, at, old);
  validateNodes(spec, at);
  const { devices, sharedCounters, perDeviceNodeSelection } = spec;
  if (sharedCounters && devices) at.invalid("", "only one of `sharedCounters` or `devices` is allowed");
  const isIntricate = devices?.some(({ taints, consumesCounters }) => taints?.length || consumesCounters?.length);
  validateSet(devices, at.child("devices"), {
    countMax: isIntricate ? intricateDevicesMax : devicesMax,
    check(device, place) {
      const before = old?.devices?.find(({ name }) => name === device.name);
      validateDevice(device, place, { old: before, perDevice: perDeviceNodeSelection === true });
    },
    key: ({ name }) => name ?? "",
  });
  validateSet(sharedCounters, at.child("sharedCounters"), {
    countMax: counterSetsMax,
    check: validateCounterSet,
    key: ({ name }) => name ?? "",
  });
}

function validatePool(pool: ResourcePool | undefined, at: Place): void {
  const { name, resourceSliceCount = 0, generation = 0 } = pool ?? {};
  validatePoolName(name, at.child("name"));
  if (resourceSliceCount <= 0) at.child("resourceSliceCount").invalid(resourceSliceCount, "must be greater than zero");
  if (generation < 0) at.child("generation").invalid(generation, "must be greater than or equal to zero");
}

function validateSame(spec: ResourceSliceSpec, at: Place, old: ResourceSliceSpec): void {
  const immutable = "field is immutable";
  if (spec.pool.name !== old.pool.name) at.child("pool").child("name").invalid(spec.pool.name, immutable);
  if (spec.driver !== old.driver) at.child("driver").invalid(spec.driver, immutable);
  if (spec.nodeName !== old.nodeName) at.child("nodeName").invalid(spec.nodeName, immutable);
}

function validateNodes({ nodeName, nodeSelector, allNodes, perDeviceNodeSelection }: ResourceSliceSpec, at: Place) {
  const set: string[] = [];
  if (nodeName === "") at.child("nodeName").invalid("", "must be either unset or set to a non-empty string");
  else if (nodeName !== undefined) {
    set.push("`nodeName`");
    at.child("nodeName").invalidEach(nodeName, nameIsDnsSubdomain(nodeName, false));
  }
  if (nodeSelector) {
    set.push("`nodeSelector`");
    const selectorAt = at.child("nodeSelector");
    validateNodeSelector(nodeSelector, selectorAt, { anyValue: false });
    const terms = nodeSelector.nodeSelectorTerms ?? [];
    if (terms.length !== 1) {
      const printed = terms.map((term) => goStruct("api.core.v1.NodeSelectorTerm", term));
      selectorAt
        .child("nodeSelectorTerms")
        .invalid(terms.length > 0 ? printed : null, "must have exactly one node selector term");
    }
  }
  for (const [field, value] of Object.entries({ allNodes, perDeviceNodeSelection })) {
    if (value) set.push(`\`${field}\``);
    else if (value === false) at.child(field).invalid(false, "must be either unset or set to true");
  }
  const rule = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (set.length === 0) at.required(rule);
  if (set.length > 1) at.invalid(`{${set.join(", ")}}`, `${rule}, but multiple fields are set`);
}
