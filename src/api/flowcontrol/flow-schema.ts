/** FlowSchema: which requests go to which priority level. Follows upstream's registry/flowcontrol/flowschema. */
import { type FieldError, nameIsDnsSubdomain } from "#machinery";
import { ageColumn, none } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { FlowSchema, FlowSchemaSpec } from "../types.d.ts";
import { validateFlowRules } from "./flow-rules.ts";
import { mandatoryFlowSchemas } from "./mandatory.ts";
import { statusStrategy, validateConditions } from "./status.ts";

const defaultPrecedence = 1000;
const precedenceMax = 10_000;
const methods = ["ByNamespace", "ByUser"];

function validateSchema(schema: FlowSchema): FieldError[] {
  const at = Place.root("spec");
  const name = schema.metadata.name ?? "";
  const spec = specOf(schema);
  validateSpec(spec, at, name);
  const mandatory = Object.hasOwn(mandatoryFlowSchemas, name) ? mandatoryFlowSchemas[name] : undefined;
  if (mandatory && !semanticEqual(spec, mandatory)) {
    const printed = goStruct("api.flowcontrol.v1.FlowSchemaSpec", spec);
    at.invalid(printed, `spec of '${name}' must equal the fixed value`);
  }
  return validateConditions(schema, at.errors);
}

function validateSpec(spec: FlowSchemaSpec, at: Place, schemaName: string): void {
  const { matchingPrecedence: precedence = 0, distinguisherMethod: method, rules = [] } = spec;
  const precedenceAt = at.child("matchingPrecedence");
  if (precedence <= 0) precedenceAt.invalid(precedence, "must be a positive value");
  if (precedence > precedenceMax) precedenceAt.invalid(precedence, `must not be greater than ${precedenceMax}`);
  if (precedence === 1 && schemaName !== "exempt") {
    precedenceAt.invalid(precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  }
  if (method && !methods.includes(method.type ?? "")) {
    // As Go prints it.
    at.child("distinguisherMethod").child("type").notSupported({ Type: method.type }, methods);
  }
  const name = spec.priorityLevelConfiguration?.name ?? "";
  const nameAt = at.child("priorityLevelConfiguration").child("name");
  if (name === "") nameAt.required("must reference a priority level");
  else nameAt.invalidEach(name, nameIsDnsSubdomain(name, false));
  rules.forEach((rule, i) => {
    validateFlowRules(rule, at.child("rules").index(i));
  });
}

export const flowSchemaKind = defineKind<FlowSchema>({
  group: "flowcontrol.apiserver.k8s.io",
  kind: "FlowSchema",
  resource: "flowschemas",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults(schema) {
    schema.spec ??= { priorityLevelConfiguration: { name: "" } };
    schema.spec.matchingPrecedence ||= defaultPrecedence;
  },
  prepareForCreate(schema) {
    schema.status = {};
    firstGeneration(schema);
  },
  prepareForUpdate(schema, old) {
    bumpGeneration(schema, old);
    setOrDelete(schema, { status: old.status });
  },
  validate: validateSchema,
  validateUpdate: validateSchema,

  subresources: { status: statusStrategy },

  columns: [
    {
      name: "PriorityLevel",
      type: "string",
      description: { field: "V1PriorityLevelConfigurationReference.name" },
      of: ({ spec }) => spec?.priorityLevelConfiguration?.name ?? "",
    },
    {
      name: "MatchingPrecedence",
      type: "string",
      description: { field: "V1FlowSchemaSpec.matchingPrecedence", gaps: { "31": "  " } },
      of: ({ spec }) => spec?.matchingPrecedence ?? 0,
    },
    {
      name: "DistinguisherMethod",
      type: "string",
      description:
        "`distinguisherMethod` defines how to compute the flow distinguisher for requests that match this schema. `nil` specifies that the distinguisher is disabled and thus will always be the empty string.",
      of: ({ spec }) => (spec?.distinguisherMethod ? (spec.distinguisherMethod.type ?? "") : none),
    },
    ageColumn,
    {
      name: "MissingPL",
      type: "string",
      description: "references a broken or non-existent PriorityLevelConfiguration",
      of: ({ status }) => (status?.conditions ?? []).find(({ type }) => type === "Dangling")?.status ?? "?",
    },
  ],
});
