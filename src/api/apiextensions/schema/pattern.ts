/**
 * Patterns in schemas. They come from users and run on every write, so they go through an engine that takes linear time (see
 * docs/decisions/0010-re2js.md). It is loaded on first use; callers that may wait do so with `loadPatterns` before they validate.
 */
import { assert } from "#base";
import { type JsonSchema, schemaHas } from "./json-schema.ts";

export interface Pattern {
  test(text: string): boolean;
}

/** Compiled patterns kept: enough for the definitions in use at a time. */
const patternsMax = 2_000;

interface Engine {
  compile(pattern: string): Pattern;
}

// One engine for the process, like any loaded module; patterns are what it has compiled.
const loaded: { engine?: Engine } = {};
const compiled = new Map<string, Pattern>();

const hasPattern = (schema: JsonSchema): boolean => (schema.pattern ?? "") !== "";

/** Call before anything in this folder looks at the schema or at values of it. A promise only if there is something to wait for. */
export function loadPatterns(schema: JsonSchema | undefined): Promise<void> | undefined {
  if (loaded.engine || !schemaHas(schema, hasPattern)) return undefined;
  return load();
}

async function load(): Promise<void> {
  const { RE2JS } = await import("re2js");
  loaded.engine = { compile: (pattern) => RE2JS.compile(pattern) };
}

/** Throws what Go's regexp.Compile answers. */
export function compilePattern(pattern: string): Pattern {
  const known = compiled.get(pattern);
  if (known) return known;
  assert(loaded.engine, "loadPatterns comes first");
  const made = loaded.engine.compile(pattern);
  if (compiled.size >= patternsMax) compiled.clear();
  compiled.set(pattern, made);
  return made;
}
