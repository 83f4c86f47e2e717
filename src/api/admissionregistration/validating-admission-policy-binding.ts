/** ValidatingAdmissionPolicyBinding: where a policy holds, with which parameters, and what follows. Follows upstream's registry/admissionregistration. */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { ValidatingAdmissionPolicyBinding } from "../types.d.ts";
import {
  bindingColumns,
  defaultMatchResources,
  validateMatchResources,
  validateParamRef,
  validatePolicyName,
} from "./match-resources.ts";
import { staticNameWarnings } from "./static-name.ts";

const actions = ["Audit", "Deny", "Warn"];
const denyAndWarn =
  "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";

function validateBinding(binding: ValidatingAdmissionPolicyBinding): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(binding);
  validatePolicyName(spec.policyName, at.child("policyName"));
  validateParamRef(spec.paramRef, at.child("paramRef"));
  validateMatchResources(spec.matchResources, at.child("matchResources"));
  validateActions(spec.validationActions ?? [], at.child("validationActions"));
  return at.errors;
}

function validateActions(wanted: readonly string[], at: Place): void {
  wanted.forEach((action, i) => {
    if (!actions.includes(action)) at.index(i).notSupported(action, actions);
    if (wanted.indexOf(action) < i) at.index(i).duplicate(action);
  });
  if (wanted.includes("Deny") && wanted.includes("Warn")) at.invalid(wanted, denyAndWarn);
  if (wanted.length === 0) at.required("at least one validation action is required");
}

export const validatingAdmissionPolicyBindingKind = defineKind<ValidatingAdmissionPolicyBinding>({
  group: "admissionregistration.k8s.io",
  kind: "ValidatingAdmissionPolicyBinding",
  resource: "validatingadmissionpolicybindings",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults: ({ spec }) => defaultMatchResources(spec?.matchResources),
  prepareForCreate: firstGeneration,
  prepareForUpdate: bumpGeneration,
  validate: validateBinding,
  validateUpdate: validateBinding,
  warningsOnCreate: staticNameWarnings,
  warningsOnUpdate: staticNameWarnings,

  columns: [...bindingColumns, ageColumn],
});
