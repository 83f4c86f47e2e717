/**
 * MutatingAdmissionPolicy: expressions that change objects before they are stored. Follows upstream's registry/admissionregistration.
 * Whether the user may read the parameters is the API server's to say.
 */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { MutatingAdmissionPolicy, Mutation } from "../types.d.ts";
import { checkExpression, ExpressionCompiler } from "./expressions.ts";
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
  const stored = old ? expressionsOf(old) : new Set<string>();
  const params = spec.paramKind !== undefined;
  if (!isSame) validateMatchConditions(spec.matchConditions, at.child("matchConditions"), { params, stored });
  const compiler = new ExpressionCompiler({ composed: (spec.variables?.length ?? 0) > 0, stored });
  validateVariables(spec.variables, at.child("variables"), { compiler, params });
  const mutations = spec.mutations ?? [];
  if (mutations.length === 0) at.child("mutations").required("mutations must contain at least one item");
  mutations.forEach((mutation, i) => {
    validateMutation(mutation, at.child("mutations").index(i), { compiler, params });
  });
  validateChoice(spec.reinvocationPolicy, at.child("reinvocationPolicy"), ["IfNeeded", "Never"]);
  return at.errors;
}

/** By patch type, the field of its patch. */
const patchFields = { ApplyConfiguration: "applyConfiguration", JSONPatch: "jsonPatch" } as const;
const patchReturns = { ApplyConfiguration: "apply configuration", JSONPatch: "JSON patches" } as const;
const patchTypes = ["ApplyConfiguration", "JSONPatch"] as const;

function expressionsOf({ spec }: MutatingAdmissionPolicy): Set<string> {
  const { matchConditions = [], variables = [], mutations = [] } = spec ?? {};
  const patches = mutations.map(({ applyConfiguration, jsonPatch }) => (applyConfiguration ?? jsonPatch)?.expression);
  return new Set(
    [...matchConditions, ...variables].map(({ expression }) => expression).concat(patches.map((patch) => patch ?? "")),
  );
}

function validateMutation(
  mutation: Mutation,
  at: Place,
  { compiler, params }: { readonly compiler: ExpressionCompiler; readonly params: boolean },
): void {
  const { patchType = "" } = mutation;
  const own = patchTypes.find((type) => type === patchType);
  if (!own) {
    validateChoice(patchType, at.child("patchType"), patchTypes);
    return;
  }
  const field = patchFields[own];
  const patch = mutation[field];
  if (!patch) at.child(field).required(`must be specified when patchType is ${own}`);
  else {
    const source = (patch.expression ?? "").trim();
    const expressionAt = at.child(field).child("expression");
    const context = { params, authorizer: true, patches: true };
    if (source === "") expressionAt.required();
    else checkExpression(expressionAt, compiler.compile(source, { ...context, returns: patchReturns[own] }));
  }
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
  hashedVersion: "v1beta1",
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
