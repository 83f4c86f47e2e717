/**
 * What a definition must be. Follows apiextensions/validation. Upstream checks its internal form, in which what all versions have in
 * common stands once at the top: paths in errors are of that form (`spec.validation` for the schema of all versions).
 */
import {
  type FieldError,
  fieldImmutableMessage,
  goQuote,
  isDns1035Label,
  isDns1123Subdomain,
  isPrintable,
} from "#machinery";
import { semanticEqual } from "../equality.ts";
import { Place } from "../place.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
} from "../types.d.ts";
import { conditionIsTrue } from "./conditions.ts";
import {
  caBundleProblem,
  type ConversionOptions,
  hasKnownReviewVersion,
  validateConversion,
} from "./conversion-validation.ts";
import { printedSchema, printedVersions } from "./internal-form.ts";
import { type JsonSchema, schemaHas } from "./schema/json-schema.ts";
import { newRules, type RuleOptions, rulesOfUpdate } from "./schema/rule-validation.ts";
import { type Leniency, leniencyOf, strict, validateSchema } from "./schema/schema-validation.ts";
import { sameTooManyFields, validateSelectableFields } from "./selectable-fields.ts";

const columnTypes = ["boolean", "date", "integer", "number", "string"];
const columnFormats = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const warningCharactersMax = 256;

export function validateDefinition(definition: CustomResourceDefinition): FieldError[] {
  return [
    ...validateName(definition),
    ...validateSpec(definition.spec ?? {}, newDefinition),
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition, undefined),
    ...validatePreserve(definition, undefined),
  ];
}

/** What is forgiven because it was there before, and what was noticed in the old definition. */
interface Options extends ConversionOptions {
  readonly leniency: Leniency;
  /** Versions without a schema were allowed once. */
  readonly schemaless: boolean;
  /** Versions that have too many selectable fields and always had; "" for what all versions have in common. */
  readonly tooManyFields: ReadonlySet<string>;
  readonly rules: RuleOptions;
}

const newDefinition: Options = {
  leniency: strict,
  schemaless: false,
  tooManyFields: new Set(),
  anyReviewVersion: false,
  anyCaBundle: true,
  rules: newRules,
};

function optionsOfUpdate(definition: CustomResourceDefinition, old: CustomResourceDefinition): Options {
  const established = conditionIsTrue(old, "Established");
  const { conversion } = old.spec;
  return {
    leniency: leniencyOf(schemasOf(old.spec)),
    schemaless: versionsOf(old.spec).some(({ schema }) => schema?.openAPIV3Schema === undefined),
    tooManyFields: sameTooManyFields(definition, old),
    anyReviewVersion: !hasKnownReviewVersion(conversion?.webhook?.conversionReviewVersions ?? []),
    anyCaBundle: !established || caBundleProblem(conversion?.webhook?.clientConfig?.caBundle) !== undefined,
    rules: rulesOfUpdate(definition, old),
  };
}

function validateName({ metadata, spec }: CustomResourceDefinition): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("metadata", errors);
  const wanted = `${spec?.names?.plural ?? ""}.${spec?.group ?? ""}`;
  for (const field of ["generateName", "name"] as const)
    if (metadata[field] && metadata[field] !== wanted)
      at.child(field).invalid(metadata[field], 'must be spec.names.plural+"."+spec.group');
  return errors;
}

export function validateDefinitionUpdate(definition: CustomResourceDefinition, old: CustomResourceDefinition) {
  const errors = validateSpec(definition.spec ?? {}, optionsOfUpdate(definition, old));
  const at = Place.root("spec", errors);
  const same = (place: Place, value: unknown, before: unknown) => {
    if (!semanticEqual(value, before)) place.invalid(value, fieldImmutableMessage);
  };
  const { spec } = definition;
  if (conditionIsTrue(old, "Established")) {
    same(at.child("scope"), spec.scope, old.spec.scope);
    same(at.child("names").child("kind"), spec.names?.kind, old.spec.names.kind);
  }
  same(at.child("group"), spec.group, old.spec.group);
  same(at.child("names").child("plural"), spec.names?.plural, old.spec.names.plural);
  return [
    ...errors,
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition, old),
    ...validatePreserve(definition, old),
  ];
}

/** Go prints no list as null. */
const versionsOf = ({ versions }: Partial<CustomResourceDefinitionSpec>): CustomResourceDefinitionVersion[] =>
  versions ?? [];

const schemasOf = (spec: Partial<CustomResourceDefinitionSpec>): JsonSchema[] =>
  versionsOf(spec).flatMap(({ schema }) => (schema?.openAPIV3Schema ? [schema.openAPIV3Schema] : []));

export function validateStatus({ status }: CustomResourceDefinition): FieldError[] {
  const errors: FieldError[] = [];
  if (status?.acceptedNames) validateNames(status.acceptedNames, Place.root("status", errors).child("acceptedNames"));
  return errors;
}

function validateStoredVersions({ spec, status }: CustomResourceDefinition): FieldError[] {
  const at = Place.root("status").child("storedVersions");
  const stored = status?.storedVersions ?? [];
  const versions = spec?.versions ?? [];
  if (stored.length === 0) at.invalid(null, "must have at least one stored version");
  else {
    // A second version of the same name isn't stored.
    const left = new Set(stored);
    for (const { storage, name } of versions)
      if (!left.delete(name) && storage) at.invalid(stored, `must have the storage version ${name}`);
    stored.forEach((name, i) => {
      if (versions.some((version) => version.name === name)) return;
      const why = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`;
      at.index(i).invalid(name, why);
    });
  }
  return at.errors;
}

const approvalAnnotation = "api-approved.kubernetes.io";
const approvalLink = "see https://github.com/kubernetes/enhancements/pull/1111";

type Approval = "missing" | "bypassed" | "approved" | "invalid";

function approvalOf({ metadata }: CustomResourceDefinition): Approval {
  const text = metadata.annotations?.[approvalAnnotation] ?? "";
  if (text === "") return "missing";
  if (text.startsWith("unapproved")) return "bypassed";
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/?#\s]+/.test(text) ? "approved" : "invalid";
}

/** Groups of the Kubernetes community ask for the approval of its reviewers. */
function validateApproval(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition | undefined,
): FieldError[] {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(definition.spec?.group ?? "")) return [];
  const approval = approvalOf(definition);
  if (approval === "approved" || approval === "bypassed" || (old && approvalOf(old) === approval)) return [];
  const at = Place.root("metadata").child("annotations").key(approvalAnnotation);
  const must = `protected groups must have approval annotation ${goQuote(approvalAnnotation)}`;
  if (approval === "missing") at.required(`${must}, ${approvalLink}`);
  else {
    const value = definition.metadata.annotations?.[approvalAnnotation];
    at.invalid(value, `${must} with either a URL or a reason starting with "unapproved", ${approvalLink}`);
  }
  return at.errors;
}

function validatePreserve({ spec }: CustomResourceDefinition, old: CustomResourceDefinition | undefined): FieldError[] {
  const at = Place.root("spec").child("preserveUnknownFields");
  if (spec?.preserveUnknownFields && !old?.spec.preserveUnknownFields) {
    const why =
      "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    at.invalid(true, why);
  }
  return at.errors;
}

function validateSpec(spec: Partial<CustomResourceDefinitionSpec>, given: Options): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("spec", errors);
  const { group = "", scope = "", names, conversion } = spec;
  const versions = versionsOf(spec);
  const options = {
    ...given,
    leniency: { ...given.leniency, structure: given.leniency.structure && mayBeLoose(spec) },
  };
  if (group === "") at.child("group").required();
  else if (isDns1123Subdomain(group).length > 0) at.child("group").invalid(group, isDns1123Subdomain(group).join(","));
  else if (!group.includes(".")) at.child("group").invalid(group, "should be a domain with at least one dot");
  if (scope === "") at.child("scope").required();
  else if (scope !== "Cluster" && scope !== "Namespaced")
    at.child("scope").notSupported(scope, ["Cluster", "Namespaced"]);
  checkSchemasThere(spec, at, options.schemaless);
  const shared = sharedParts(versions);
  const each = at.child("versions");
  versions.forEach((version, i) => {
    const wrong = isDns1035Label(version.name);
    if (wrong.length > 0) each.index(i).child("name").invalid(version.name, wrong.join(","));
    validateVersion(version, shared, { at: each.index(i), options });
  });
  checkVersionNames(spec.versions, shared, each);
  const [first] = versions;
  if (first) {
    const wrong = isDns1035Label(first.name);
    if (first.name !== "" && wrong.length > 0) at.child("version").invalid(first.name, wrong.join(","));
  }
  const named: Partial<CustomResourceDefinitionNames> = names ?? {};
  for (const part of ["plural", "singular", "kind", "listKind"] as const)
    if (!named[part]) at.child("names").child(part).required();
  validateNames(named, at.child("names"));
  if (shared.schema && first) validateVersionSchema(first, shared, { at: at.child("validation"), options });
  if (shared.subresources && first) validateSubresources(first.subresources, at.child("subresources"));
  if (shared.columns) validateColumns(first?.additionalPrinterColumns, at.child("additionalPrinterColumns"));
  if (shared.selectableFields && first?.selectableFields?.length) {
    const fields = at.child("selectableFields");
    if (!shared.schema || !first.schema) fields.invalid("", "may only be set when validations.schema is included");
    else validateSelectableFields(first, fields, options.tooManyFields.has(""));
  }
  if (conversion && conversion.strategy !== "None" && spec.preserveUnknownFields) {
    const why = "must be None if spec.preserveUnknownFields is true";
    at.child("conversion").child("strategy").invalid(conversion.strategy, why);
  }
  if (conversion) validateConversion(conversion, at.child("conversion"), options);
  return errors;
}

function checkSchemasThere(spec: Partial<CustomResourceDefinitionSpec>, at: Place, schemaless: boolean): void {
  const versions = versionsOf(spec);
  const { preserveUnknownFields } = spec;
  versions.forEach((version, i) => {
    if (version.schema?.openAPIV3Schema) return;
    const place = at.child("versions").index(i).child("schema").child("openAPIV3Schema");
    if (!schemaless) place.required();
    else if (version.served && !preserveUnknownFields) place.required("because otherwise all fields are pruned");
  });
  const defaults = versions.some(({ schema }) =>
    schemaHas(schema?.openAPIV3Schema, (part) => part.default !== undefined),
  );
  if (preserveUnknownFields && defaults) {
    at.child("preserveUnknownFields").invalid(true, "must be false in order to use defaults in the schema");
  }
}

/** Non-structural schemas of old: only where unknown fields are kept and nothing is asked that needs structure. */
function mayBeLoose(spec: Partial<CustomResourceDefinitionSpec>): boolean {
  const needsStructure = (part: JsonSchema): boolean =>
    part.default !== undefined || structuralExtensions.some((name) => part[name] !== undefined);
  return spec.preserveUnknownFields === true && !schemasOf(spec).some((schema) => schemaHas(schema, needsStructure));
}

const structuralExtensions = [
  "x-kubernetes-embedded-resource",
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-list-type",
  "x-kubernetes-validations",
] as const;

function checkVersionNames(
  given: readonly CustomResourceDefinitionVersion[] | undefined,
  shared: SharedParts,
  at: Place,
): void {
  const versions = given ?? [];
  const print = () => {
    if (!given) return null;
    const above: string[] = [];
    if (shared.schema) above.push("schema");
    if (shared.subresources) above.push("subresources");
    if (shared.columns) above.push("additionalPrinterColumns");
    if (shared.selectableFields) above.push("selectableFields");
    return printedVersions(versions, new Set(above));
  };
  if (new Set(versions.map(({ name }) => name)).size < versions.length)
    at.invalid(print(), "must contain unique version names");
  if (versions.filter(({ storage }) => storage).length !== 1)
    at.invalid(print(), "must have exactly one version marked as storage version");
}

/** What stands at the top in upstream's internal form: the same in all versions. */
interface SharedParts {
  readonly schema: boolean;
  readonly subresources: boolean;
  readonly columns: boolean;
  readonly selectableFields: boolean;
  /** Of any version: what a schema for all of them has to reckon with. */
  readonly status: boolean;
}

function sharedParts(versions: readonly CustomResourceDefinitionVersion[]): SharedParts {
  const same = (of: (version: CustomResourceDefinitionVersion) => unknown): boolean =>
    versions.every((version) => semanticEqual(of(version), of(versions[0] ?? version)));
  return {
    schema: same(({ schema }) => schema),
    // An empty status is something.
    subresources: same(({ subresources }) => JSON.stringify(subresources ?? null)),
    columns: same(({ additionalPrinterColumns }) => additionalPrinterColumns),
    selectableFields: same(({ selectableFields }) => selectableFields),
    status: versions.some(({ subresources }) => subresources?.status !== undefined),
  };
}

interface VersionPlace {
  readonly at: Place;
  readonly options: Options;
}

function validateVersion(
  version: CustomResourceDefinitionVersion,
  shared: SharedParts,
  { at, options }: VersionPlace,
): void {
  const { deprecated = false, deprecationWarning: warning } = version;
  const place = at.child("deprecationWarning");
  // A text behind a pointer is printed as JSON.
  for (const why of deprecationProblems(deprecated, warning)) place.wrong(`${JSON.stringify(warning)}: ${why}`);
  if (!shared.schema) {
    const status = version.subresources?.status !== undefined;
    validateVersionSchema(version, { ...shared, status }, { at: at.child("schema"), options });
  }
  if (!shared.subresources) validateSubresources(version.subresources, at.child("subresources"));
  if (!shared.columns) validateColumns(version.additionalPrinterColumns, at.child("additionalPrinterColumns"));
  if (shared.selectableFields || !version.selectableFields?.length) return;
  const fields = at.child("selectableFields");
  if (!shared.schema) validateSelectableFields(version, fields, options.tooManyFields.has(version.name));
  else fields.invalid("", "may only be set when `version.schema.openAPIV3Schema` is not included");
}

function deprecationProblems(deprecated: boolean, warning: string | undefined): string[] {
  if (warning === undefined) return [];
  if (!deprecated) return ["can only be set for deprecated versions"];
  const problems: string[] = [];
  if (Buffer.byteLength(warning) > warningCharactersMax)
    problems.push(`must be <= ${warningCharactersMax} characters long`);
  if (warning === "") problems.push("must not be an empty string");
  // Control characters aren't printable either.
  const wrong = [...warning].findIndex((character) => !isPrintable(character));
  if (wrong >= 0) {
    const index = Buffer.byteLength([...warning].slice(0, wrong).join(""));
    problems.push(`must only contain printable UTF-8 characters; non-printable character found at index ${index}`);
  }
  return problems;
}

/** Where status is a subresource its schema is taken out of the root's properties, so nothing else may be said about it there. */
const allowedAtRoot =
  "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations";
const allowedKeys = new Set([
  ...allowedAtRoot.split(" ").map((name) => name.charAt(0).toLowerCase() + name.slice(1)),
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-validations",
]);

function validateVersionSchema(
  version: CustomResourceDefinitionVersion,
  { status }: SharedParts,
  place: VersionPlace,
): void {
  const schema = version.schema?.openAPIV3Schema;
  if (!schema) return;
  const at = place.at.child("openAPIV3Schema");
  if (status) {
    for (const key of Object.keys(schema)) {
      if (key === "type") {
        if (schema.type === "object") continue;
        const why =
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled';
        at.child("type").invalid(schema.type, why);
        break;
      }
      if (allowedKeys.has(key)) continue;
      const why = `only [${allowedAtRoot}] fields are allowed at the root of the schema if the status subresource is enabled`;
      at.invalid(printedSchema(schema), why);
      break;
    }
  }
  const { leniency, rules } = place.options;
  at.add(validateSchema(schema, at.path, { leniency, rules: { ...rules, version: version.name } }));
}

function validateNames(names: Partial<CustomResourceDefinitionNames>, at: Place): void {
  const { plural, singular, kind, listKind, shortNames = [], categories = [] } = names;
  const label = (place: Place, value: string | undefined, before = "") => {
    const wrong = value ? isDns1035Label(before === "" ? value : value.toLowerCase()) : [];
    if (wrong.length > 0) place.invalid(value, before + wrong.join(","));
  };
  const mixed = "may have mixed case, but should otherwise match: ";
  label(at.child("plural"), plural);
  label(at.child("singular"), singular);
  label(at.child("kind"), kind, mixed);
  label(at.child("listKind"), listKind, mixed);
  const list = (values: readonly string[], place: Place) => {
    values.forEach((value, i) => {
      const wrong = isDns1035Label(value);
      if (wrong.length > 0) place.index(i).invalid(value, wrong.join(","));
    });
  };
  list(shortNames, at.child("shortNames"));
  if (kind && kind === listKind) at.child("listKind").invalid(listKind, "kind and listKind may not be the same");
  list(categories, at.child("categories"));
}

function validateColumns(columns: readonly CustomResourceColumnDefinition[] | undefined, each: Place): void {
  columns?.forEach(({ name, type, format, jsonPath }, i) => {
    const at = each.index(i);
    if (!name) at.child("name").required();
    const types = `must be one of ${columnTypes.join(",")}`;
    if (!type) at.child("type").required(types);
    else if (!columnTypes.includes(type)) at.child("type").invalid(type, types);
    if (format && !columnFormats.includes(format)) {
      at.child("format").invalid(format, `must be one of ${columnFormats.join(",")}`);
    }
    if (!jsonPath) at.child("JSONPath").required();
    else if (!jsonPath.startsWith("."))
      at.child("JSONPath").invalid(jsonPath, "must be a simple json path starting with .");
  });
}

function validateSubresources(subresources: CustomResourceSubresources | undefined, at: Place): void {
  const { scale } = subresources ?? {};
  if (!scale) return;
  const path = (name: "specReplicasPath" | "statusReplicasPath" | "labelSelectorPath", under: readonly string[]) => {
    const place = at.child(`scale.${name}`);
    const value = scale[name] ?? "";
    if (value === "") {
      if (name !== "labelSelectorPath") place.required();
    } else if (!value.startsWith(".")) place.invalid(value, "must be a simple json path starting with .");
    else if (!under.some((start) => value.startsWith(`${start}.`))) {
      place.invalid(value, `should be a json path under ${under.length > 1 ? "either " : ""}${under.join(" or ")}`);
    }
  };
  path("specReplicasPath", [".spec"]);
  path("statusReplicasPath", [".status"]);
  path("labelSelectorPath", [".spec", ".status"]);
}
