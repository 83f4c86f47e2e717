/** MutatingAdmissionPolicyBinding: where a mutating policy holds, and with which parameters. Follows upstream's registry/admissionregistration. */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { MutatingAdmissionPolicyBinding } from "../types.d.ts";
import {
  bindingColumns,
  defaultMatchResources,
  validateMatchResources,
  validateMutableOperations,
  validateParamRef,
  validatePolicyName,
} from "./match-resources.ts";
import { staticNameWarnings } from "./static-name.ts";

function validateBinding(binding: MutatingAdmissionPolicyBinding): FieldError[] {
  const at = Place.root("spec");
  const { policyName, paramRef, matchResources } = specOf(binding);
  validatePolicyName(policyName, at.child("policyName"));
  validateParamRef(paramRef, at.child("paramRef"));
  validateMatchResources(matchResources, at.child("matchResources"));
  validateMutableOperations(matchResources, at.child("matchResources"));
  return at.errors;
}

export const mutatingAdmissionPolicyBindingKind = defineKind<MutatingAdmissionPolicyBinding>({
  group: "admissionregistration.k8s.io",
  kind: "MutatingAdmissionPolicyBinding",
  resource: "mutatingadmissionpolicybindings",
  storageVersion: "v1",
  hashedVersion: "v1beta1",
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
