/**
 * ValidatingAdmissionPolicy: expressions that decide whether a request may pass. Follows upstream's registry/admissionregistration.
 * Whether the user may read the parameters is the API server's to say.
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
import { checkExpression, ExpressionCompiler } from "./expressions.ts";
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
  readonly skipMatchConditions: boolean;
  /** Expressions that the stored policy has. */
  readonly stored: ReadonlySet<string>;
}

interface Expressions {
  readonly compiler: ExpressionCompiler;
  readonly params: boolean;
}

function expressionsOf({ spec }: ValidatingAdmissionPolicy): Set<string> {
  const { matchConditions = [], validations = [], auditAnnotations = [], variables = [] } = spec ?? {};
  return new Set([
    ...[...matchConditions, ...variables].map(({ expression }) => expression),
    ...validations.flatMap(({ expression, messageExpression = "" }) => [expression, messageExpression]),
    ...auditAnnotations.map(({ valueExpression }) => valueExpression),
  ]);
}

function validateSpec(spec: ValidatingAdmissionPolicySpec, at: Place, options: PolicyOptions): void {
  validateFailurePolicy(spec.failurePolicy, at.child("failurePolicy"));
  if (spec.paramKind) validateParamKind(spec.paramKind, at.child("paramKind"));
  validateConstraints(spec.matchConstraints, at.child("matchConstraints"));
  const { stored } = options;
  const params = spec.paramKind !== undefined;
  if (!options.skipMatchConditions)
    validateMatchConditions(spec.matchConditions, at.child("matchConditions"), { params, stored });
  const compiler = new ExpressionCompiler({ composed: (spec.variables?.length ?? 0) > 0, stored });
  const expressions = { compiler, params };
  validateVariables(spec.variables, at.child("variables"), expressions);
  const { validations = [], auditAnnotations = [] } = spec;
  if (validations.length + auditAnnotations.length === 0) {
    const why = "validations or auditAnnotations must contain at least one item";
    at.child("validations").required(why);
    at.child("auditAnnotations").required(why);
    return;
  }
  validations.forEach((validation, i) => {
    validateValidation(validation, at.child("validations").index(i), expressions);
  });
  validateAnnotations(auditAnnotations, at.child("auditAnnotations"), { ...expressions, policyName: options.name });
}

function validateValidation(validation: Validation, at: Place, { compiler, params }: Expressions): void {
  const { expression = "", message = "", messageExpression = "", reason } = validation;
  const expressionAt = at.child("expression");
  if (expression.trim() === "") expressionAt.required("expression is not specified");
  else checkExpression(expressionAt, compiler.compile(expression, { params, authorizer: true, returns: "bool" }));
  const formAt = at.child("messageExpression");
  if (messageExpression.trim() !== "")
    checkExpression(formAt, compiler.compile(messageExpression, { params, authorizer: false, returns: "string" }));
  else if (messageExpression !== "") formAt.invalid(messageExpression, "must be non-empty if specified");
  const messageAt = at.child("message");
  if (message !== "" && message.trim() === "") messageAt.invalid(message, "must be non-empty if specified");
  else if (/[\n\r]/.test(message.trim())) messageAt.invalid(message, "must not contain line breaks");
  if (reason !== undefined && !reasons.includes(reason)) at.child("reason").notSupported(reason, reasons);
}

function validateAnnotations(
  annotations: readonly AuditAnnotation[],
  at: Place,
  { compiler, params, policyName }: Expressions & { readonly policyName: string },
): void {
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
    } else {
      const { error } = compiler.compile(expression, { params, authorizer: true, returns: "string or null" });
      if (error !== undefined) expressionAt.invalid(valueExpression, error);
    }
    if (keys.has(key)) place.child("key").duplicate(key);
    keys.add(key);
  });
}

function validatePolicy(policy: ValidatingAdmissionPolicy, old?: ValidatingAdmissionPolicy): FieldError[] {
  const at = Place.root("spec");
  const spec = specOf(policy);
  const skipMatchConditions = old !== undefined && semanticEqual(spec.matchConditions, old.spec?.matchConditions);
  const stored = old ? expressionsOf(old) : new Set<string>();
  validateSpec(spec, at, { name: policy.metadata.name ?? "", skipMatchConditions, stored });
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
