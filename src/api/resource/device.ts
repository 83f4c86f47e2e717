/** One device of a slice. Follows upstream's validateDevice. */
import { longerThan, nameIsDnsSubdomain } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import type { Place } from "../place.ts";
import { validateNodeSelector } from "../pod-spec/affinity.ts";
import type { Device, DeviceAttribute, DeviceCapacity } from "../types.d.ts";
import { validateBindingConditions } from "./binding-conditions.ts";
import { validateRequestPolicy } from "./capacity-policy.ts";
import { validateConsumption } from "./counters.ts";
import { validateList, validateMap, validateSet } from "./lists.ts";
import { qualifiedNameBytesMax, validateLabelName, validateQualifiedName } from "./names.ts";
import { validateTaint } from "./taints.ts";

const propertiesMax = 32;
const taintsMax = 16;
const consumptionsMax = 2;
const attributeBytesMax = 64;

export interface DeviceOptions {
  /** The same device before. */
  readonly old: Device | undefined;
  /** Each device says on which nodes it is, not the slice. */
  readonly perDevice: boolean;
}

export function validateDevice(device: Device, at: Place, { old, perDevice }: DeviceOptions): void {
  validateLabelName(device.name, at.child("name"));
  validateProperties(device, at);
  if (!old || !semanticEqual(old.taints, device.taints)) {
    validateList(device.taints, at.child("taints"), { countMax: taintsMax, check: validateTaint });
  }
  validateSet(device.consumesCounters, at.child("consumesCounters"), {
    countMax: consumptionsMax,
    check: validateConsumption,
    key: ({ counterSet }) => counterSet ?? "",
  });
  if (perDevice) validateNodes(device, at);
  else if (device.nodeName !== undefined || device.nodeSelector || device.allNodes !== undefined) {
    const fields = "`nodeName`, `nodeSelector` and `allNodes`";
    at.invalid(
      null,
      `${fields} can only be set if \`perDeviceNodeSelection\` is set to true in the ResourceSlice spec`,
    );
  }
  validateBindingConditions(device, at);
}

function validateProperties({ attributes = {}, capacity = {}, allowMultipleAllocations }: Device, at: Place): void {
  const count = Object.keys(attributes).length + Object.keys(capacity).length;
  if (count > propertiesMax) {
    at.invalid(count, `the total number of attributes and capacities must not exceed ${propertiesMax}`);
  }
  const rules = { keyBytesShown: qualifiedNameBytesMax, checkKey: validateQualifiedName };
  validateMap(attributes, at.child("attributes"), { ...rules, check: validateAttribute });
  validateMap(capacity, at.child("capacity"), {
    ...rules,
    check({ value, requestPolicy }: DeviceCapacity, place) {
      const policyAt = place.child("requestPolicy");
      if (!requestPolicy) return;
      if (allowMultipleAllocations) validateRequestPolicy(requestPolicy, value, policyAt);
      else policyAt.forbidden("allowMultipleAllocations must be true");
    },
  });
}

const numeric = "(0|[1-9][0-9]*)";
const preRelease = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
const build = "[0-9a-zA-Z-]+";
const semanticVersion = new RegExp(
  `^${numeric}\\.${numeric}\\.${numeric}(-${preRelease}(\\.${preRelease})*)?(\\+${build}(\\.${build})*)?$`,
);
const goNames = {
  int: "IntValue",
  bool: "BoolValue",
  string: "StringValue",
  version: "VersionValue",
  ints: "IntValues",
  bools: "BoolValues",
  strings: "StringValues",
  versions: "VersionValues",
};

function validateAttribute(attribute: DeviceAttribute, at: Place): void {
  const { int, bool, string, version } = attribute;
  if (string !== undefined && longerThan(string, attributeBytesMax)) at.child("string").tooLong(attributeBytesMax);
  if (version !== undefined) {
    const versionAt = at.child("version");
    if (!semanticVersion.test(version)) {
      versionAt.invalid(version, "must be a string compatible with semver.org spec 2.0.0");
    }
    if (longerThan(version, attributeBytesMax)) versionAt.tooLong(attributeBytesMax);
  }
  const count = [int, bool, string, version].filter((value) => value !== undefined).length;
  if (count === 1) return;
  const printed = count === 0 ? "" : goStruct("api.resource.v1.DeviceAttribute", attribute, goNames);
  at.invalid(printed, "exactly one value must be specified");
}

function validateNodes({ nodeName, nodeSelector, allNodes }: Device, at: Place): void {
  const set: string[] = [];
  if (nodeName === "") at.child("nodeName").invalid("", "must not be empty");
  else if (nodeName !== undefined) {
    set.push("`nodeName`");
    at.child("nodeName").invalidEach(nodeName, nameIsDnsSubdomain(nodeName, false));
  }
  if (nodeSelector) {
    set.push("`nodeSelector`");
    validateNodeSelector(nodeSelector, at.child("nodeSelector"), { anyValue: false });
  }
  if (allNodes === false) at.child("allNodes").invalid(false, "must be either unset or set to true");
  else if (allNodes) set.push("`allNodes`");
  if (set.length === 1) return;
  const where = "when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
  const rule = `exactly one of \`nodeName\`, \`nodeSelector\`, or \`allNodes\` is required ${where}`;
  if (set.length === 0) at.required(rule);
  else at.invalid(`{${set.join(", ")}}`, rule);
}
