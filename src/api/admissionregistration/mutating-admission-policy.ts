/**
 * MutatingAdmissionPolicy: expressions that change objects before they are stored. Follows upstream's registry/admissionregistration.
 * Compiling the expressions, and whether the user may read the parameters, are the API server's.
 */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { MutatingAdmissionPolicy, Mutation } from "../types.d.ts";
import { validateMatchConditions } from "./match-conditions.ts";
import {
  defaultMatchResources,
  printParamKind,
  validateChoice,
  validateConstraints,
  validateFailurePolicy,
  validateMutableOperations,
  validateParamKind,
} from "./match-resources.ts";
import { staticNameWarnings } from "./static-name.ts";
import { validateVariables } from "./variables.ts";

function validatePolicy(policy: MutatingAdmissionPolicy, old?: MutatingAdmissionPolicy): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(policy);
  validateFailurePolicy(spec.failurePolicy, at.child("failurePolicy"));
  if (spec.paramKind) validateParamKind(spec.paramKind, at.child("paramKind"));
  validateConstraints(spec.matchConstraints, at.child("matchConstraints"));
  validateMutableOperations(spec.matchConstraints, at.child("matchConstraints"));
  const isSame = old !== undefined && semanticEqual(spec.matchConditions, old.spec?.matchConditions);
  if (!isSame) validateMatchConditions(spec.matchConditions, at.child("matchConditions"));
  validateVariables(spec.variables, at.child("variables"));
  const mutations = spec.mutations ?? [];
  if (mutations.length === 0) at.child("mutations").required("mutations must contain at least one item");
  mutations.forEach((mutation, i) => {
    validateMutation(mutation, at.child("mutations").index(i));
  });
  validateChoice(spec.reinvocationPolicy, at.child("reinvocationPolicy"), ["IfNeeded", "Never"]);
  return at.errors;
}

/** By patch type, the field of its patch. */
const patchFields = { ApplyConfiguration: "applyConfiguration", JSONPatch: "jsonPatch" } as const;
const patchTypes = ["ApplyConfiguration", "JSONPatch"] as const;

function validateMutation(mutation: Mutation, at: Place): void {
  const { patchType = "" } = mutation;
  const own = patchTypes.find((type) => type === patchType);
  if (!own) {
    validateChoice(patchType, at.child("patchType"), patchTypes);
    return;
  }
  const field = patchFields[own];
  const patch = mutation[field];
  if (!patch) at.child(field).required(`must be specified when patchType is ${own}`);
  else if (!patch.expression?.trim()) at.child(field).child("expression").required();
  for (const type of patchTypes) {
    const other = patchFields[type];
    if (type === own || !mutation[other]) continue;
    at.child(other).invalid(`{${other}}`, `must not be specified when patchType is ${own}`);
  }
}

export const mutatingAdmissionPolicyKind = defineKind<MutatingAdmissionPolicy>({
  group: "admissionregistration.k8s.io",
  kind: "MutatingAdmissionPolicy",
  resource: "mutatingadmissionpolicies",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults(policy) {
    policy.spec ??= {};
    policy.spec.failurePolicy ??= "Fail";
    defaultMatchResources(policy.spec.matchConstraints);
  },
  prepareForCreate: firstGeneration,
  prepareForUpdate: bumpGeneration,
  validate: (policy) => validatePolicy(policy),
  validateUpdate: (policy, old) => validatePolicy(policy, old),
  warningsOnCreate: staticNameWarnings,
  warningsOnUpdate: staticNameWarnings,

  columns: [
    {
      name: "Mutations",
      type: "integer",
      description: "Mutation indicates the number of mutations rules defined in this configuration",
      of: ({ spec }) => spec?.mutations?.length ?? 0,
    },
    {
      name: "ParamKind",
      type: "string",
      description: "ParamKind specifies the kind of resources used to parameterize this policy",
      of: ({ spec }) => printParamKind(spec?.paramKind),
    },
    ageColumn,
  ],
});
