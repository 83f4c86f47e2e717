/**
 * Looking at a huge schema takes tens of milliseconds, and compiling its rules seconds. So its parts are looked at in steps, from the bottom
 * up, before the schema is validated as a whole, which then passes over what was found to be fine. Whatever is wrong is left to it.
 */
import { checkDefaultsAhead } from "./default-validation.ts";
import { additionalOf, itemsOf, type JsonSchema, schemaHas } from "./json-schema.ts";
import { hasRules } from "./rule-evaluation.ts";
import { environmentsFor, type RuleOptions } from "./rule-validation.ts";
import { compileInSteps } from "./rules.ts";
import { checkSchemaAhead } from "./schema-validation.ts";
import { isStructural } from "./structural.ts";

/** Smaller ones are validated at once. */
const partsMin = 500;

/** After `loadEngines`. */
export function* checkAhead(schema: JsonSchema, options: RuleOptions): Generator<void> {
  let parts = 0;
  if (!hasRules(schema) && !schemaHas(schema, () => ++parts > partsMin)) return;
  yield* below(schema, options);
  if (isStructural(schema) && hasOwnRules(schema))
    yield* compileInSteps(schema, { root: true, environmentOf: environmentsFor(options) });
}

function* below({ properties, ...schema }: JsonSchema, options: RuleOptions): Generator<void> {
  for (const name in properties) yield* part(properties[name]!, options); // a name in it
  for (const each of [itemsOf(schema), additionalOf(schema)]) if (each) yield* part(each, options);
}

function* part(schema: JsonSchema, options: RuleOptions): Generator<void> {
  yield* below(schema, options);
  yield;
  if (!isStructural(schema)) return;
  checkSchemaAhead(schema);
  if (hasOwnRules(schema)) yield* compileInSteps(schema, { root: false, environmentOf: environmentsFor(options) });
  checkDefaultsAhead(schema);
}

const hasOwnRules = (schema: JsonSchema): boolean => (schema["x-kubernetes-validations"]?.length ?? 0) > 0;
