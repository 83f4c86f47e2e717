/**
 * Parts of a definition as upstream's messages print them: in its internal form, by the names of Go's fields, nothing left out.
 * The tables are the structs of pkg/apis/apiextensions, in their order; a value is what stands for a field that isn't set.
 */
import type { DeepReadonly } from "#machinery";
import type { CustomResourceDefinitionVersion, ValidationRule } from "../types.d.ts";
import { isJsonObject, type Json, type JsonSchema } from "./schema/json-schema.ts";

type Version = DeepReadonly<CustomResourceDefinitionVersion>;
/** Go's name, ours, what an unset one prints, and how a set one is printed. */
type Field = readonly [name: string, from: string, unset: unknown, print?: (value: never) => unknown];

function printed(fields: readonly Field[], value: object): Json {
  const members = value as Json;
  return Object.fromEntries(
    fields.map(([name, from, unset, print]) => {
      const found = Object.hasOwn(members, from) ? members[from] : undefined;
      return [name, found === undefined || found === null ? unset : print ? print(found as never) : found];
    }),
  );
}

const ruleFields: readonly Field[] = [
  ["Rule", "rule", ""],
  ["Message", "message", ""],
  ["MessageExpression", "messageExpression", ""],
  ["Reason", "reason", null],
  ["FieldPath", "fieldPath", ""],
  ["OptionalOldSelf", "optionalOldSelf", null],
];

export const printedRule = (rule: DeepReadonly<ValidationRule>): Json => printed(ruleFields, rule);

const schemas = (list: readonly JsonSchema[]): Json[] => list.map(printedSchema);
const named = (group: Readonly<Record<string, JsonSchema>>): Json =>
  Object.fromEntries(
    Object.keys(group)
      .sort()
      .map((name) => [name, printedSchema(group[name]!)]), // one of its own
  );
const orArray = (value: JsonSchema | readonly JsonSchema[]): Json => ({
  Schema: Array.isArray(value) ? null : printedSchema(value as JsonSchema), // not a list
  JSONSchemas: Array.isArray(value) ? schemas(value) : null,
});
const orBool = (value: JsonSchema | boolean): Json => ({
  Allows: value !== false,
  Schema: typeof value === "object" ? printedSchema(value) : null,
});
const dependencies = (group: Readonly<Record<string, JsonSchema | readonly string[]>>): Json =>
  Object.fromEntries(
    Object.entries(group).map(([name, value]) => [
      name,
      isJsonObject(value)
        ? { Schema: printedSchema(value as JsonSchema), Property: null }
        : { Schema: null, Property: value },
    ]),
  );

const schemaFields: readonly Field[] = [
  ["ID", "id", ""],
  ["Schema", "$schema", ""],
  ["Ref", "$ref", null],
  ["Description", "description", ""],
  ["Type", "type", ""],
  ["Nullable", "nullable", false],
  ["Format", "format", ""],
  ["Title", "title", ""],
  ["Default", "default", null],
  ["Maximum", "maximum", null],
  ["ExclusiveMaximum", "exclusiveMaximum", false],
  ["Minimum", "minimum", null],
  ["ExclusiveMinimum", "exclusiveMinimum", false],
  ["MaxLength", "maxLength", null],
  ["MinLength", "minLength", null],
  ["Pattern", "pattern", ""],
  ["MaxItems", "maxItems", null],
  ["MinItems", "minItems", null],
  ["UniqueItems", "uniqueItems", false],
  ["MultipleOf", "multipleOf", null],
  ["Enum", "enum", null],
  ["MaxProperties", "maxProperties", null],
  ["MinProperties", "minProperties", null],
  ["Required", "required", null],
  ["Items", "items", null, orArray],
  ["AllOf", "allOf", null, schemas],
  ["OneOf", "oneOf", null, schemas],
  ["AnyOf", "anyOf", null, schemas],
  ["Not", "not", null, printedSchema],
  ["Properties", "properties", null, named],
  ["AdditionalProperties", "additionalProperties", null, orBool],
  ["PatternProperties", "patternProperties", null, named],
  ["Dependencies", "dependencies", null, dependencies],
  ["AdditionalItems", "additionalItems", null, orBool],
  ["Definitions", "definitions", null, named],
  ["ExternalDocs", "externalDocs", null, (docs: object) => printed(docsFields, docs)],
  ["Example", "example", null],
  ["XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", null],
  ["XEmbeddedResource", "x-kubernetes-embedded-resource", false],
  ["XIntOrString", "x-kubernetes-int-or-string", false],
  ["XListMapKeys", "x-kubernetes-list-map-keys", null],
  ["XListType", "x-kubernetes-list-type", null],
  ["XMapType", "x-kubernetes-map-type", null],
  ["XValidations", "x-kubernetes-validations", null, (rules: readonly ValidationRule[]) => rules.map(printedRule)],
];
const docsFields: readonly Field[] = [
  ["Description", "description", ""],
  ["URL", "url", ""],
];

export function printedSchema(schema: JsonSchema): Json {
  return printed(schemaFields, schema);
}

const columnFields: readonly Field[] = [
  ["Name", "name", ""],
  ["Type", "type", ""],
  ["Format", "format", ""],
  ["Description", "description", ""],
  ["Priority", "priority", 0],
  ["JSONPath", "jsonPath", ""],
];
const scaleFields: readonly Field[] = [
  ["SpecReplicasPath", "specReplicasPath", ""],
  ["StatusReplicasPath", "statusReplicasPath", ""],
  ["LabelSelectorPath", "labelSelectorPath", null],
];
const subresourceFields: readonly Field[] = [
  ["Status", "status", null],
  ["Scale", "scale", null, (scale: object) => printed(scaleFields, scale)],
];
const validationFields: readonly Field[] = [["OpenAPIV3Schema", "openAPIV3Schema", null, printedSchema]];
const versionFields: readonly Field[] = [
  ["Name", "name", ""],
  ["Served", "served", false],
  ["Storage", "storage", false],
  ["Deprecated", "deprecated", false],
  ["DeprecationWarning", "deprecationWarning", null],
  ["Schema", "schema", null, (schema: object) => printed(validationFields, schema)],
  ["Subresources", "subresources", null, (subresources: object) => printed(subresourceFields, subresources)],
  [
    "AdditionalPrinterColumns",
    "additionalPrinterColumns",
    null,
    (columns: readonly object[]) => columns.map((column) => printed(columnFields, column)),
  ],
  [
    "SelectableFields",
    "selectableFields",
    null,
    (fields: readonly object[]) => fields.map((each) => printed([["JSONPath", "jsonPath", ""]], each)),
  ],
];

/** `above`: what all versions have in common and therefore stands elsewhere. */
export const printedVersions = (versions: readonly Version[], above: ReadonlySet<string>): Json[] =>
  versions.map((version) =>
    printed(versionFields, Object.fromEntries(Object.entries(version).filter(([name]) => !above.has(name)))),
  );
