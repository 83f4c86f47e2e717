/**
 * JSON merge patch (RFC 7386) as evanphx/json-patch does it: nulls delete, also inside objects of lists that the patch brings.
 * Nothing is changed in place; unchanged parts of the original are shared with the result.
 */
import { jsonEqual, setOwn } from "../deep.ts";

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The original with the patch merged in. */
export function mergePatch(original: unknown, patch: unknown): unknown {
  if (!isObject(original)) return withoutNulls(patch);
  return isObject(patch) ? mergeObjects(original, patch) : patch;
}

function mergeObjects(original: Json, patch: Json): Json {
  const merged: Json = {};
  for (const key in original) {
    if (!Object.hasOwn(patch, key)) setOwn(merged, key, original[key]);
    else if (patch[key] !== null) {
      const current = original[key];
      setOwn(merged, key, current === null ? withoutNulls(patch[key]) : mergePatch(current, patch[key]));
    }
  }
  for (const key in patch) {
    if (patch[key] !== null && !Object.hasOwn(original, key)) setOwn(merged, key, withoutNulls(patch[key]));
  }
  return merged;
}

/** Null members gone at any depth; null items of lists stay. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => (item === null ? null : withoutNulls(item)));
  if (!isObject(value)) return value;
  const clean: Json = {};
  for (const key in value) if (value[key] !== null) setOwn(clean, key, withoutNulls(value[key]));
  return clean;
}

/** The smallest merge patch that makes `after` of `before`; undefined when they are equal. Lists are replaced whole. */
export function createMergePatch(before: unknown, after: unknown): unknown {
  if (!isObject(before) || !isObject(after)) return jsonEqual(before, after) ? undefined : after;
  const patch: Json = {};
  for (const key in before) {
    if (before[key] !== undefined && (!Object.hasOwn(after, key) || after[key] === undefined)) setOwn(patch, key, null);
  }
  for (const key in after) {
    if (after[key] === undefined) continue;
    const change = createMergePatch(Object.hasOwn(before, key) ? before[key] : undefined, after[key]);
    if (change !== undefined) setOwn(patch, key, change);
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/**
 * What `kubectl apply` sends for kinds without a strategic patch: changes from `current` to `modified`, and deletions of what
 * was in `original` (the last applied) and is no longer wanted.
 */
export function createThreeWayMergePatch(versions: {
  original: unknown;
  modified: unknown;
  current: unknown;
}): unknown {
  const { original, modified, current } = versions;
  const changes = onlyChanges(createMergePatch(current, modified));
  const deletions = onlyDeletions(createMergePatch(original, modified));
  if (deletions === undefined) return changes;
  return changes === undefined ? deletions : mergeKeepingNulls(deletions, changes);
}

function onlyChanges(patch: unknown): unknown {
  // A new empty map is a change; one that is left empty because its members were deletions is not.
  if (!isObject(patch) || Object.keys(patch).length === 0) return patch;
  return keepMembers(patch, (value) => (value === null ? undefined : onlyChanges(value)));
}

function onlyDeletions(patch: unknown): unknown {
  if (!isObject(patch)) return undefined;
  return keepMembers(patch, (value) => (value === null ? null : onlyDeletions(value)));
}

function keepMembers(patch: Json, keep: (value: unknown) => unknown): Json | undefined {
  const kept: Json = {};
  for (const key in patch) {
    const value = keep(patch[key]);
    if (value !== undefined) setOwn(kept, key, value);
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}

function mergeKeepingNulls(a: unknown, b: unknown): unknown {
  if (!isObject(a) || !isObject(b)) return b;
  const merged: Json = { ...a };
  for (const key in b) setOwn(merged, key, Object.hasOwn(a, key) ? mergeKeepingNulls(a[key], b[key]) : b[key]);
  return merged;
}
