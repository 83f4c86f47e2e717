/** CSIStorageCapacity: how much a driver could still provide for a class in a part of the cluster. Follows upstream's registry/storage/csistoragecapacity. */
import {
  type FieldError,
  FieldPath,
  nameIsDnsSubdomain,
  negativeMessage,
  quantitySign,
  validateLabelSelector,
} from "#machinery";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateLabelSelector as validateSelector } from "../selectors.ts";
import type { CSIStorageCapacity, LabelSelector } from "../types.d.ts";

function validateCapacity(object: CSIStorageCapacity, anyValue = false): FieldError[] {
  const { nodeTopology, storageClassName = "", capacity } = object;
  const errors: FieldError[] = [];
  validateSelector(nodeTopology, Place.root("nodeTopology", errors), { anyValue });
  Place.root("storageClassName", errors).invalidEach(storageClassName, nameIsDnsSubdomain(storageClassName, false));
  if (capacity !== undefined && quantitySign(capacity) < 0) {
    Place.root("capacity", errors).invalid(capacity, negativeMessage);
  }
  return errors;
}

/** What it is about stays. */
function validateUpdate(object: CSIStorageCapacity, old: CSIStorageCapacity): FieldError[] {
  const errors = validateCapacity(object, isInvalid(old.nodeTopology));
  for (const field of ["nodeTopology", "storageClassName"] as const) {
    if (!semanticEqual(object[field], old[field])) {
      Place.root(field, errors).invalid(object[field] ?? null, "field is immutable");
    }
  }
  return errors;
}

const isInvalid = (selector: LabelSelector | undefined): boolean =>
  validateLabelSelector(selector, FieldPath.none).length > 0;

export const csiStorageCapacityKind = defineKind<CSIStorageCapacity>({
  group: "storage.k8s.io",
  kind: "CSIStorageCapacity",
  resource: "csistoragecapacities",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  // Twice, as upstream does.
  validate: (object) => [...validateCapacity(object), ...validateCapacity(object)],
  validateUpdate,

  columns: [
    {
      name: "StorageClassName",
      type: "string",
      description: { field: "V1CSIStorageCapacity.storageClassName" },
      of: ({ storageClassName }) => storageClassName ?? "",
    },
    {
      name: "Capacity",
      type: "string",
      description: { field: "V1CSIStorageCapacity.capacity", gaps: { "24": "\n\n" } },
      of: ({ capacity }) => capacity ?? "<unset>",
    },
  ],
});
