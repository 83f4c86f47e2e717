/** `metadata.managedFields` as the owners it stands for, and back. */
import { goJson, goQuote } from "../go-text.ts";
import type { ManagedFieldsEntry } from "../object.ts";
import { canonicalSet, type FieldSet, isEmpty, leaf } from "./set.ts";

export interface Owner {
  readonly entry: ManagedFieldsEntry;
  readonly fields: FieldSet;
}

/** Owners by identity: name, operation, subresource, and for updates the version. */
export type Owners = Map<string, Owner>;

export const applied = (owner: Owner): boolean => owner.entry.operation === "Apply";

/**
 * Two entries with one identity are one owner. It is JSON as upstream builds it, because conflicts are printed in its order.
 */
export function identity({ manager, operation, apiVersion, subresource }: ManagedFieldsEntry): string {
  return goJson({
    ...(manager ? { manager } : {}),
    ...(operation ? { operation } : {}),
    ...(apiVersion && operation !== "Apply" ? { apiVersion } : {}),
    ...(subresource ? { subresource } : {}),
  });
}

/** Why entries can't be; undefined if they can. In upstream's words. */
export function managedFieldsProblem(entries: readonly ManagedFieldsEntry[]): string | undefined {
  const owners = decodeOwners(entries);
  return typeof owners === "string" ? owners : undefined;
}

/** The owners, or why there are none. `stored`: the sets are taken as they are, because this server wrote them. */
export function decodeOwners(entries: readonly ManagedFieldsEntry[], stored = false): Owners | string {
  const owners: Owners = new Map();
  for (const [i, entry] of entries.entries()) {
    if (entry.operation !== "Apply" && entry.operation !== "Update") return "operation must be `Apply` or `Update`";
    if (!entry.apiVersion) return "apiVersion must not be empty";
    if (!entry.fieldsType) return `missing fieldsType in managed fields entry ${i}`;
    if (entry.fieldsType !== "FieldsV1")
      return `invalid fieldsType ${goQuote(entry.fieldsType)} in managed fields entry ${i}`;
    try {
      const fields = stored ? storedSet(entry.fieldsV1) : canonicalSet(entry.fieldsV1);
      owners.set(identity(entry), { entry, fields });
    } catch (error) {
      return `error decoding versioned set from ${JSON.stringify(entry)}: error decoding set: ${(error as Error).message}`; // canonicalSet throws Errors only
    }
  }
  return owners;
}

const storedSet = (tree: unknown): FieldSet =>
  typeof tree === "object" && tree !== null && !Array.isArray(tree) ? (tree as FieldSet) : leaf; // encodeOwners wrote it

/** undefined when there is none, as the field is left out then. */
export function encodeOwners(owners: Owners): ManagedFieldsEntry[] | undefined {
  if (owners.size === 0) return undefined;
  const entries: ManagedFieldsEntry[] = [];
  for (const { entry, fields } of owners.values())
    entries.push(entry.fieldsV1 === fields ? entry : { ...entry, fieldsV1: fields });
  return entries.length === 1 ? entries : entries.sort(compareEntries);
}

function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compareTexts(a.operation, b.operation) ||
    seconds(a.time) - seconds(b.time) ||
    compareTexts(a.manager, b.manager) ||
    compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource, b.subresource)
  );
}

function compareTexts(a = "", b = ""): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

export function seconds(time: string | undefined): number {
  const parsed = time === undefined ? 0 : Date.parse(time);
  return Number.isNaN(parsed) ? 0 : Math.floor(parsed / 1000);
}

/** An empty list, or one empty entry: the client wants the managed fields gone. */
export function asksForReset(entries: readonly ManagedFieldsEntry[]): boolean {
  const [first] = entries;
  if (first === undefined) return true;
  return entries.length === 1 && isEmpty(first as Record<string, never>); // only whether it has keys is asked
}
