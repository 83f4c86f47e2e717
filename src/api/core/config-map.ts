/** ConfigMap: configuration that pods read. Follows upstream's registry/core/configmap. */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { ConfigMap } from "../types.d.ts";
import { countBytes, dataBytesMax, validateFrozen, validateKeys } from "./keyed-data.ts";

function validateConfigMap({ data, binaryData }: ConfigMap, errors: FieldError[] = []): FieldError[] {
  const at = Place.root("data", errors);
  validateKeys(data, at);
  for (const key in binaryData) {
    if (data && Object.hasOwn(data, key)) at.key(key).invalid(key, "duplicate of key present in binaryData");
  }
  validateKeys(binaryData, Place.root("binaryData", errors));
  // The whole object is too long, so there is no field to name.
  const bytes = countBytes(data, "utf8") + countBytes(binaryData, "base64");
  if (bytes > dataBytesMax) Place.whole(errors).tooLong(dataBytesMax);
  return errors;
}

export const configMapKind = defineKind<ConfigMap>({
  group: "",
  kind: "ConfigMap",
  resource: "configmaps",
  storageVersion: "v1",

  validate: (map) => validateConfigMap(map),
  validateUpdate: (map, old) => validateConfigMap(map, validateFrozen(map, old, ["data", "binaryData"]).errors),

  columns: [
    {
      name: "Data",
      type: "string",
      description: { field: "V1ConfigMap.data" },
      of: ({ data = {}, binaryData = {} }) => Object.keys(data).length + Object.keys(binaryData).length,
    },
    ageColumn,
  ],
});
