/**
 * Managed fields after a create, update or patch. Upstream is a tower of nine managers around a merge library; what they
 * decide is here in order: whose entries count, what differs, who loses, what the writer gains, how many are kept.
 */
import type { ManagedFieldsEntry } from "../object.ts";
import { compareObjects, type Difference } from "./compare.ts";
import { asksForReset, decodeOwners, encodeOwners, identity, type Owner, type Owners, seconds } from "./entries.ts";
import { equalValues, type JsonObject, ShapeError } from "./item.ts";
import { emptyObject, ownedPlan } from "./plan.ts";
import { reconcile } from "./remove.ts";
import type { ApplyRequest, ManagedFields, UpdateRequest } from "./request.ts";
import { difference, type FieldSet, isEmpty, leaf, restrict, union } from "./set.ts";

/** More entries of updates than this are merged, oldest first: clients with ever new names must not make objects grow. */
const updateOwnersMax = 10;
const mergedOwner = "ancient-changes";

/** The new `metadata.managedFields`; see UpdateRequest. Objects that don't fit their type keep the entries they have. */
export function updateManagedFields(request: UpdateRequest): ManagedFields {
  const { live, result, subresource } = request;
  const before = live?.metadata?.managedFields;
  const owners = ownersOfUpdate(
    before,
    result.metadata?.managedFields,
    subresource !== undefined && subresource !== "",
  );
  // Objects without managed fields stay so until somebody applies; what is being created has none yet.
  if (owners.size === 0 && live !== undefined) return undefined;
  try {
    return encodeOwners(ownersAfterUpdate(request, owners, (live ?? emptyObject) as JsonObject, result as JsonObject)); // wire objects are plain JSON
  } catch (error) {
    if (error instanceof ShapeError) return before;
    throw error;
  }
}

/** Clients that know nothing of managed fields send none and change none; a subresource can't change them at all. */
function ownersOfUpdate(
  live: readonly ManagedFieldsEntry[] | undefined,
  sent: readonly ManagedFieldsEntry[] | undefined,
  isSubresource: boolean,
): Owners {
  // Most clients send back what they got.
  if (!isSubresource && sent && sent !== live && !equalValues(sent, live)) {
    if (asksForReset(sent)) return new Map();
    const owners = decodeOwners(sent);
    if (typeof owners !== "string" && owners.size > 0) return owners;
  }
  const owners = decodeOwners(live ?? [], true);
  return typeof owners === "string" ? new Map() : owners;
}

export type OwnerRequest = Pick<
  ApplyRequest,
  "schema" | "apiVersion" | "manager" | "subresource" | "time" | "resetFields" | "ownableFields" | "otherVersion"
>;

/** Throws ShapeError. */
export function ownersAfterUpdate(request: OwnerRequest, owners: Owners, live: JsonObject, result: JsonObject): Owners {
  const current = reconcileOwners(request, owners, live);
  const compared = compareObjects(ownedPlan(request.schema), live, result);
  const own = compared && filter(request, compared);
  const after = withoutLost(request, current, { live, result, own });
  if (own?.changed) {
    const entry = ownEntry(request, "Update");
    const id = identity(entry);
    after.set(id, { entry, fields: union(own.changed, after.get(id)?.fields ?? leaf) });
  }
  return capUpdates(after);
}

export function ownEntry(request: OwnerRequest, operation: "Apply" | "Update"): ManagedFieldsEntry {
  return {
    manager: request.manager === "" ? "unknown" : request.manager,
    operation,
    apiVersion: request.apiVersion,
    time: request.time,
    fieldsType: "FieldsV1",
    fieldsV1: leaf,
    ...(request.subresource ? { subresource: request.subresource } : {}),
  };
}

/** A difference without what this endpoint doesn't write. */
export function filter({ resetFields, ownableFields }: OwnerRequest, { changed, removed }: Difference): Difference {
  const keep = (set: FieldSet | undefined): FieldSet | undefined => {
    const left = set && filterSet({ resetFields, ownableFields }, set);
    return left && !isEmpty(left) ? left : undefined;
  };
  return resetFields || ownableFields ? { changed: keep(changed), removed: keep(removed) } : { changed, removed };
}

export function filterSet(
  { resetFields, ownableFields }: Pick<OwnerRequest, "resetFields" | "ownableFields">,
  set: FieldSet,
): FieldSet {
  const left = resetFields ? difference(set, resetFields, true) : set;
  return ownableFields ? restrict(left, ownableFields) : left;
}

/** Entries of versions that are no longer served go; the others follow changes of their type. */
export function reconcileOwners(
  { schema, apiVersion, otherVersion }: OwnerRequest,
  owners: Owners,
  live: JsonObject,
): Owners {
  if (live === emptyObject) return owners;
  const out: Owners = new Map();
  for (const [id, owner] of owners) {
    const version = owner.entry.apiVersion;
    const type = version === apiVersion ? schema : otherVersion?.(version ?? "")?.schema;
    if (!type && otherVersion) continue;
    // Without knowledge of other versions their entries are left alone.
    const fields = type ? reconcile(ownedPlan(type), owner.fields) : owner.fields;
    out.set(id, fields === owner.fields ? owner : { ...owner, fields });
  }
  return out;
}

interface Change {
  readonly live: JsonObject;
  readonly result: JsonObject;
  /** In the version of the request, filtered. */
  readonly own: Difference | undefined;
}

/** The differences in each version that an owner wrote in. */
export function differencesByVersion(request: OwnerRequest, { live, result, own }: Change) {
  const known = new Map<string | undefined, Difference | undefined>([[request.apiVersion, own]]);
  return (version: string | undefined): Difference | undefined => {
    if (known.has(version)) return known.get(version);
    let found = own;
    const other = request.otherVersion?.(version ?? "");
    if (other) {
      const convert = (object: JsonObject): JsonObject =>
        object === emptyObject ? object : (other.convert(object) as JsonObject); // wire objects are plain JSON
      const compared = compareObjects(ownedPlan(other.schema), convert(live), convert(result));
      found = compared && filter(request, compared);
    }
    known.set(version, found);
    return found;
  };
}

function withoutLost(request: OwnerRequest, owners: Owners, change: Change): Owners {
  const differenceIn = differencesByVersion(request, change);
  const out: Owners = new Map();
  for (const [id, owner] of owners) {
    const left = lose(owner, differenceIn(owner.entry.apiVersion));
    if (left) out.set(id, left);
  }
  return out;
}

/** What an owner keeps; undefined if nothing. */
export function lose(owner: Owner, change: Difference | undefined): Owner | undefined {
  let fields = owner.fields;
  if (change?.changed) fields = difference(fields, change.changed);
  if (change?.removed) fields = difference(fields, change.removed);
  if (isEmpty(fields)) return undefined;
  return fields === owner.fields ? owner : { ...owner, fields };
}

/** Merges the oldest updates of a version into one entry until there are few enough. */
function capUpdates(owners: Owners): Owners {
  if (owners.size <= updateOwnersMax) return owners;
  const updates = [...owners].filter(([, { entry }]) => entry.operation !== "Apply");
  let count = updates.length;
  updates.sort(([a, { entry: x }], [b, { entry: y }]) => seconds(x.time) - seconds(y.time) || (a < b ? -1 : 1));
  const firstOfVersion = new Map<string | undefined, string>();
  for (const [id, owner] of updates) {
    if (count <= updateOwnersMax) break;
    const version = owner.entry.apiVersion;
    const first = firstOfVersion.get(version);
    if (first === undefined) {
      firstOfVersion.set(version, id);
      continue;
    }
    const { operation, apiVersion, time } = owner.entry;
    // It is as recent as what it took in last.
    const entry: ManagedFieldsEntry = {
      manager: mergedOwner,
      ...(operation ? { operation } : {}),
      ...(apiVersion ? { apiVersion } : {}),
      ...(time ? { time } : {}),
      fieldsType: "FieldsV1",
      fieldsV1: leaf,
    };
    const bucket = identity(entry);
    if (id === bucket) continue;
    const merged = owners.get(bucket) ?? owners.get(first);
    if (!owners.has(bucket)) owners.delete(first);
    owners.delete(id);
    owners.set(bucket, { entry, fields: union(owner.fields, merged?.fields ?? leaf) });
    count--;
  }
  return owners;
}
