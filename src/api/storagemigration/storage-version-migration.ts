/** StorageVersionMigration: that all objects of a resource be stored anew. Follows upstream's registry/storagemigration. */
import {
  type FieldError,
  fieldImmutableMessage,
  isDns1035Label,
  isDns1123Subdomain,
  validateConditions,
  whyNoResourceVersion,
} from "#machinery";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { resetMetaForStatus } from "../strategy.ts";
import type { StorageVersionMigration } from "../types.d.ts";

type Migration = StorageVersionMigration;

function validateMigration({ spec }: Migration): FieldError[] {
  const at = Place.root("spec").child("resource");
  const { group = "", resource = "" } = spec?.resource ?? {};
  const malformed = (name: string, value: string, messages: readonly string[]) =>
    messages.length > 0 && at.child(name).invalid(value, messages.join(","));
  if (resource === "") at.child("resource").required("resource is required to be set");
  else malformed("resource", resource, isDns1035Label(resource));
  if (group !== "") malformed("group", group, isDns1123Subdomain(group));
  return at.errors;
}

function validateUpdate(migration: Migration, old: Migration): FieldError[] {
  const errors = validateMigration(migration);
  if (!semanticEqual(migration.spec, old.spec)) {
    const printed = goStruct("api.storagemigration.v1beta1.StorageVersionMigrationSpec", migration.spec);
    Place.root("spec", errors).invalid(printed, fieldImmutableMessage);
  }
  return errors;
}

const isTrue = ({ status }: Migration, type: string): boolean =>
  status?.conditions?.find((condition) => condition.type === type)?.status === "True";

/** An end is final, and there is one. */
function validateStatusUpdate(migration: Migration, old: Migration): FieldError[] {
  const at = Place.root("status");
  const { resourceVersion = "", conditions } = migration.status ?? {};
  const before = old.status?.resourceVersion ?? "";
  const versionAt = at.child("resourceVersion");
  const conditionsAt = at.child("conditions");
  const malformed = resourceVersion === "" ? undefined : whyNoResourceVersion(resourceVersion);
  if (malformed) versionAt.invalid(resourceVersion, malformed);
  at.add(validateConditions(conditions, conditionsAt.path));
  if (before !== "" && before !== resourceVersion) versionAt.invalid(resourceVersion, fieldImmutableMessage);
  if (isTrue(migration, "Succeeded") && isTrue(migration, "Failed"))
    conditionsAt.invalid(conditions, "Both success and failed conditions cannot be true at the same time");
  for (const [type, word] of [
    ["Succeeded", "Success"],
    ["Failed", "Failed"],
  ] as const)
    if (isTrue(old, type) && !isTrue(migration, type))
      conditionsAt.invalid(conditions ?? null, `${word} condition cannot be set to false once it is true`);
  return at.errors;
}

const ends = new Set(["Running", "Failed", "Succeeded"]);

export const storageVersionMigrationKind = defineKind<Migration>({
  group: "storagemigration.k8s.io",
  kind: "StorageVersionMigration",
  resource: "storageversionmigrations",
  storageVersion: "v1beta1",
  allowUnconditionalUpdate: false,
  resetFields: ["status"],

  defaults(migration) {
    migration.status ??= {};
  },
  prepareForCreate(migration) {
    migration.status = {};
  },
  prepareForUpdate(migration, { status = {} }) {
    migration.status = status;
  },
  validate: validateMigration,
  validateUpdate,

  subresources: {
    status: {
      resetFields: ["metadata", "spec"],
      prepareForUpdate(migration, old) {
        if (old.spec) migration.spec = old.spec;
        resetMetaForStatus(migration, old);
      },
      validateUpdate: validateStatusUpdate,
    },
  },

  columns: [
    // Without the usual format, as upstream.
    {
      name: "Name",
      type: "string",
      description: { field: "V1ObjectMeta.name" },
      of: ({ metadata }) => metadata.name ?? "",
    },
    {
      name: "Resource",
      type: "string",
      description: "GroupResource to migrate",
      of({ spec }) {
        const { group = "", resource = "" } = spec?.resource ?? {};
        return group === "" ? resource : `${resource}.${group}`;
      },
    },
    {
      name: "Status",
      type: "string",
      description: "Status of the migration",
      of: ({ status }) =>
        status?.conditions?.findLast(({ type, status: is }) => is === "True" && ends.has(type))?.type ?? "Unknown",
    },
  ],
});
