/** Apply conflicts as clients see them. */
import { goQuote } from "../go-text.ts";
import { statusError, type StatusCause, type StatusError } from "../status.ts";
import type { Owner } from "./entries.ts";
import { type FieldSet, printPaths } from "./set.ts";

/** What another owns and an apply would change. */
export interface Conflict {
  readonly owner: Owner;
  readonly fields: FieldSet;
}

/** By the owner's identity. */
export type Conflicts = ReadonlyMap<string, Conflict>;

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
  const name = goQuote(entry.manager ?? "");
  const subresource = entry.subresource ? ` with subresource ${goQuote(entry.subresource)}` : "";
  return name + subresource + (entry.operation === "Update" ? ` using ${entry.apiVersion}` : "");
}
