/**
 * CustomResourceDefinition: a kind that users add. What this server does with one is in `src/apiserver/custom/`.
 * Follows apiextensions-apiserver's registry/customresourcedefinition.
 */
import { inTurns } from "#base";
import { goQuote } from "#machinery";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { setOrDelete } from "../strategy.ts";
import type { CustomResourceDefinition } from "../types.d.ts";
import { validateDefinition, validateDefinitionUpdate, validateStatus } from "./definition-validation.ts";
import { checkAhead } from "./schema/ahead.ts";
import { loadEngines } from "./schema/engines.ts";
import { newRules, rulesOfUpdate } from "./schema/rule-validation.ts";
import { formatOf } from "./schema/formats.ts";
import { schemaHas } from "./schema/json-schema.ts";

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
  hashedVersion: "v1beta1",
  allowUnconditionalUpdate: false,
  anyFinalizer: true,
  resetFields: ["status"],

  defaults(definition) {
    const { spec, status } = definition;
    const stored = (spec?.versions ?? []).filter(({ storage }) => storage).map(({ name }) => name);
    if (!status?.storedVersions?.length && stored.length > 0) definition.status = { ...status, storedVersions: stored };
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
  beforeValidate: prepareValidation,
  validate: validateDefinition,
  validateUpdate: validateDefinitionUpdate,
  warningsOnCreate: (definition) => unknownFormats(definition).map(formatWarning),
  warningsOnUpdate(definition, old) {
    const known = new Set(unknownFormats(old));
    return unknownFormats(definition)
      .filter((format) => !known.has(format))
      .map(formatWarning);
  },

  subresources: {
    status: {
      resetFields: ["spec"],
      prepareForUpdate(definition, old) {
        setOrDelete(definition, { spec: old.spec });
      },
      validateUpdate: validateStatus,
    },
  },
});

/** Engines are loaded, and the largest part of the work is done in turns with others. */
function prepareValidation(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): Promise<void> | undefined {
  const schemas = [definition, old].flatMap((each) => (each?.spec?.versions ?? []).map(({ schema }) => schema));
  const loading = schemas.map((schema) => loadEngines(schema?.openAPIV3Schema)).filter((each) => each !== undefined);
  const options = old ? rulesOfUpdate(definition, old) : newRules;
  const steps = function* (): Generator<void> {
    for (const schema of schemas) if (schema?.openAPIV3Schema) yield* checkAhead(schema.openAPIV3Schema, options);
  };
  const working = loading.length > 0 ? Promise.all(loading).then(() => inTurns(steps())) : inTurns(steps());
  return working instanceof Promise ? working : undefined;
}

/** Formats that are only documentation, which their author may not know. */
function unknownFormats({ spec }: CustomResourceDefinition): string[] {
  const found: string[] = [];
  const versions = spec.versions ?? [];
  const [first] = versions;
  // What all versions have in common counts once.
  const shared = versions.every(({ schema }) => semanticEqual(schema, first?.schema));
  for (const { schema } of shared && first ? [first] : versions)
    schemaHas(schema?.openAPIV3Schema, (part) => {
      if (part.format && formatOf(part) === "") found.push(part.format);
      return false;
    });
  return found;
}

const formatWarning = (format: string): string => `unrecognized format ${goQuote(format)}`;
