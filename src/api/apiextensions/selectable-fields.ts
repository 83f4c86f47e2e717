/** Fields that a field selector may name: scalars of the schema. Follows apiextensions/validation (selectable fields, 1.31). */
import { semanticEqual } from "../equality.ts";
import type { Place } from "../place.ts";
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "../types.d.ts";
import { findField } from "./schema/field-path.ts";

const fieldsMax = 8;
const selectableTypes = ["string", "boolean", "integer"];

type Version = CustomResourceDefinitionVersion | undefined;

/** `tooMany`: an old definition had that many already. */
export function validateSelectableFields(version: Version, at: Place, tooMany: boolean): void {
  const { selectableFields = [], schema } = version ?? {};
  const root = schema?.openAPIV3Schema;
  if (!root) return;
  const seen = new Set<string>();
  selectableFields.forEach(({ jsonPath = "" }, i) => {
    const place = at.index(i).child("jsonPath");
    if (jsonPath === "") {
      place.required();
      return;
    }
    const found = findField(jsonPath, root, false);
    if (found.error !== undefined) {
      place.invalid(jsonPath, `is an invalid path: ${found.error}`);
      return;
    }
    const path = found.path.toString();
    if (/^metadata\b/.test(path)) place.invalid(jsonPath, "must not point to fields in metadata");
    if (!selectableTypes.includes(found.schema.type ?? "")) {
      const why =
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
      place.invalid(jsonPath, why);
    }
    if (seen.has(path)) place.duplicate(jsonPath);
    seen.add(path);
  });
  if (seen.size > fieldsMax && !tooMany) at.tooMany(seen.size, fieldsMax);
}

/** Versions whose fields are too many and the same as ever; "": all versions. */
export function sameTooManyFields(definition: CustomResourceDefinition, old: CustomResourceDefinition): Set<string> {
  const names = new Set<string>();
  const before = old.spec.versions ?? [];
  const versions = definition.spec?.versions ?? [];
  for (const { name, selectableFields = [] } of versions) {
    const found = before.find((each) => each.name === name)?.selectableFields ?? [];
    if (found.length > fieldsMax && semanticEqual(found, selectableFields)) names.add(name);
  }
  if (versions.length > 0 && versions.every(({ name }) => names.has(name))) names.add("");
  return names;
}
