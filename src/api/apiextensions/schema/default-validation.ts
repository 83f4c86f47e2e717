/** Defaults obey their own schema and hold nothing that would be pruned. Follows apiserver/schema/defaulting/validation.go. */
import { cloneJson, type FieldError, FieldPath, fieldError, jsonEqual } from "#machinery";
import { coerceEmbedded, validateEmbedded } from "./embedded.ts";
import { defaultOf, isEmbedded, isJsonObject, itemsOf, type JsonSchema, metaFields } from "./json-schema.ts";
import { pruneValue } from "./prune.ts";
import { evaluateRules, hasRules, ruleBudget } from "./rule-evaluation.ts";
import { validateValue } from "./value-validation.ts";

export function validateDefaults(schema: JsonSchema, at: FieldPath, pruned: boolean): FieldError[] {
  const found: Found = { errors: [], budget: ruleBudget };
  walk(schema, { at, pruned, insideMeta: false, root: true }, found);
  return found.errors;
}

/** Parts below a root whose defaults are fine. */
const fine = new WeakSet<JsonSchema>();

/** Remembers that the defaults of a part of a schema, and of all below it, are fine, if they are. */
export function checkDefaultsAhead(part: JsonSchema): void {
  const found: Found = { errors: [], budget: ruleBudget };
  walk(part, { at: FieldPath.none, pruned: true, insideMeta: false, root: false }, found);
  // Those that are held to rules share a budget with all others.
  if (found.errors.length === 0 && found.budget === ruleBudget) fine.add(part);
}

interface Found {
  readonly errors: FieldError[];
  /** Left for rules. */
  budget: number;
}

interface Where {
  readonly at: FieldPath;
  readonly pruned: boolean;
  /** In fields of metadata, which nobody prunes. */
  readonly insideMeta: boolean;
  readonly root: boolean;
}

function walk(schema: JsonSchema, { at, pruned, insideMeta, root }: Where, found: Found): void {
  if (found.budget < 0 || (!root && fine.has(schema))) return;
  const embedded = root || isEmbedded(schema);
  const inside = insideMeta && !embedded;
  const value = defaultOf(schema);
  if (value !== undefined) {
    const wrong = checkDefault(value, schema, at.child("default"), pruned && !inside);
    found.errors.push(...wrong);
    if (wrong.length === 0) checkRules(value, schema, at.child("default"), found);
  }
  // Not into additionalProperties: no defaults there.
  const items = itemsOf(schema);
  if (items) walk(items, { at: at.child("items"), pruned, insideMeta: inside, root: false }, found);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const meta = inside || (embedded && metaFields.has(name));
    walk(property, { at: at.child("properties").key(name), pruned, insideMeta: meta, root: false }, found);
  }
}

/** A default may come with an update, unchanged, and out of nothing. */
function checkRules(value: unknown, schema: JsonSchema, at: FieldPath, found: Found): void {
  if (!hasRules(schema)) return;
  const subject = { value, at, root: isEmbedded(schema), budget: found.budget };
  const kept = evaluateRules(schema, { ...subject, old: value });
  found.errors.push(...kept.errors);
  const created = kept.errors.length === 0 ? evaluateRules(schema, subject) : kept;
  if (created !== kept) found.errors.push(...created.errors);
  found.budget = Math.min(kept.budget, created.budget);
}

function checkDefault(value: unknown, schema: JsonSchema, at: FieldPath, pruned: boolean): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (pruned) {
    const copy = cloneJson(value);
    pruneValue(copy, schema);
    if (!jsonEqual(copy, value)) errors.push(fieldError.invalid(at, value, "must not have unknown fields"));
  }
  if (isJsonObject(value)) {
    const { error } = coerceEmbedded(cloneJson(value), schema, at);
    if (error) return [...errors, error];
    const wrong = validateEmbedded(value, schema, at);
    if (wrong.length > 0) return [...errors, ...wrong];
  }
  return [...errors, ...validateValue(value, schema, { at })];
}
