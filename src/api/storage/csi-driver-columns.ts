/** What `kubectl get csidrivers` shows. */
import { ageColumn, none } from "../columns.ts";
import type { Column } from "../kind.ts";
import type { CSIDriver } from "../types.d.ts";

export const csiDriverColumns: readonly Column<CSIDriver>[] = [
  {
    name: "AttachRequired",
    type: "boolean",
    description: { field: "V1CSIDriverSpec.attachRequired", gaps: { "85": "\n\n" } },
    of: ({ spec }) => spec.attachRequired ?? true,
  },
  {
    name: "PodInfoOnMount",
    type: "boolean",
    description: {
      field: "V1CSIDriverSpec.podInfoOnMount",
      gaps: { "36": "\n\n", "75": "\n\n", "113": "\n                                ", "119": "\n\n", "189": "\n\n" },
    },
    of: ({ spec }) => spec.podInfoOnMount ?? false,
  },
  {
    name: "StorageCapacity",
    type: "boolean",
    description: { field: "V1CSIDriverSpec.storageCapacity", gaps: { "32": "\n\n", "63": "\n\n", "88": "\n\n" } },
    of: ({ spec }) => spec.storageCapacity ?? false,
  },
  {
    name: "TokenRequests",
    type: "string",
    description: {
      field: "V1CSIDriverSpec.tokenRequests",
      gaps: { "43": "\n  ", "45": "\n    ", "47": "\n    ", "52": "\n  ", "53": "\n  ", "54": "\n", "55": "\n\n" },
    },
    of: ({ spec }) => spec.tokenRequests?.map(({ audience }) => audience).join(",") ?? "<unset>",
  },
  {
    name: "RequiresRepublish",
    type: "boolean",
    description: { field: "V1CSIDriverSpec.requiresRepublish", gaps: { "24": "\n\n" } },
    of: ({ spec }) => spec.requiresRepublish ?? false,
  },
  {
    name: "Modes",
    type: "string",
    description: { field: "V1CSIDriverSpec.volumeLifecycleModes", gaps: { "38": "\n\n", "89": "\n\n", "117": "\n\n" } },
    of: ({ spec }) => (spec.volumeLifecycleModes ?? []).join(",") || none,
  },
  ageColumn,
];
