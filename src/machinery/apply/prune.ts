/**
 * What an applier no longer applies goes, unless somebody else owns it or nobody said that the applier did.
 * Upstream's three steps: take away all it owned, put back what any owner has, put back what it didn't own last time.
 */
import { fieldsOfObject } from "./applied.ts";
import type { Owner, Owners } from "./entries.ts";
import type { JsonObject } from "./item.ts";
import type { OwnerRequest } from "./manager.ts";
import { ownedPlan } from "./plan.ts";
import { type Emptied, removeFields, withStructs } from "./remove.ts";
import { difference, type FieldSet, intersection, isEmpty, leaf, union } from "./set.ts";

export interface Pruned {
  readonly object: JsonObject;
  /** Containers that lost everything; null until `dropEmptied`, so that they compare as still being there. */
  readonly emptied: Emptied;
}

export function dropEmptied(emptied: Emptied): void {
  for (const { holder, name } of emptied) if (holder[name] === null) delete holder[name];
}

/** `owners` with what the applier owns now, `last` with what it owned before. Throws ShapeError. */
export function prune(
  request: OwnerRequest,
  merged: JsonObject,
  { owners, last }: { owners: Owners; last: Owner },
): Pruned {
  const version = last.entry.apiVersion ?? request.apiVersion;
  const own = version === request.apiVersion ? ownNow(owners, last) : undefined;
  // Nearly always nothing is dropped: what was owned is owned still.
  if (own && isEmpty(difference(last.fields, own))) return { object: merged, emptied: [] };
  const versions = new Versions(request);
  const converted = versions.convert(merged, request.apiVersion, version);
  if (!converted) return { object: merged, emptied: [] };
  const plan = versions.plan(version);
  const owned = withoutMetadata(withStructs(plan, last.fields));
  let pruned = removeFields(plan, converted, owned);
  pruned = addBackOwned(versions, { merged: converted, pruned, version }, owners);
  const gone = difference(versions.fields(converted, version), versions.fields(pruned, version));
  const emptied: Emptied = [];
  const object = removeFields(plan, converted, intersection(gone, owned), emptied);
  if (version === request.apiVersion || !request.otherVersion) return { object, emptied };
  dropEmptied(emptied);
  return { object: versions.convert(object, version, request.apiVersion) ?? merged, emptied: [] };
}

function ownNow(owners: Owners, last: Owner): FieldSet | undefined {
  for (const { entry, fields } of owners.values())
    if (
      entry.operation === "Apply" &&
      entry.manager === last.entry.manager &&
      entry.subresource === last.entry.subresource
    )
      return fields;
  return undefined;
}

/** Every applied object names itself, which nobody owns: its metadata never goes as a whole. */
function withoutMetadata(owned: FieldSet): FieldSet {
  const { "f:metadata": metadata, ...others } = owned;
  if (metadata === undefined) return owned;
  const { ".": _, ...below } = metadata;
  return isEmpty(below) ? others : { ...others, "f:metadata": below };
}

interface Stage {
  readonly merged: JsonObject;
  readonly pruned: JsonObject;
  readonly version: string;
}

/** The version of the stage comes first: others might not convert without fields that it brings back. */
function addBackOwned(versions: Versions, stage: Stage, owners: Owners): JsonObject {
  const owned = new Map<string, FieldSet>();
  for (const { entry, fields } of owners.values()) {
    const version = versions.distinct(entry.apiVersion ?? "");
    owned.set(version, union(owned.get(version) ?? leaf, fields));
  }
  const home = versions.distinct(stage.version);
  const order = [home, ...[...owned.keys()].filter((version) => version !== home)];
  let { pruned } = stage;
  for (const version of order) {
    const fields = owned.get(version);
    const merged = fields && versions.convert(stage.merged, stage.version, version);
    const left = merged && versions.convert(pruned, stage.version, version);
    if (!merged || !left) continue;
    const plan = versions.plan(version);
    const kept = union(versions.fields(left, version), withStructs(plan, fields));
    const object = removeFields(plan, merged, withoutMetadata(difference(versions.fields(merged, version), kept)));
    pruned = versions.convert(object, version, stage.version) ?? pruned;
  }
  return pruned;
}

/** Objects and types in the versions that owners wrote in. */
class Versions {
  readonly #request: OwnerRequest;

  constructor(request: OwnerRequest) {
    this.#request = request;
  }

  /** Versions with the same fields are one. */
  distinct(version: string): string {
    return this.#request.otherVersion ? version : this.#request.apiVersion;
  }

  /** undefined: not served any more. */
  convert(object: JsonObject, from: string, to: string): JsonObject | undefined {
    const { otherVersion, apiVersion } = this.#request;
    if (from === to || !otherVersion) return object;
    // A version is reached from the one of the request; conversions take any version of the object.
    const target = otherVersion(to);
    if (!target) return to === apiVersion ? object : undefined;
    return target.convert(object) as JsonObject; // wire objects are plain JSON
  }

  plan(version: string) {
    const { otherVersion, apiVersion, schema } = this.#request;
    return ownedPlan(version === apiVersion ? schema : (otherVersion?.(version)?.schema ?? schema));
  }

  fields(object: JsonObject, version: string): FieldSet {
    const plan = this.plan(version);
    return withStructs(plan, fieldsOfObject(plan, object));
  }
}
