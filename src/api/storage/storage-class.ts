/** StorageClass: how volumes are made for claims that ask for this class. Follows upstream's registry/storage/storageclass. */
import { type FieldError, validateImmutable } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { StorageClass } from "../types.d.ts";
import { validateDriver, validateParameters } from "./parameters.ts";
import { validateTopologies } from "./topologies.ts";

const policies = ["Delete", "Retain"];
const bindingModes = ["Immediate", "WaitForFirstConsumer"];

function validateClass(storageClass: StorageClass): FieldError[] {
  const errors: FieldError[] = [];
  const at = (field: keyof StorageClass) => Place.root(field, errors);
  const { provisioner, parameters, reclaimPolicy = "", volumeBindingMode, allowedTopologies = [] } = storageClass;
  validateDriver(provisioner, at("provisioner"));
  validateParameters(parameters, at("parameters"));
  if (reclaimPolicy !== "" && !policies.includes(reclaimPolicy)) {
    at("reclaimPolicy").notSupported(reclaimPolicy, policies);
  }
  if (volumeBindingMode === undefined) at("volumeBindingMode").required();
  else if (!bindingModes.includes(volumeBindingMode)) {
    at("volumeBindingMode").notSupported(volumeBindingMode, bindingModes);
  }
  validateTopologies(allowedTopologies, at("allowedTopologies"));
  return errors;
}

/** Volumes of the class exist; how they were made isn't changed afterwards. */
function validateChange(storageClass: StorageClass, old: StorageClass, errors: FieldError[]): FieldError[] {
  for (const field of ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] as const) {
    const at = Place.root(field, errors);
    at.add(validateImmutable(storageClass[field], old[field], at.path));
  }
  return errors;
}

const defaultAnnotations = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

const isDefault = ({ metadata }: StorageClass): boolean =>
  defaultAnnotations.some((key) => metadata.annotations?.[key] === "true");

export const storageClassKind = defineKind<StorageClass>({
  group: "storage.k8s.io",
  kind: "StorageClass",
  resource: "storageclasses",
  storageVersion: "v1",

  defaults(storageClass) {
    storageClass.reclaimPolicy ??= "Delete";
    storageClass.volumeBindingMode ??= "Immediate";
  },
  validate: validateClass,
  validateUpdate: (storageClass, old) => validateChange(storageClass, old, validateClass(storageClass)),

  columns: [
    {
      name: "Name",
      type: "string",
      format: "name",
      description: { field: "V1ObjectMeta.name" },
      of: (storageClass) => `${storageClass.metadata.name}${isDefault(storageClass) ? " (default)" : ""}`,
    },
    {
      name: "Provisioner",
      type: "string",
      description: { field: "V1StorageClass.provisioner" },
      of: ({ provisioner }) => provisioner ?? "",
    },
    {
      name: "ReclaimPolicy",
      type: "string",
      description: { field: "V1StorageClass.reclaimPolicy" },
      of: ({ reclaimPolicy }) => reclaimPolicy ?? "Delete",
    },
    {
      name: "VolumeBindingMode",
      type: "string",
      description: { field: "V1StorageClass.volumeBindingMode", gaps: { "9": "  " } },
      of: ({ volumeBindingMode }) => volumeBindingMode ?? "Immediate",
    },
    {
      name: "AllowVolumeExpansion",
      type: "string",
      description: { field: "V1StorageClass.allowVolumeExpansion" },
      of: ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false,
    },
    ageColumn,
  ],
});
