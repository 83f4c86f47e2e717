/** What an update of a pod may change: images, the deadline, tolerations, gates, and of gated pods where they may run. */
import { type FieldError, rangeMessage } from "#machinery";
import { printDifference, semanticEqual } from "../../equality.ts";
import { Place } from "../../place.ts";
import { appArmorPrefix, mirrorAnnotation } from "../../pod-spec/annotations.ts";
import { validateTolerations } from "../../pod-spec/tolerations.ts";
import { int32Max } from "../../pod-spec/validate.ts";
import { setOrDelete } from "../../strategy.ts";
import type { Affinity, Container, Pod, PodSchedulingGate, PodSpec, Toleration } from "../../types.d.ts";
import { validateNodeAffinityChange, validateNodeSelectorChange } from "./gated.ts";
import { specOf, validateChangedPod } from "./validate.ts";

const updatableFields = [
  "`spec.containers[*].image`",
  "`spec.initContainers[*].image`",
  "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
];

export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors = validateChangedPod(pod, old);
  validateAnnotationsChange(pod, old, errors);
  const spec = specOf(pod);
  const oldSpec = specOf(old);
  const at = Place.root("spec", errors);
  for (const list of ["containers", "initContainers"] as const) {
    if (!validateContainersChange(spec[list] ?? [], oldSpec[list] ?? [], at.child(list))) return errors;
  }
  if (!validateDeadline(spec, oldSpec, at.child("activeDeadlineSeconds"))) return errors;
  validateTolerationsChange(spec.tolerations ?? [], oldSpec.tolerations ?? [], at.child("tolerations"));
  validateGatesChange(spec.schedulingGates ?? [], oldSpec.schedulingGates ?? [], at.child("schedulingGates"));
  if (!semanticEqual(spec, oldSpec)) validateRest(spec, oldSpec, at);
  return errors;
}

/** Annotations that other parts have acted on already. */
export function validateAnnotationsChange(pod: Pod, old: Pod, errors: FieldError[]): void {
  const now = pod.metadata?.annotations ?? {};
  const before = old.metadata?.annotations ?? {};
  const at = Place.root("metadata", errors).child("annotations");
  for (const key in before) {
    if (now[key] === before[key]) continue;
    if (key.startsWith(appArmorPrefix)) at.key(key).forbidden("may not remove or update AppArmor annotations");
    if (key === mirrorAnnotation) at.key(key).forbidden("may not remove or update mirror pod annotation");
  }
  for (const key in now) {
    if (key in before) continue;
    if (key.startsWith(appArmorPrefix)) at.key(key).forbidden("may not add AppArmor annotations");
    if (key === mirrorAnnotation) at.key(key).forbidden("may not add mirror pod annotation");
  }
}

/** Answers whether the rest can be compared container by container. */
function validateContainersChange(now: readonly Container[], before: readonly Container[], at: Place): boolean {
  if (now.length !== before.length) {
    at.forbidden("pod updates may not add or remove containers");
    return false;
  }
  now.forEach(({ image = "" }, i) => {
    const place = at.index(i).child("image");
    if (image === "") place.required();
    if (image !== image.trim()) place.invalid(image, "must not have leading or trailing whitespace");
  });
  return true;
}

/** It may appear and become shorter. */
function validateDeadline(spec: PodSpec, old: PodSpec, at: Place): boolean {
  const now = spec.activeDeadlineSeconds;
  const before = old.activeDeadlineSeconds;
  if (now === undefined) {
    if (before !== undefined) at.invalid(undefined, "must not update from a positive integer to nil value");
    return true;
  }
  if (now < 0 || now > int32Max) at.invalid(now, rangeMessage(0, int32Max));
  else if (before !== undefined && before < now) at.invalid(now, "must be less than or equal to previous value");
  else return true;
  return false;
}

function validateTolerationsChange(now: readonly Toleration[], before: readonly Toleration[], at: Place): void {
  const isSame = (a: Toleration, b: Toleration) =>
    (["key", "operator", "value", "effect"] as const).every((field) => (a[field] ?? "") === (b[field] ?? ""));
  for (const old of before) {
    if (now.some((each) => isSame(each, old))) continue;
    at.forbidden("existing toleration can not be modified except its tolerationSeconds");
    return;
  }
  validateTolerations(now, at);
}

function validateGatesChange(now: readonly PodSchedulingGate[], before: readonly PodSchedulingGate[], at: Place): void {
  const known = new Set(before.map(({ name }) => name));
  now.forEach(({ name }, i) => {
    if (known.has(name)) return;
    at.index(i).child("name").forbidden(`only deletion is allowed, but found new scheduling gate '${name}'`);
  });
}

/** All that may change is put back; what still differs may not. */
function validateRest(spec: PodSpec, old: PodSpec, at: Place): void {
  const withImages = (now: readonly Container[] = [], before: readonly Container[] = []) =>
    now.map((container, i) => {
      const copy = { ...container };
      setOrDelete(copy, { image: before[i]?.image });
      return copy;
    });
  const masked: PodSpec = {
    ...spec,
    containers: withImages(spec.containers, old.containers),
    initContainers: withImages(spec.initContainers, old.initContainers),
    schedulingGates: old.schedulingGates ?? [],
    tolerations: old.tolerations ?? [],
  };
  setOrDelete(masked, { activeDeadlineSeconds: old.activeDeadlineSeconds });
  const grace = old.terminationGracePeriodSeconds;
  if (grace !== undefined && grace < 0 && spec.terminationGracePeriodSeconds === 1) {
    masked.terminationGracePeriodSeconds = grace;
  }
  if (old.schedulingGates?.length) maskGated(masked, old, at);
  if (semanticEqual(masked, old)) return;
  const fields = updatableFields.join(",");
  at.forbidden(`pod updates may not change fields other than ${fields}\n${printDifference(old, masked)}`);
}

/** A pod that waits at a gate may still be narrowed down to fewer nodes. */
function maskGated(masked: PodSpec, old: PodSpec, at: Place): void {
  validateNodeSelectorChange(masked.nodeSelector, old.nodeSelector, at.child("nodeSelector"));
  masked.nodeSelector = old.nodeSelector ?? {};
  const now = masked.affinity?.nodeAffinity;
  const before = old.affinity?.nodeAffinity;
  if (semanticEqual(now, before)) return;
  validateNodeAffinityChange(now, before, at.child("affinity").child("nodeAffinity"));
  const affinity: Affinity = { ...masked.affinity };
  if (before) affinity.nodeAffinity = before;
  else delete affinity.nodeAffinity;
  masked.affinity = affinity;
}
