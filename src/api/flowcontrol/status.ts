/** Status of flow schemas and priority levels: conditions, by their types. */
import type { FieldError, KubernetesObject } from "#machinery";
import type { Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { setOrDelete } from "../strategy.ts";

interface WithConditions extends KubernetesObject {
  spec?: object;
  status?: { conditions?: readonly { type?: string }[] };
}

export function validateConditions({ status }: WithConditions, errors: FieldError[] = []): FieldError[] {
  const types = new Set<string>();
  status?.conditions?.forEach(({ type = "" }, i) => {
    const at = Place.root("status", errors).child("conditions").index(i).child("type");
    if (types.has(type)) at.duplicate(type);
    types.add(type);
    if (type === "") at.required("must not be empty");
  });
  return errors;
}

/** Of the metadata only managed fields change. */
export const statusStrategy: Strategy<WithConditions> = {
  resetFields: ["metadata", "spec"],
  prepareForUpdate(object, old) {
    const managedFields = object.metadata?.managedFields;
    object.metadata = { ...old.metadata };
    setOrDelete(object.metadata, { managedFields });
    setOrDelete(object, { spec: old.spec });
  },
  validateUpdate: (object) => validateConditions(object),
};
