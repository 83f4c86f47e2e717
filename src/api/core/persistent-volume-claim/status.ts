/** What the volume binder and the resizers report about a claim. */
import { type FieldError, isQualifiedName } from "#machinery";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { isNativeResource, validateAmount } from "../../resource-names.ts";
import { setOrDelete } from "../../strategy.ts";
import type { PersistentVolumeClaim } from "../../types.d.ts";
import { validatePresent } from "../persistent-volume/validate.ts";

const resizeStates = [
  "ControllerResizeInProgress",
  "ControllerResizeInfeasible",
  "NodeResizeInProgress",
  "NodeResizeInfeasible",
  "NodeResizePending",
].sort();

/** Answers whether it is fine. Of Kubernetes' own resources a claim only has storage. */
function validateName(name: string, at: Place): boolean {
  const messages = isQualifiedName(name);
  at.invalidEach(name, messages);
  if (messages.length > 0) return false;
  if (!isNativeResource(name) || name === "storage") return true;
  at.notSupported(name, ["storage"]);
  return false;
}

function validateStatus({ spec, status = {} }: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec?.accessModes?.length) Place.root("Spec", errors).child("accessModes").required();
  const at = Place.root("status", errors);
  const { capacity = {}, allocatedResourceStatuses: states = {}, allocatedResources: allocated = {} } = status;
  for (const name in capacity) validatePresent(capacity[name] ?? "0", at.child("capacity").key(name));
  const statesAt = at.child("allocatedResourceStatuses");
  for (const name in states) {
    validateName(name, statesAt);
    if (!resizeStates.includes(states[name] ?? "")) statesAt.notSupported(name, resizeStates);
  }
  const allocatedAt = at.child("allocatedResources");
  for (const name in allocated) {
    if (!validateName(name, allocatedAt)) continue;
    const amount = allocated[name] ?? "0";
    if (validatePresent(amount, allocatedAt.key(name))) validateAmount("storage", amount, allocatedAt.key(name));
  }
  return errors;
}

export const claimStatusStrategy: Strategy<PersistentVolumeClaim> = {
  resetFields: ["spec"],
  prepareForUpdate(claim, old) {
    setOrDelete(claim, { spec: old.spec });
  },
  validateUpdate: validateStatus,
};
