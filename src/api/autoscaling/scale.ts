/** Scale: how many of something are wanted and there. Never stored; seen as a subresource of what can be scaled. */
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import type { Scale } from "../types.d.ts";

export const scaleKind = defineKind<Scale>({
  group: "autoscaling",
  kind: "Scale",
  resource: "scales",
  storageVersion: "v1",

  columns: [
    {
      name: "Name",
      type: "string",
      description: { field: "V1ObjectMeta.name" },
      of: ({ metadata }) => metadata.name ?? "",
    },
    {
      name: "Desired",
      type: "integer",
      description: { field: "V1ScaleSpec.replicas" },
      of: ({ spec }) => spec?.replicas ?? 0,
    },
    {
      name: "Available",
      type: "integer",
      description: { field: "V1ScaleStatus.replicas" },
      of: ({ status }) => status?.replicas ?? 0,
    },
    ageColumn,
  ],
});

/** Of a custom resource, which upstream words otherwise. */
export const customScaleKind = defineKind<Scale>({
  ...scaleKind,
  columns: [
    {
      name: "Desired",
      type: "integer",
      description: "Number of desired replicas",
      of: ({ spec }) => spec?.replicas ?? 0,
    },
    {
      name: "Available",
      type: "integer",
      description: "Number of actual replicas",
      of: ({ status }) => status?.replicas ?? 0,
    },
    { ...ageColumn, type: "date" },
  ],
});
