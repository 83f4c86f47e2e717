/** What `kubectl get resourcequotas` shows. */
import { ageColumn } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { ResourceQuota } from "../../types.d.ts";

/** `name: used/hard` of the limits, or of all the rest. */
function printAmounts({ status }: ResourceQuota, areLimits: boolean): string {
  const { hard = {}, used = {} } = status ?? {};
  return Object.keys(hard)
    .filter((name) => name.startsWith("limits.") === areLimits)
    .sort()
    .map((name) => `${name}: ${used[name] ?? "0"}/${hard[name]}`)
    .join(", ");
}

export const resourceQuotaColumns: readonly Column<ResourceQuota>[] = [
  {
    name: "Request",
    type: "string",
    description: "Request represents a minimum amount of cpu/memory that a container may consume.",
    of: (quota) => printAmounts(quota, false),
  },
  {
    name: "Limit",
    type: "string",
    description:
      "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
    of: (quota) => printAmounts(quota, true),
  },
  ageColumn,
];
