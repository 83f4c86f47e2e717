/** Fields that a field selector may name: scalars of the schema. Follows apiextensions/validation (selectable fields, 1.31). */
import type { Place } from "../place.ts";
import type { CustomResourceDefinitionVersion } from "../types.d.ts";
import { type JsonSchema, propertyOf } from "./schema/json-schema.ts";

const fieldsMax = 8;
const selectableTypes = ["string", "boolean", "integer"];

export function validateSelectableFields(version: CustomResourceDefinitionVersion | undefined, at: Place): void {
  const { selectableFields = [], schema } = version ?? {};
  if (selectableFields.length > fieldsMax) at.tooMany(selectableFields.length, fieldsMax);
  const seen = new Set<string>();
  selectableFields.forEach(({ jsonPath = "" }, i) => {
    const place = at.index(i).child("jsonPath");
    if (jsonPath === "") place.required();
    else if (!jsonPath.startsWith(".")) place.invalid(jsonPath, "must be a simple json path starting with .");
    else if (jsonPath.startsWith(".metadata.") || jsonPath === ".metadata") {
      place.invalid(jsonPath, "must not point to fields in metadata");
    } else if (seen.has(jsonPath)) place.duplicate(jsonPath);
    else checkType(jsonPath, schema?.openAPIV3Schema, place);
    seen.add(jsonPath);
  });
}

function checkType(jsonPath: string, root: JsonSchema | undefined, place: Place): void {
  let schema = root;
  for (const name of jsonPath.slice(1).split(".")) schema = schema && propertyOf(schema, name);
  if (!schema) {
    place.invalid(jsonPath, "is an invalid path: does not refer to a valid field");
    return;
  }
  if (!selectableTypes.includes(schema.type ?? "")) {
    place.invalid(
      jsonPath,
      `must point to a field of type boolean, string or integer. Enum string fields and strings with formats are allowed`,
    );
  }
}
