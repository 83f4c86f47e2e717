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
  unknownField: (field) => `field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: ${field}`,

  columns: [
    {
      name: "Node",
      type: "string",
      description:
        "NodeName identifies the node which provides the resources in this pool. A field selector can be used to list only ResourceSlice objects belonging to a certain node.\n\nThis field can be used to limit access from nodes to ResourceSlices with the same node name. It also indicates to autoscalers that adding new nodes of the same type as some old node might also make new resources available.\n\nExactly one of NodeName, NodeSelector, AllNodes, and PerDeviceNodeSelection must be set. This field is immutable.",
      of: ({ spec }) => spec.nodeName ?? null,
    },
    {
      name: "Driver",
      type: "string",
      description:
        "Driver identifies the DRA driver providing the capacity information. A field selector can be used to list only ResourceSlice objects with a certain driver name.\n\nMust be a DNS subdomain and should end with a DNS domain owned by the vendor of the driver. It should use only lower case characters. This field is immutable.",
      of: ({ spec }) => spec.driver,
    },
    {
      name: "Pool",
      type: "string",
      description:
        "Name is used to identify the pool. For node-local devices, this is often the node name, but this is not required.\n\nIt must not be longer than 253 characters and must consist of one or more DNS sub-domains separated by slashes. This field is immutable.",
      of: ({ spec }) => spec.pool.name,
    },
    ageColumn,
  ],
});
