/**
 * A kind's hooks in the order in which the API server's registry calls them, without a server: for the tests of kinds.
 * Metadata, which the registry checks itself, is not looked at.
 */
import assert from "node:assert/strict";
import { checkTyped, cloneJson, type FieldError, type KubernetesObject } from "#machinery";
import { facts } from "./facts.ts";
import type { Kind, Strategy, WriteContext } from "./kind.ts";

export interface TrialAnswer<T> {
  readonly object: T;
  /** `field: message` each. */
  readonly errors: string[];
  readonly warnings: string[];
}

const now = Date.parse("2026-01-02T03:04:05Z");

function contextOf(kind: Pick<Kind, "group" | "resource" | "storageVersion">, subresource: string): WriteContext {
  const { group, resource, storageVersion: version } = kind;
  const user = { name: "tester", uid: "", groups: [], extra: {} };
  return { user, now, resource: { group, resource, version }, subresource };
}

/** What the server would make of the text of an object. */
function decode<T extends KubernetesObject>(kind: Kind<T>, sent: object): T {
  const { group, storageVersion } = kind;
  const schema = facts.typeOf(group === "" ? storageVersion : `${group}/${storageVersion}`, kind.kind);
  assert.ok(schema, `no type of ${kind.kind}`);
  const object = JSON.parse(JSON.stringify(sent)) as KubernetesObject; // checked next
  checkTyped(object as Record<string, unknown>, schema); // any object is one
  object.metadata ??= {};
  kind.defaults?.(object as T); // its type was checked
  return object as T;
}

const print = (errors: readonly FieldError[] = []): string[] =>
  errors.map(({ field, message }) => `${field}: ${message}`);

export function tryCreate<T extends KubernetesObject>(kind: Kind<T>, sent: object): TrialAnswer<T> {
  const object = decode(kind, { metadata: { name: "a", namespace: "n" }, ...sent });
  const context = contextOf(kind, "");
  object.metadata = { ...object.metadata, uid: "u" };
  kind.prepareForCreate?.(object, context);
  const errors = print(kind.validate?.(object, context));
  kind.defaults?.(object);
  assert.deepEqual(object, decode(kind, object), "what was prepared is what would be read back");
  return { object, errors, warnings: errors.length > 0 ? [] : (kind.warningsOnCreate?.(object, context) ?? []) };
}

/** `subresource`: whose strategy to use; the object itself without. */
export function tryUpdate<T extends KubernetesObject>(
  kind: Kind<T>,
  old: T,
  { change, subresource = "" }: { change: (object: T) => void; subresource?: string },
): TrialAnswer<T> {
  const strategy: Strategy<T> | undefined = subresource === "" ? kind : kind.subresources?.[subresource];
  assert.ok(strategy, `no ${subresource} of ${kind.kind}`);
  const before = cloneJson(old);
  const sent = cloneJson(old);
  change(sent);
  const object = decode(kind, sent);
  const context = contextOf(kind, subresource);
  strategy.prepareForUpdate?.(object, old, context);
  const errors = print(strategy.validateUpdate?.(object, old, context));
  const warnings = errors.length > 0 ? [] : (strategy.warningsOnUpdate?.(object, old, context) ?? []);
  assert.deepEqual(old, before, "the old object stays as it is");
  return { object, errors, warnings };
}

/** The cells of a row by the names of the columns. */
export function tryColumns<T extends KubernetesObject>(kind: Kind<T>, object: T): Record<string, unknown> {
  return Object.fromEntries((kind.columns ?? []).map((column) => [column.name, column.of(object, now)]));
}
