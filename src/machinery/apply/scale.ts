/**
 * Managed fields through the scale subresource: who owns the replicas of an object owns them in its Scale too, and the
 * other way round. Paths are named by the version of the object, as they are in different places in different versions.
 */
import type { ManagedFieldsEntry } from "../object.ts";
import { decodeOwners, encodeOwners, type Owners } from "./entries.ts";
import { difference, fieldSet, has, isEmpty } from "./set.ts";

/** Where the replicas are, by version of the object; an empty path: a version without a scale subresource. */
export type ReplicasPaths = Readonly<Record<string, readonly string[]>>;

const scaleVersion = "autoscaling/v1";
const replicasOfScale = ["spec", "replicas"];

const hasPath = (owners: Owners, id: string, path: readonly string[]): boolean =>
  has(owners.get(id)?.fields ?? {}, ...path.map((name) => `f:${name}`));

/** Entries that can't be read count as none. */
const ownersOf = (entries: readonly ManagedFieldsEntry[] | undefined): Owners => {
  const owners = decodeOwners(entries ?? [], true);
  return typeof owners === "string" ? new Map() : owners;
};

/** The entries that the Scale of an object shows to updateManagedFields and applyObject. */
export function managedFieldsToScale(
  entries: readonly ManagedFieldsEntry[] | undefined,
  paths: ReplicasPaths,
): ManagedFieldsEntry[] | undefined {
  const owners = ownersOf(entries);
  const scale: Owners = new Map();
  for (const [id, { entry }] of owners) {
    const path = paths[entry.apiVersion ?? ""];
    if (!path || path.length === 0 || !hasPath(owners, id, path)) continue;
    scale.set(id, { entry: { ...entry, apiVersion: scaleVersion }, fields: fieldSet(replicasOfScale) });
  }
  return encodeOwners(scale);
}

export interface FromScale {
  /** Of the object, before. */
  readonly parent: readonly ManagedFieldsEntry[] | undefined;
  /** Of the Scale, after the write. */
  readonly scale: readonly ManagedFieldsEntry[] | undefined;
  /** Of the object, for owners that are new. */
  readonly apiVersion: string;
  readonly paths: ReplicasPaths;
}

/** The object's entries after a write of its Scale: replicas are owned by who owns them there. */
export function managedFieldsFromScale({
  parent,
  scale,
  apiVersion,
  paths,
}: FromScale): ManagedFieldsEntry[] | undefined {
  const owners = ownersOf(parent);
  const scaleOwners = ownersOf(scale);
  // An entry of the object that the Scale kept is found by the identity it has in the object.
  const kept = new Map<string, string>();
  for (const [id, { entry }] of scaleOwners) {
    for (const [parentId, { entry: original }] of owners)
      if (
        original.manager === entry.manager &&
        original.operation === entry.operation &&
        original.subresource === entry.subresource &&
        hasPath(owners, parentId, paths[original.apiVersion ?? ""] ?? [])
      )
        kept.set(parentId, id);
  }
  const out: Owners = new Map();
  for (const [id, owner] of owners) {
    const path = paths[owner.entry.apiVersion ?? ""];
    if (!path) continue;
    const scaleId = kept.get(id);
    if (path.length === 0 || !hasPath(owners, id, path) || scaleId !== undefined) {
      out.set(id, owner);
      if (scaleId !== undefined) scaleOwners.delete(scaleId);
      continue;
    }
    const fields = difference(owner.fields, fieldSet(path));
    if (!isEmpty(fields)) out.set(id, { ...owner, fields });
  }
  const path = paths[apiVersion];
  for (const [id, { entry }] of scaleOwners) {
    if (!path || path.length === 0 || !hasPath(scaleOwners, id, replicasOfScale)) continue;
    // Upstream looks the time up among the object's old entries, so owners that are new have none.
    const time = owners.get(id)?.entry.time;
    const { time: _, ...rest } = entry;
    out.set(id, { entry: { ...rest, apiVersion, ...(time ? { time } : {}) }, fields: fieldSet(path) });
  }
  return encodeOwners(out);
}
