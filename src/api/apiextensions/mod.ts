/** What the API server needs of definitions and of the schemas in them. */
export {
  conditionIsTrue,
  type DefinitionCondition,
  findCondition,
  removeCondition,
  setCondition,
} from "./conditions.ts";
export { Correlated } from "./schema/correlation.ts";
export { applyDefaults, pruneDefaults } from "./schema/defaults.ts";
export { coerceEmbedded, coerceMetadata, isDecodeFailure, validateEmbedded } from "./schema/embedded.ts";
export {
  additionalOf,
  asGo,
  defaultOf,
  isEmbedded,
  isIntOrString,
  isJsonObject,
  itemsOf,
  type JsonSchema,
  preservesUnknown,
  propertyOf,
} from "./schema/json-schema.ts";
export { checkListTypes } from "./schema/list-types.ts";
export { loadEngines } from "./schema/engines.ts";
export { dropNulls, pruneObject } from "./schema/prune.ts";
export { hasRules, rulesInSteps } from "./schema/rule-evaluation.ts";
export { caBundleProblem } from "./conversion-validation.ts";
export { validateStructural } from "./schema/structural.ts";
export { validateInSteps, validateValue } from "./schema/value-validation.ts";
