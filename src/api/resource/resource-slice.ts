/** ResourceSlice: devices that a driver offers. Follows upstream's registry/resource/resourceslice. */
import { goQuote } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { ResourceSlice } from "../types.d.ts";
import { dropUnserved } from "./unserved.ts";
import { validateSliceSpec } from "./slice-spec.ts";

function warnOfDriver({ spec: { driver } }: ResourceSlice): string[] {
  if (driver === driver.toLowerCase()) return [];
  return [`spec.driver: driver names should be lowercase; ${goQuote(driver)} contains uppercase characters`];
}

export const resourceSliceKind = defineKind<ResourceSlice>({
  group: "resource.k8s.io",
  kind: "ResourceSlice",
  resource: "resourceslices",
  storageVersion: "v1",

  defaults({ spec }) {
    for (const { taints } of spec?.devices ?? []) {
      for (const taint of taints ?? []) taint.timeAdded ||= `${new Date().toISOString().slice(0, 19)}Z`;
    }
  },
  prepareForCreate(slice) {
    firstGeneration(slice);
    dropUnserved(slice);
  },
  prepareForUpdate(slice, old) {
    bumpGeneration(slice, old);
    dropUnserved(slice, old);
  },
  validate(slice) {
    const at = Place.root("spec");
    validateSliceSpec(specOf(slice), at);
    return at.errors;
  },
  validateUpdate(slice, old) {
    const at = Place.root("spec");
    validateSliceSpec(specOf(slice), at, specOf(old));
    return at.errors;
  },
  warningsOnCreate: warnOfDriver,
  warningsOnUpdate: warnOfDriver,

  selectableFieldNames: ["spec.nodeName", "spec.driver"],
  selectableFields: ({ spec }) => ({ "spec.nodeName": spec.nodeName ?? "", "spec.driver": spec.driver }),
  // Upstream lists the fields of this kind, and forgot this one.
  selectableField: (field) => (field === "metadata.namespace" ? undefined : field),
  unknownField: (field) => `field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: ${field}`,

  columns: [
    {
      name: "Node",
      type: "string",
      description: { field: "V1ResourceSliceSpec.nodeName", gaps: { "27": "\n\n", "67": "\n\n" } },
      of: ({ spec }) => spec.nodeName ?? null,
    },
    {
      name: "Driver",
      type: "string",
      description: { field: "V1ResourceSliceSpec.driver", gaps: { "25": "\n\n" } },
      of: ({ spec }) => spec.driver,
    },
    {
      name: "Pool",
      type: "string",
      description: { field: "V1ResourcePool.name", gaps: { "21": "\n\n" } },
      of: ({ spec }) => spec.pool.name,
    },
    ageColumn,
  ],
});
