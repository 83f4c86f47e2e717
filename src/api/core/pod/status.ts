/** Writes to a pod's status: what stays of the pod, and which statuses make sense. */
import { type FieldError, isGroupId, isQualifiedName, isUserId, nameIsDnsSubdomain } from "#machinery";
import { isDualStack, parseIp, validateIp } from "../../ip.ts";
import { ipWarnings } from "../../ip-warnings.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { setOrDelete } from "../../strategy.ts";
import type { ContainerStatus, Pod, PodCondition, PodStatus } from "../../types.d.ts";
import { validateTransitions } from "./transitions.ts";
import { validateResourceStatuses } from "./resource-status.ts";
import { validateAnnotationsChange } from "./update.ts";
import { specOf } from "./validate.ts";

/** podIP is the first of podIPs; older kubelets send only the one, and where they differ it counts. */
export function shareAddresses(status: PodStatus): void {
  const { podIP, podIPs } = status;
  if (podIP && podIPs?.[0]?.ip !== podIP) status.podIPs = [{ ip: podIP }];
  const first = status.podIPs?.[0]?.ip;
  if (first) status.podIP = first;
}

export const podStatusStrategy: Strategy<Pod> = {
  resetFields: ["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"],

  prepareForUpdate(pod, old) {
    if (old.spec) pod.spec = old.spec;
    const { deletionTimestamp, ownerReferences } = old.metadata;
    setOrDelete(pod.metadata, { deletionTimestamp, ownerReferences });
    pod.status ??= {};
    pod.status.qosClass ||= old.status?.qosClass ?? "";
    keepObservedGenerations(pod.status, old.status ?? {});
  },

  validateUpdate(pod, old) {
    const errors: FieldError[] = [];
    validateAnnotationsChange(pod, old, errors);
    validateStatus(pod, old, Place.root("status", errors));
    return errors;
  },

  warningsOnUpdate({ status = {} }) {
    const at = Place.root("status");
    return (["podIPs", "hostIPs"] as const).flatMap((list) =>
      (status[list] ?? []).flatMap(({ ip = "" }, i) => ipWarnings(ip, at.child(list).index(i).child("ip"))),
    );
  },
};

/** A client that doesn't know the field doesn't clear it. */
function keepObservedGenerations(status: PodStatus, old: PodStatus): void {
  if (!status.observedGeneration && old.observedGeneration) status.observedGeneration = old.observedGeneration;
  const known = new Map<string, number[]>();
  for (const { type, observedGeneration = 0 } of old.conditions ?? []) {
    const list = known.get(type) ?? [];
    list.push(observedGeneration);
    known.set(type, list);
  }
  for (const condition of status.conditions ?? []) {
    const generation = known.get(condition.type)?.shift() ?? 0;
    if (!condition.observedGeneration && generation) condition.observedGeneration = generation;
  }
}

function validateStatus(pod: Pod, old: Pod, at: Place): void {
  const { status = {} } = pod;
  const before = old.status ?? {};
  validateConditions(status.conditions ?? [], at.child("conditions"));
  const nominated = status.nominatedNodeName ?? "";
  const place = at.child("nominatedNodeName");
  if (nominated !== "" && nominated !== before.nominatedNodeName) {
    place.invalidEach(nominated, nameIsDnsSubdomain(nominated, false));
    if (old.spec?.nodeName) place.forbidden("may not be set on pods that are already bound to a node");
  }
  if ((status.observedGeneration ?? 0) < 0) {
    at.child("observedGeneration").invalid(status.observedGeneration, "must be a non-negative integer");
  }
  if ((status.qosClass ?? "") !== (before.qosClass ?? "")) {
    at.child("qosClass").invalid(status.qosClass ?? "", "field is immutable");
  }
  validateTransitions(status, { status: before, spec: specOf(old) }, at);
  validateClaimStatuses(pod, at.child("resourceClaimStatuses"));
  validateAddresses(status, before, at);
  const lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] as const;
  for (const list of lists) validateUsers(status[list] ?? [], at.child(list), pod.spec?.os?.name ?? "linux");
  validateResourceStatuses(status, specOf(pod), at);
}

const systemConditions: ReadonlySet<string> = new Set(["PodScheduled", "Ready", "Initialized"]);

function validateConditions(conditions: readonly PodCondition[], at: Place): void {
  conditions.forEach(({ type = "", observedGeneration = 0 }, i) => {
    if (observedGeneration < 0) {
      at.index(i).child("observedGeneration").invalid(observedGeneration, "must be a non-negative integer");
    }
    if (!systemConditions.has(type)) at.index(i).child("Type").invalidEach(type, isQualifiedName(type));
  });
}

function validateClaimStatuses({ spec, status }: Pod, at: Place): void {
  const known = new Set(spec?.resourceClaims?.map(({ name }) => name));
  const seen = new Set<string>();
  status?.resourceClaimStatuses?.forEach(({ name, resourceClaimName }, i) => {
    const place = at.index(i);
    if (!known.has(name)) {
      place.child("name").invalid(name, "must match the name of an entry in `spec.resourceClaims`");
    }
    if (seen.has(name)) place.child("name").duplicate(name);
    seen.add(name);
    if (resourceClaimName === undefined) return;
    place.child("resourceClaimName").invalidEach(resourceClaimName, nameIsDnsSubdomain(resourceClaimName, false));
  });
}

function validateAddresses(status: PodStatus, before: PodStatus, at: Place): void {
  validateAddressList(status, before, { list: "podIPs", at: at.child("podIPs") });
  const first = status.hostIPs?.[0]?.ip;
  if (first === undefined) return;
  const place = at.child("hostIPs");
  if (first !== (status.hostIP ?? "")) place.index(0).child("ip").invalid(first, "must be equal to `hostIP`");
  validateAddressList(status, before, { list: "hostIPs", at: place });
}

/** One of each family; what is stored already may stay. */
function validateAddressList(
  status: PodStatus,
  before: PodStatus,
  { list, at }: { list: "podIPs" | "hostIPs"; at: Place },
): void {
  const addresses = (status[list] ?? []).map(({ ip = "" }) => ip);
  const known = new Set(before[list]?.map(({ ip }) => ip));
  addresses.forEach((ip, i) => {
    if (!known.has(ip)) validateIp(ip, at.index(i));
  });
  if (addresses.length < 2) return;
  if (!isDualStack(addresses.map(parseIp)) || addresses.length > 2) {
    at.invalid(status[list], "may specify no more than one IP for each IP family");
  }
}

function validateUsers(statuses: readonly ContainerStatus[], at: Place, system: string): void {
  statuses.forEach(({ user }, i) => {
    const linux = user?.linux;
    if (!linux) return;
    const place = at.index(i).child("user").child("linux");
    if (system === "windows") {
      place.forbidden("cannot be set for a windows pod");
      return;
    }
    place.child("uid").invalidEach(linux.uid, isUserId(linux.uid));
    place.child("gid").invalidEach(linux.gid, isGroupId(linux.gid));
    linux.supplementalGroups?.forEach((group, j) => {
      place.child("supplementalGroups").index(j).invalidEach(group, isGroupId(group));
    });
  });
}
