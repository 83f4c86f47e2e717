/**
 * Server-side apply: a configuration is merged into the live object, what its manager no longer applies goes, and what
 * others own is changed only by force. In the order of upstream's managers around `merge.Updater.Apply`.
 */
import type { KubernetesObject, ManagedFieldsEntry } from "../object.ts";
import { type Status, StatusError, statusError } from "../status.ts";
import { fieldsOfObject, misfits } from "./applied.ts";
import { compareObjects } from "./compare.ts";
import { type Conflict, type Conflicts, conflictError } from "./conflict.ts";
import { decodeOwners, encodeOwners, identity, type Owners } from "./entries.ts";
import { equalValues, type JsonObject, ShapeError } from "./item.ts";
import { allowedByLastApplied, renewLastApplied } from "./last-applied.ts";
import {
  differencesByVersion,
  filter,
  filterSet,
  lose,
  ownEntry,
  ownersAfterUpdate,
  reconcileOwners,
} from "./manager.ts";
import { mergeObjects } from "./merge.ts";
import { emptyObject, ownedPlan, wholePlan } from "./plan.ts";
import { dropEmptied, prune } from "./prune.ts";
import type { ApplyRequest, ApplyResult } from "./request.ts";
import { difference, type FieldSet, intersection, isEmpty } from "./set.ts";

/** Owns what was there before anybody applied. */
const firstOwner = "before-first-apply";
/** The one manager that migrates from client-side apply. */
const kubectl = "kubectl";

/** See ApplyRequest and ApplyResult. Throws StatusError. */
export function applyObject(request: ApplyRequest): ApplyResult {
  checkApplied(request);
  const live = withoutManagedFields(request.live);
  const owners = currentOwners(request, live);
  let outcome = attempt(request, live, owners);
  if ("conflicts" in outcome && request.manager === kubectl) {
    const allowed = allowedByLastApplied(request);
    const left = allowed ? withoutAllowed(outcome.conflicts, allowed) : outcome.conflicts;
    outcome = left.size > 0 ? { conflicts: left } : attempt({ ...request, force: true }, live, owners);
  }
  if ("conflicts" in outcome) throw conflictError(outcome.conflicts);

  const { merged, unchanged } = outcome;
  const managedFields = encodeOwners(outcome.owners);
  const object: KubernetesObject = merged;
  const annotated = request.manager === kubectl && renewLastApplied(object, request.applied);
  const before = request.live?.metadata?.managedFields;
  if (managedFields) object.metadata = { ...object.metadata, managedFields };
  return {
    object,
    unchanged: unchanged && !annotated && request.live !== undefined && equalValues(managedFields, before),
  };
}

/** Errors that upstream doesn't name: 500 without a reason. */
const failure = (message: string): StatusError =>
  new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    code: 500,
  } satisfies Status);

function checkApplied({ applied, apiVersion, kind, schema }: ApplyRequest): void {
  const found = printKind(applied);
  if (applied.apiVersion !== apiVersion || applied.kind !== kind)
    throw statusError.badRequest(`invalid object type: ${found}`);
  // null is what Go calls nil.
  if ((applied.metadata?.managedFields ?? null) !== null)
    throw statusError.badRequest("metadata.managedFields must be nil");
  const why = misfits(schema, applied);
  if (why !== undefined) throw failure(`failed to create typed patch object (${printObject(applied)}): ${why}`);
}

/** `/v1, Kind=Pod`, `apps/v1, Kind=Deployment`. */
/** What isn't text counts as nothing. */
function printKind(object: KubernetesObject): string {
  const [apiVersion, kind] = [object.apiVersion, object.kind].map((word) => (typeof word === "string" ? word : ""));
  return printed(apiVersion ?? "", kind ?? "");
}

function printed(apiVersion: string, kind: string): string {
  return `${apiVersion.includes("/") ? "" : "/"}${apiVersion}, Kind=${kind}`;
}

function printObject(object: KubernetesObject): string {
  return `${object.metadata?.namespace ?? ""}/${object.metadata?.name ?? ""}; ${printKind(object)}`;
}

function withoutManagedFields(live: KubernetesObject | undefined): JsonObject {
  if (!live) return emptyObject;
  if (!live.metadata?.managedFields) return live as JsonObject; // wire objects are plain JSON
  const { managedFields: _, ...metadata } = live.metadata;
  return { ...live, metadata };
}

function currentOwners(request: ApplyRequest, live: JsonObject): Owners {
  const owners = decodeOwners(request.live?.metadata?.managedFields ?? [], true);
  if (typeof owners === "string") throw failure(`failed to decode managed fields: ${owners}`);
  if (owners.size > 0 || !request.live) return owners;
  return shaped("failed to create manager for existing fields", () =>
    ownersAfterUpdate({ ...request, manager: firstOwner }, owners, emptyObject, live),
  );
}

function shaped<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ShapeError) throw failure(`${what}: ${error.message}`);
    throw error;
  }
}

interface Merged {
  readonly merged: KubernetesObject;
  readonly owners: Owners;
  /** The object is as it was; who owns what may have changed. */
  readonly unchanged: boolean;
}

function attempt(request: ApplyRequest, live: JsonObject, owners: Owners): Merged | { conflicts: Conflicts } {
  return shaped("failed to merge config", () => {
    const applied = request.applied as JsonObject; // wire objects are plain JSON
    const plan = ownedPlan(request.schema);
    const current = reconcileOwners(request, owners, live);
    const entry = ownEntry(request, "Apply");
    const id = identity(entry);
    const last = current.get(id);
    const fields = filterSet(request, fieldsOfObject(plan, applied));
    current.set(id, { entry, fields });

    const merged = mergeObjects(wholePlan(request.schema), live, applied);
    const { object, emptied } =
      last && !isEmpty(last.fields)
        ? prune(request, merged, { owners: current, last })
        : { object: merged, emptied: [] };
    const result = takeFromOthers(request, current, { id, live, object });
    if ("conflicts" in result) return result;
    dropEmptied(emptied);
    const unchanged = equalValues(live, object);
    const own = result.owners.get(id);
    if (own && unchanged) result.owners.set(id, { ...own, entry: withTime(entry, last?.entry.time) });
    return { merged: object as KubernetesObject, owners: result.owners, unchanged }; // merged from one
  });
}

function withTime(entry: ManagedFieldsEntry, time: string | undefined): ManagedFieldsEntry {
  if (time) return { ...entry, time };
  const { time: _, ...rest } = entry;
  return rest;
}

interface Step {
  readonly id: string;
  readonly live: JsonObject;
  readonly object: JsonObject;
}

/** The other owners lose what changed and what went; without force, what changed is a conflict. */
function takeFromOthers(
  request: ApplyRequest,
  owners: Owners,
  { id, live, object }: Step,
): { owners: Owners } | { conflicts: Conflicts } {
  const compared = compareObjects(ownedPlan(request.schema), live, object);
  const own = compared && filter(request, compared);
  const differenceIn = differencesByVersion(request, { live, result: object, own });
  const conflicts = new Map<string, Conflict>();
  const left: Owners = new Map();
  for (const [otherId, owner] of owners) {
    if (otherId === id) {
      if (!isEmpty(owner.fields)) left.set(id, owner);
      continue;
    }
    const change = differenceIn(owner.entry.apiVersion);
    const taken = change?.changed && intersection(owner.fields, change.changed);
    if (taken && !isEmpty(taken)) conflicts.set(otherId, { owner, fields: taken });
    const kept = lose(owner, change);
    if (kept) left.set(otherId, kept);
  }
  return conflicts.size > 0 && !request.force ? { conflicts } : { owners: left };
}

function withoutAllowed(conflicts: Conflicts, allowed: FieldSet): Conflicts {
  const left = new Map<string, Conflict>();
  for (const [id, { owner, fields }] of conflicts) {
    const rest = difference(fields, allowed);
    if (!isEmpty(rest)) left.set(id, { owner, fields: rest });
  }
  return left;
}
