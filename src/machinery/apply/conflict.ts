/** Apply conflicts as clients see them. */
import { statusError, type StatusCause, type StatusError } from "../status.ts";
import type { Owner, Owners } from "./entries.ts";
import { type FieldSet, printPaths } from "./set.ts";

/** What others own and an apply would change, by owner. */
export type Conflicts = ReadonlyMap<string, { readonly owner: Owner; readonly fields: FieldSet }>;

export function conflictError(conflicts: Conflicts): StatusError {
  const causes: StatusCause[] = [];
  const lines: string[] = [];
  let only = "";
  for (const [, { owner, fields }] of [...conflicts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = printOwner(owner);
    lines.push(`conflicts with ${name}:`);
    for (const field of printPaths(fields)) {
      causes.push({ reason: "FieldManagerConflict", message: `conflict with ${name}`, field });
      lines.push(`- ${field}`);
      only = `conflict with ${name}: ${field}`;
    }
  }
  return statusError.applyConflict(
    causes,
    causes.length === 1
      ? `Apply failed with 1 conflict: ${only}`
      : `Apply failed with ${causes.length} conflicts: ${lines.join("\n")}`,
  );
}

function printOwner({ entry }: Owner): string {
  const name = JSON.stringify(entry.manager ?? "");
  const subresource = entry.subresource ? ` with subresource ${JSON.stringify(entry.subresource)}` : "";
  return name + subresource + (entry.operation === "Update" ? ` using ${entry.apiVersion}` : "");
}

export type { Owners };
