/** ControllerRevision: what a stateful or daemon set's template was. Follows upstream's registry/apps/controllerrevision. */
import { type FieldError, validateImmutable } from "#machinery";
import { ageColumn, none } from "../columns.ts";
import { validateCount } from "../counts.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { ControllerRevision } from "../types.d.ts";

function validateRevision({ data, revision }: ControllerRevision, old?: ControllerRevision): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("data", errors);
  if (data === undefined || data === null) at.required("data is mandatory");
  validateCount(revision, Place.root("revision", errors));
  if (old) at.add(validateImmutable(data, old.data, at.path));
  return errors;
}

/** `statefulset.apps/web`. */
function printController({ metadata }: ControllerRevision): string {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller);
  if (!owner) return none;
  const slash = owner.apiVersion.indexOf("/");
  const group = slash < 0 ? "" : `.${owner.apiVersion.slice(0, slash)}`;
  return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
}

export const controllerRevisionKind = defineKind<ControllerRevision>({
  group: "apps",
  kind: "ControllerRevision",
  resource: "controllerrevisions",
  storageVersion: "v1",

  validate: (revision) => validateRevision(revision),
  validateUpdate: (revision, old) => validateRevision(revision, old),

  columns: [
    { name: "Controller", type: "string", description: "Controller of the object", of: printController },
    {
      name: "Revision",
      type: "string",
      description: "Revision indicates the revision of the state represented by Data.",
      of: ({ revision }) => revision ?? 0,
    },
    ageColumn,
  ],
});
