/** A node by itself, and what an update of it may change. */
import type { FieldError } from "#machinery";
import { isDualStack, parseCidr, validateCidr } from "../../ip.ts";
import { Place } from "../../place.ts";
import { validateTaints } from "../../pod-spec/tolerations.ts";
import { validateAmount } from "../../resource-names.ts";
import type { Node, NodeSpec, NodeStatus } from "../../types.d.ts";
import { validateConfigSource, validateConfigStatus } from "./config-source.ts";

export function validateNode({ spec = {}, status = {} }: Node): FieldError[] {
  const metadataAt = Place.root("metadata");
  const { errors } = metadataAt;
  const statusAt = Place.root("status", errors);
  // Upstream's place for them, though they are in the spec.
  validateTaints(spec.taints ?? [], metadataAt.child("taints"));
  validateResources(status, statusAt);
  const swapBytes = status.nodeInfo?.swap?.capacity;
  if (swapBytes !== undefined && swapBytes <= 0) {
    metadataAt.child("nodeSwapStatus").child("capacity").invalid(swapBytes, "must be greater than zero");
  }
  validateFeatures(status.declaredFeatures ?? [], statusAt.child("declaredFeatures"));
  validateRanges(spec.podCIDRs ?? [], Place.root("spec", errors).child("podCIDRs"));
  return errors;
}

function validateResources(status: NodeStatus, at: Place): void {
  for (const field of ["capacity", "allocatable"] as const) {
    const place = at.child(field);
    const amounts = status[field] ?? {};
    for (const name of Object.keys(amounts)) validateAmount(name, amounts[name] ?? "0", place.child(name));
  }
}

const featureLengthMax = 253;
const featurePattern = /^[A-Z][A-Za-z0-9]*(\/[A-Za-z0-9]+)*$/;

function validateFeatures(features: readonly string[], at: Place): void {
  features.forEach((feature, i) => {
    const complaint = complaintAboutFeature(feature);
    if (complaint !== "") at.index(i).invalid(feature, `invalid feature name ${JSON.stringify(feature)}: ${complaint}`);
    const next = features[i + 1];
    if (feature === next) at.index(i + 1).duplicate(next);
    else if (next !== undefined && feature > next) at.index(i + 1).invalid(next, "list must be sorted alphabetically");
  });
}

function complaintAboutFeature(feature: string): string {
  if (feature.length > featureLengthMax) return `must be no more than ${featureLengthMax} characters`;
  if (featurePattern.test(feature)) return "";
  return "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
}

function validateRanges(ranges: readonly string[], at: Place): void {
  ranges.forEach((range, i) => {
    validateCidr(range, at.index(i));
  });
  if (ranges.length < 2) return;
  const addresses = ranges.map((range) => parseCidr(range)?.address);
  if (!isDualStack(addresses) || ranges.length > 2) {
    at.invalid(ranges, "may specify no more than one CIDR for each IP family");
  }
}

/** All that is checked when the status changes; for the spec it comes on top of the above. */
export function validateNodeChange({ spec = {}, status = {} }: Node, { spec: old = {} }: Node): FieldError[] {
  const statusAt = Place.root("status");
  const { errors } = statusAt;
  const at = Place.root("spec", errors);
  validateResources(status, statusAt);
  validateFeatures(status.declaredFeatures ?? [], statusAt.child("declaredFeatures"));
  const seen = new Set<string>();
  status.addresses?.forEach((address, i) => {
    const key = `${address.type}/${address.address}`;
    if (seen.has(key)) {
      // As Go prints the struct.
      const { type: Type, address: Address } = address;
      statusAt.child("addresses").index(i).duplicate({ Type, Address });
    }
    seen.add(key);
  });
  validateGivenOnce(spec, old, at);
  if (spec.configSource) validateConfigSource(spec.configSource, at.child("configSource"), "spec");
  if (status.config) validateConfigStatus(status.config, statusAt.child("config"));
  validateTaints(spec.taints ?? [], Place.root("metadata", errors).child("taints"));
  if ((spec.externalID ?? "") !== (old.externalID ?? "")) at.child("externalID").forbidden("may not be updated");
  return errors;
}

function validateGivenOnce(spec: NodeSpec, old: NodeSpec, at: Place): void {
  const { podCIDRs: before = [] } = old;
  const { podCIDRs: after = [] } = spec;
  const changes = before.length === after.length ? before.filter((range, i) => range !== after[i]).length : 1;
  for (let i = 0; before.length > 0 && i < changes; i++) {
    at.child("podCIDRs").forbidden('node updates may not change podCIDR except from "" to valid');
  }
  if (old.providerID && old.providerID !== spec.providerID) {
    at.child("providerID").forbidden('node updates may not change providerID except from "" to valid');
  }
}
