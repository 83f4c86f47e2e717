/** What may change in a claim: the size of a bound one, its attributes, and once the volume and the class. */
import { compareQuantities, type FieldError, FieldPath, validateLabelSelector } from "#machinery";
import { printDifference, semanticEqual } from "../../equality.ts";
import { Place } from "../../place.ts";
import { type ClaimTolerance, validateClaimSpec } from "../../pod-spec/claim-spec.ts";
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from "../../types.d.ts";
import { betaClassAnnotation } from "../persistent-volume/text.ts";

/** What the stored claim has wrong may stay. */
export function toleranceOf({ spec = {} }: PersistentVolumeClaim): ClaimTolerance {
  const { dataSource, dataSourceRef, selector } = spec;
  return {
    selectorValues: validateLabelSelector(selector, FieldPath.none).length > 0,
    dataSourceGroups: typeof dataSource?.apiGroup === "string" || typeof dataSourceRef?.apiGroup === "string",
  };
}

export function validateClaim({ spec = {} }: PersistentVolumeClaim, tolerate: ClaimTolerance = {}): FieldError[] {
  const at = Place.root("spec");
  validateClaimSpec(spec, at, tolerate);
  return at.errors;
}

export function validateClaimUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const own = validateClaim(claim, toleranceOf(old));
  // Upstream checks the claim twice, which clients see.
  const errors = [...own, ...own];
  const spec = claim.spec ?? {};
  const before = old.spec ?? {};
  validateClass(claim, old, errors);
  const at = Place.root("spec", errors);
  const { masked, expected } = maskChangeable(claim, old);
  if (!isSameSpec(masked, expected)) {
    const what =
      "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    at.forbidden(`${what}\n${printDifference(expected, masked)}`);
  }
  validateSize(claim, old, at);
  if (spec.volumeMode !== before.volumeMode) {
    Place.root("volumeMode", errors).invalid(spec.volumeMode, "field is immutable");
  }
  if (old.status?.currentVolumeAttributesClassName !== undefined) validateAttributesStay(spec, before, at);
  return errors;
}

/** Of these fields an empty text isn't nothing. */
const isSameSpec = (a: PersistentVolumeClaimSpec, b: PersistentVolumeClaimSpec): boolean =>
  semanticEqual(a, b) &&
  a.storageClassName === b.storageClassName &&
  a.volumeAttributesClassName === b.volumeAttributesClassName;

/** Attributes that are in effect can't be taken away, only changed. */
function validateAttributesStay(
  { volumeAttributesClassName: name }: PersistentVolumeClaimSpec,
  before: PersistentVolumeClaimSpec,
  at: Place,
): void {
  if (name || name === before.volumeAttributesClassName) return;
  const what = name === undefined ? "nil" : "empty string";
  const why = `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`;
  at.child("volumeAttributesClassName").forbidden(why);
}

/** The annotation of before there was a field may become the field, nothing else. */
const becameField = (claim: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean => {
  const before = old.metadata.annotations?.[betaClassAnnotation];
  const now = claim.metadata.annotations?.[betaClassAnnotation];
  return (
    before !== undefined &&
    old.spec?.storageClassName === undefined &&
    claim.spec?.storageClassName === before &&
    (now === undefined || now === before)
  );
};

function validateClass(claim: PersistentVolumeClaim, old: PersistentVolumeClaim, errors: FieldError[]): void {
  const before = old.metadata.annotations?.[betaClassAnnotation] ?? "";
  const now = claim.metadata.annotations?.[betaClassAnnotation] ?? "";
  if (becameField(claim, old) || now === before) return;
  Place.root("metadata", errors).child("annotations").child(betaClassAnnotation).invalid(now, "field is immutable");
}

interface Masked {
  readonly masked: PersistentVolumeClaimSpec;
  readonly expected: PersistentVolumeClaimSpec;
}

/** Both specs without what may differ. */
function maskChangeable(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): Masked {
  const spec = claim.spec ?? {};
  const before = old.spec ?? {};
  const { storageClassName: className, ...masked } = spec;
  const expected = { ...before };
  if (!before.volumeName && spec.volumeName) expected.volumeName = spec.volumeName;
  const result: PersistentVolumeClaimSpec = masked;
  if (className !== undefined && !mayGetClass(claim, old)) result.storageClassName = className;
  const requests = spec.resources?.requests;
  if (claim.status?.phase !== "Bound") return { masked: result, expected };
  delete result.volumeAttributesClassName;
  delete expected.volumeAttributesClassName;
  if (requests) {
    const size = before.resources?.requests?.storage ?? "0";
    result.resources = { ...spec.resources, requests: { ...requests, storage: size } };
  }
  return { masked: result, expected };
}

/** A claim that was made while there was no default class gets one later. */
function mayGetClass(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  if (old.spec?.storageClassName !== undefined) return false;
  const annotation = old.metadata.annotations?.[betaClassAnnotation];
  return becameField(claim, old) || annotation === undefined || annotation === claim.spec?.storageClassName;
}

/** After an expansion that failed it may ask for less again, but for more than it has. */
function validateSize(claim: PersistentVolumeClaim, old: PersistentVolumeClaim, at: Place): void {
  const now = claim.spec?.resources?.requests?.storage ?? "0";
  const before = old.spec?.resources?.requests?.storage ?? "0";
  const has = old.status?.capacity?.storage ?? "0";
  if (compareQuantities(now, before) >= 0 || compareQuantities(now, has) > 0) return;
  const place = at.child("resources").child("requests").child("storage");
  place.forbidden("field can not be less than status.capacity");
}
