/**
 * CustomResourceDefinition: a kind that users add. What this server does with one is in `src/apiserver/custom/`.
 * Follows apiextensions-apiserver's registry/customresourcedefinition.
 */
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { setOrDelete } from "../strategy.ts";
import type { CustomResourceDefinition } from "../types.d.ts";
import { validateDefinition, validateDefinitionUpdate, validateStatus } from "./definition-validation.ts";
import { type JsonSchema, schemaHas } from "./schema/json-schema.ts";

const webhookPort = 443;

/** The version that is stored belongs to those that ever were. */
function noteStoredVersion({ spec, status }: CustomResourceDefinition): void {
  const stored = spec?.versions?.find(({ storage }) => storage)?.name;
  if (stored === undefined || !status || status.storedVersions?.includes(stored)) return;
  status.storedVersions = [...(status.storedVersions ?? []), stored];
}

export const customResourceDefinitionKind = defineKind<CustomResourceDefinition>({
  group: "apiextensions.k8s.io",
  kind: "CustomResourceDefinition",
  resource: "customresourcedefinitions",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,
  anyFinalizer: true,
  resetFields: ["status"],

  defaults({ spec }) {
    if (!spec?.names) return;
    const { names } = spec;
    if (names.kind) {
      names.singular ||= names.kind.toLowerCase();
      names.listKind ||= `${names.kind}List`;
    }
    spec.conversion ??= { strategy: "None" };
    const service = spec.conversion.webhook?.clientConfig?.service;
    if (service) service.port ??= webhookPort;
  },
  prepareForCreate(definition) {
    definition.metadata.generation = 1;
    // As Go prints a status nobody has written yet.
    const nothing = { conditions: null, acceptedNames: { plural: "", kind: "" }, storedVersions: null };
    definition.status = nothing as unknown as NonNullable<CustomResourceDefinition["status"]>; // null stands for none
    noteStoredVersion(definition);
  },
  prepareForUpdate(definition, old) {
    setOrDelete(definition, { status: old.status && { ...old.status } });
    if (!semanticEqual(definition.spec, old.spec)) {
      definition.metadata.generation = (old.metadata.generation ?? 0) + 1;
    }
    noteStoredVersion(definition);
  },
  validate: validateDefinition,
  validateUpdate: validateDefinitionUpdate,
  warningsOnCreate: rulesWarnings,
  warningsOnUpdate: rulesWarnings,

  subresources: {
    status: {
      resetFields: ["metadata", "spec"],
      prepareForUpdate(definition, old) {
        setOrDelete(definition, { spec: old.spec });
      },
      validateUpdate: validateStatus,
    },
  },
});

/** Nobody should believe that rules hold which nobody checks. */
function rulesWarnings({ spec }: CustomResourceDefinition): string[] {
  const hasRules = (schema: JsonSchema) => (schema["x-kubernetes-validations"]?.length ?? 0) > 0;
  return (spec.versions ?? []).flatMap(({ schema }, i) =>
    schemaHas(schema?.openAPIV3Schema, hasRules)
      ? [`spec.versions[${i}].schema: x-kubernetes-validations are stored but not evaluated by this server`]
      : [],
  );
}
