/** Engines that looking at a schema may need, for regular expressions and for rules: whoever may wait calls `loadEngines` first. */
import type { Environment } from "#cel";
import { celEngine, loadCel } from "../../cel-engine.ts";
import { type JsonSchema, schemaHas } from "./json-schema.ts";
import { loadPatterns } from "./pattern.ts";

/** New expressions are held to what the release before this one knows, so that a cluster can go back to it. */
const previousRelease = "1.35";

const hasRules = (schema: JsonSchema): boolean => (schema["x-kubernetes-validations"]?.length ?? 0) > 0;

/** A promise only if there is something to wait for. */
export function loadEngines(schema: JsonSchema | undefined): Promise<void> | undefined {
  const patterns = loadPatterns(schema);
  const rules = schemaHas(schema, hasRules) ? loadCel() : undefined;
  return patterns && rules ? patterns.then(() => rules) : (patterns ?? rules);
}

// Made once for the process: hundreds of functions.
const environments = new Map<"new" | "stored", Environment>();

/** For expressions that come now, and for those that are stored already. */
export function ruleEnvironment(use: "new" | "stored"): Environment {
  let environment = environments.get(use);
  if (!environment) {
    environment = celEngine().createEnvironment(use === "new" ? { version: previousRelease } : {});
    environments.set(use, environment);
  }
  return environment;
}
