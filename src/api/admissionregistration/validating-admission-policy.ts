/**
 * ValidatingAdmissionPolicy: expressions that decide whether a request may pass. Follows upstream's registry/admissionregistration.
 * Compiling the expressions, and whether the user may read the parameters, are the API server's.
 */
import { type FieldError, isQualifiedName, validateConditions } from "#machinery";
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, resetMetaForStatus, setOrDelete } from "../strategy.ts";
import type {
  AuditAnnotation,
  ExpressionWarning,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicySpec,
  Validation,
} from "../types.d.ts";
import { validateMatchConditions } from "./match-conditions.ts";
import {
  defaultMatchResources,
  printParamKind,
  validateConstraints,
  validateFailurePolicy,
  validateParamKind,
} from "./match-resources.ts";
import { staticNameWarnings } from "./static-name.ts";
import { validateVariables } from "./variables.ts";

const annotationsMax = 20;
/** Less than an annotation's value can have: expressions that join texts answer longer ones. */
const valueExpressionBytesMax = 5 * 1024;
const reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

interface PolicyOptions {
  readonly name: string;
  readonly skipMatchConditions?: boolean;
}

function validateSpec(spec: ValidatingAdmissionPolicySpec, at: Place, options: PolicyOptions): void {
  validateFailurePolicy(spec.failurePolicy, at.child("failurePolicy"));
  if (spec.paramKind) validateParamKind(spec.paramKind, at.child("paramKind"));
  validateConstraints(spec.matchConstraints, at.child("matchConstraints"));
  if (!options.skipMatchConditions) validateMatchConditions(spec.matchConditions, at.child("matchConditions"));
  validateVariables(spec.variables, at.child("variables"));
  const { validations = [], auditAnnotations = [] } = spec;
  if (validations.length + auditAnnotations.length === 0) {
    const why = "validations or auditAnnotations must contain at least one item";
    at.child("validations").required(why);
    at.child("auditAnnotations").required(why);
    return;
  }
  validations.forEach((validation, i) => {
    validateValidation(validation, at.child("validations").index(i));
  });
  validateAnnotations(auditAnnotations, at.child("auditAnnotations"), options.name);
}

function validateValidation(validation: Validation, at: Place): void {
  const { expression = "", message = "", messageExpression = "", reason } = validation;
  if (expression.trim() === "") at.child("expression").required("expression is not specified");
  if (messageExpression !== "" && messageExpression.trim() === "") {
    at.child("messageExpression").invalid(messageExpression, "must be non-empty if specified");
  }
  const messageAt = at.child("message");
  if (message !== "" && message.trim() === "") messageAt.invalid(message, "message must be non-empty if specified");
  else if (/[\n\r]/.test(message.trim())) messageAt.invalid(message, "message must not contain line breaks");
  if (reason !== undefined && !reasons.includes(reason)) at.child("reason").notSupported(reason, reasons);
}

function validateAnnotations(annotations: readonly AuditAnnotation[], at: Place, policyName: string): void {
  if (annotations.length > annotationsMax) {
    const printed = annotations.map((each) => goStruct("api.admissionregistration.v1.AuditAnnotation", each));
    at.invalid(printed, `must not have more than ${annotationsMax} auditAnnotations`);
  }
  const keys = new Set<string>();
  annotations.forEach(({ key = "", valueExpression = "" }, i) => {
    const place = at.index(i);
    if (policyName === "") place.child("key").invalid(key, "requires metadata.name be non-empty");
    else place.child("key").invalidEach(`${policyName}/${key}`, isQualifiedName(`${policyName}/${key}`));
    const expression = valueExpression.trim();
    const expressionAt = place.child("valueExpression");
    if (expression === "") expressionAt.required("valueExpression is not specified");
    else if (Buffer.byteLength(expression) > valueExpressionBytesMax) {
      expressionAt.required(`must not exceed ${valueExpressionBytesMax} bytes in length`);
    }
    if (keys.has(key)) place.child("key").duplicate(key);
    keys.add(key);
  });
}

function validatePolicy(policy: ValidatingAdmissionPolicy, old?: ValidatingAdmissionPolicy): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(policy);
  const skipMatchConditions = old !== undefined && semanticEqual(spec.matchConditions, old.spec?.matchConditions);
  validateSpec(spec, at, { name: policy.metadata.name ?? "", skipMatchConditions });
  return at.errors;
}

function validateStatus({ status = {} }: ValidatingAdmissionPolicy): FieldError[] {
  const at = Place.root("status");
  const warnings = status.typeChecking?.expressionWarnings ?? [];
  warnings.forEach(({ warning, fieldRef }: ExpressionWarning, i) => {
    const place = at.child("typeChecking").child("expressionWarnings").index(i);
    if (!warning) place.child("warning").required();
    if (!fieldRef?.trim()) place.child("fieldRef").required();
  });
  at.add(validateConditions(status.conditions, at.child("conditions").path));
  return at.errors;
}

export const validatingAdmissionPolicyKind = defineKind<ValidatingAdmissionPolicy>({
  group: "admissionregistration.k8s.io",
  kind: "ValidatingAdmissionPolicy",
  resource: "validatingadmissionpolicies",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,
  resetFields: ["status"],

  defaults(policy) {
    policy.spec ??= {};
    policy.spec.failurePolicy ??= "Fail";
    defaultMatchResources(policy.spec.matchConstraints);
  },
  prepareForCreate(policy) {
    policy.status = {};
    firstGeneration(policy);
  },
  prepareForUpdate(policy, old) {
    setOrDelete(policy, { status: old.status });
    bumpGeneration(policy, old);
  },
  validate: (policy) => validatePolicy(policy),
  validateUpdate: (policy, old) => validatePolicy(policy, old),
  warningsOnCreate: staticNameWarnings,
  warningsOnUpdate: staticNameWarnings,

  subresources: {
    status: {
      resetFields: ["metadata", "spec"],
      prepareForUpdate(policy, old) {
        resetMetaForStatus(policy, old);
        setOrDelete(policy, { spec: old.spec });
      },
      validateUpdate: validateStatus,
    },
  },

  columns: [
    {
      name: "Validations",
      type: "integer",
      description: "Validations indicates the number of validation rules defined in this configuration",
      of: ({ spec }) => spec?.validations?.length ?? 0,
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
