/** VolumeAttributesClass: what of a volume can be changed while it is in use. Follows upstream's registry/storage/volumeattributesclass. */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { VolumeAttributesClass } from "../types.d.ts";
import { validateDriver, validateParameters, validateSameParameters } from "./parameters.ts";

function validateClass({ driverName, parameters = {} }: VolumeAttributesClass): FieldError[] {
  const errors: FieldError[] = [];
  validateDriver(driverName, Place.root("driverName", errors));
  const at = Place.root("parameters", errors);
  validateParameters(parameters, at);
  if (Object.keys(parameters).length === 0) at.required("must contain at least one key/value pair");
  return errors;
}

function validateUpdate(now: VolumeAttributesClass, old: VolumeAttributesClass): FieldError[] {
  const own = validateClass(now);
  const errors = [...own];
  if (now.driverName !== old.driverName) {
    Place.root("driverName", errors).forbidden("updates to driverName are forbidden.");
  }
  validateSameParameters(now.parameters, old.parameters, Place.root("parameters", errors));
  // Upstream checks the class before and after.
  return [...errors, ...own];
}

export const volumeAttributesClassKind = defineKind<VolumeAttributesClass>({
  group: "storage.k8s.io",
  kind: "VolumeAttributesClass",
  resource: "volumeattributesclasses",
  storageVersion: "v1",

  validate: validateClass,
  validateUpdate,

  columns: [
    {
      name: "DriverName",
      type: "string",
      description: { field: "V1VolumeAttributesClass.driverName" },
      of: ({ driverName }) => driverName ?? "",
    },
    ageColumn,
  ],
});
