/** In which order groups and their versions are shown. Upstream has two ways, which differ where priorities are the same. */
import { compareVersions } from "../custom/version-order.ts";
import type { GroupVersion } from "../resource.ts";

export interface ServedGroup<T extends GroupVersion = GroupVersion> {
  readonly group: string;
  /** The preferred one first. */
  readonly versions: readonly T[];
}

/** Of /apis and /apis/GROUP: groups of one priority by the names of their API services, where the version stands first. */
export const legacyOrder = <T extends GroupVersion>(rows: readonly T[]): ServedGroup<T>[] =>
  grouped(rows, ({ group, version }) => `${version}.${group}`);

/** Of the aggregated document: groups of one priority by their own names. */
export const aggregatedOrder = <T extends GroupVersion>(rows: readonly T[]): ServedGroup<T>[] =>
  grouped(rows, ({ group }) => group);

/** A group stands where its highest version puts it. */
function grouped<T extends GroupVersion>(rows: readonly T[], nameOf: (row: T) => string): ServedGroup<T>[] {
  const groups = new Map<string, T[]>();
  const named = rows.map((row) => ({ row, name: nameOf(row) }));
  named.sort((a, b) => b.row.groupPriority - a.row.groupPriority || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const { row } of named) {
    const versions = groups.get(row.group);
    if (versions) versions.push(row);
    else groups.set(row.group, [row]);
  }
  return [...groups].map(([group, versions]) => ({ group, versions: versions.sort(compareRows) }));
}

const compareRows = (a: GroupVersion, b: GroupVersion): number =>
  b.versionPriority - a.versionPriority || compareVersions(a.version, b.version);
