/**
 * IP families of a service: what the client left out follows from its addresses and from the cluster.
 * Upstream does this before all other checks, so its errors stand alone; follows initIPFamilyFields of the service registry.
 */
import type { FieldError } from "#machinery";
import { isDualStack, isIpv6Text, parseIp, validateIp } from "../../ip.ts";
import { Place } from "../../place.ts";
import type { ServiceSpec } from "../../types.d.ts";
import { isHeadless, sameTexts } from "./rules.ts";

export type IpFamily = "IPv4" | "IPv6";
/** Of the cluster's service ranges; the first one is the default. */
export type ClusterFamilies = readonly [IpFamily, ...IpFamily[]];

const knownFamilies = ["IPv4", "IPv6"];
const policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];

/** Completes `spec`; idempotent. Answers why it can't. */
export function completeFamilies(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  families: ClusterFamilies,
): FieldError[] {
  if (spec.type === "ExternalName" || keepsPreference(spec, old)) return [];
  const isSelectorless = spec.clusterIP === "None" && Object.keys(spec.selector ?? {}).length === 0;
  spec.ipFamilyPolicy ??= old?.ipFamilyPolicy ?? (isSelectorless ? "RequireDualStack" : "SingleStack");
  const place = Place.root("spec");
  const { errors } = place;
  validateAddresses(spec, place);
  if (errors.length > 0) return errors;
  if (old) releaseSecond(spec, old, place);
  inferFamilies(spec, place, families);
  if (errors.length > 0) return errors;
  if (isSelectorless) completeSelectorless(spec, families);
  else completeOthers(spec, place, families);
  return errors;
}

/** A service that prefers two families keeps what it has when the cluster changes. */
function keepsPreference(spec: ServiceSpec, old: ServiceSpec | undefined): boolean {
  return (
    old !== undefined &&
    spec.type === old.type &&
    spec.ipFamilyPolicy === "PreferDualStack" &&
    (old.ipFamilyPolicy ?? "PreferDualStack") === "PreferDualStack" &&
    sameTexts(spec.clusterIPs, old.clusterIPs) &&
    sameTexts(spec.ipFamilies, old.ipFamilies)
  );
}

/** Asking for a single stack gives the second address back; that takes saying so. */
function releaseSecond(spec: ServiceSpec, old: ServiceSpec, at: Place): void {
  const { clusterIPs = [], ipFamilies = [] } = spec;
  if (spec.ipFamilyPolicy === "SingleStack") {
    if (sameTexts(clusterIPs, old.clusterIPs) && clusterIPs.length > 1) spec.clusterIPs = clusterIPs.slice(0, 1);
    if (sameTexts(ipFamilies, old.ipFamilies) && ipFamilies.length > 1) spec.ipFamilies = ipFamilies.slice(0, 1);
    return;
  }
  const place = at.child("ipFamilyPolicy");
  const isReduced = (now: readonly string[], before: readonly string[] = []) =>
    now.length === 1 && before.length > 1 && now[0] === before[0];
  if (isReduced(clusterIPs, old.clusterIPs)) {
    place.invalid(spec.ipFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP");
  }
  if (isReduced(ipFamilies, old.ipFamilies)) {
    place.invalid(spec.ipFamilyPolicy, "must be 'SingleStack' to release the secondary IP family");
  }
}

function inferFamilies(spec: ServiceSpec, at: Place, families: ClusterFamilies): void {
  const { clusterIPs = [], ipFamilyPolicy } = spec;
  if (ipFamilyPolicy === "SingleStack") {
    const why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
    const place = at.child("ipFamilyPolicy");
    if (clusterIPs.length === 2) place.invalid(ipFamilyPolicy, `${why} cluster IPs are specified`);
    if (spec.ipFamilies?.length === 2) place.invalid(ipFamilyPolicy, `${why} IP families are specified`);
  }
  if (clusterIPs[0] === "None") return;
  clusterIPs.forEach((address, i) => {
    if (i < (spec.ipFamilies?.length ?? 0)) return;
    const family = parseIp(address)?.family ?? families[0];
    if (families.includes(family)) spec.ipFamilies = [...(spec.ipFamilies ?? []), family];
    else at.child("clusterIPs").index(i).invalid(clusterIPs, `${family} is not configured on this cluster`);
  });
}

const otherFamily = (family: string | undefined): IpFamily => (family === "IPv6" ? "IPv4" : "IPv6");

/** Whoever writes such a service's endpoints may use both families, whatever the cluster has. */
function completeSelectorless(spec: ServiceSpec, families: ClusterFamilies): void {
  if (!spec.ipFamilies?.length) spec.ipFamilies = [families[0]];
  if (spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== "SingleStack") {
    spec.ipFamilies = [...spec.ipFamilies, otherFamily(spec.ipFamilies[0])];
  }
}

function completeOthers(spec: ServiceSpec, at: Place, families: ClusterFamilies): void {
  const before = at.errors.length;
  if (spec.ipFamilyPolicy === "RequireDualStack" && families.length < 2) {
    const why = "this cluster is not configured for dual-stack services";
    at.child("ipFamilyPolicy").invalid(spec.ipFamilyPolicy, why);
  }
  spec.ipFamilies?.forEach((family, i) => {
    if (families.some((each) => each === family)) return;
    at.child("ipFamilies").index(i).invalid(family, "not configured on this cluster");
  });
  if (at.errors.length > before) return;
  const chosen = spec.ipFamilies?.length ? spec.ipFamilies : [families[0]];
  const wantsBoth = spec.ipFamilyPolicy !== "SingleStack" && chosen.length === 1 && families.length === 2;
  spec.ipFamilies = wantsBoth ? [...chosen, otherFamily(chosen[0])] : chosen;
}

/** Addresses, families and policy by themselves and against each other: ValidateServiceClusterIPsRelatedFields. */
export function validateAddresses(spec: ServiceSpec, at: Place): void {
  if (spec.type === "ExternalName") return;
  const { clusterIP = "", clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  const listAt = at.child("clusterIPs");
  if (clusterIP === "") {
    if (clusterIPs.length > 0) listAt.invalid(clusterIPs, "must be empty when `clusterIP` is not specified");
  } else if (clusterIPs.length === 0) listAt.required();
  else if (clusterIPs[0] !== clusterIP) listAt.invalid(clusterIPs, "first value must match `clusterIP`");

  ipFamilies.forEach((family, i) => {
    const place = at.child("ipFamilies").index(i);
    if (!knownFamilies.includes(family)) place.notSupported(family, knownFamilies);
    if (ipFamilies.indexOf(family) < i) place.duplicate(family);
  });
  if (ipFamilyPolicy !== undefined && !policies.includes(ipFamilyPolicy)) {
    at.child("ipFamilyPolicy").notSupported(ipFamilyPolicy, policies);
  }
  let valid = true;
  clusterIPs.forEach((address, i) => {
    if (i === 0 && address === "None") {
      if (clusterIPs.length === 1) return;
      valid = false;
      listAt.invalid(clusterIPs, "'None' must be the first and only value");
    } else if (!validateIp(address, listAt.index(i))) valid = false;
  });
  if (clusterIPs.length > 2) listAt.invalid(clusterIPs, "may only hold up to 2 values");
  if (!valid) return;
  if (clusterIPs.length > 1 && !isDualStack(clusterIPs.map(parseIp))) {
    listAt.invalid(clusterIPs, "may specify no more than one IP for each IP family");
  }
  if (isHeadless(spec)) return;
  clusterIPs.forEach((address, i) => {
    const family = ipFamilies[i];
    if (family === undefined || (family === "IPv6") === isIpv6Text(address)) return;
    listAt.index(i).invalid(address, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``);
  });
}
