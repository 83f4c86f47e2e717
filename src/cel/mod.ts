export type {
  Compiled,
  Environment,
  EnvironmentOptions,
  EvaluateOptions,
  Evaluation,
  LibraryName,
  Program,
  Variables,
} from "./contract.ts";
export type { CostEstimate, SizedNode, SizeEstimate, SizeEstimator } from "./cost/estimate.ts";
export { assignTypeName, type DeclType, declTypeSizeEstimator, schemaDeclType } from "./decl-type.ts";
export { createEnvironment } from "./environment.ts";
export { escapeName, unescapeName } from "./escape.ts";
export type { JsonSchema } from "./json-schema.ts";
export { fromJson, toJson } from "./json-values.ts";
export {
  type Authorize,
  type AuthorizerAttributes,
  type AuthorizerDecision,
  type AuthorizerOptions,
  type AuthorizerUser,
  authorizerType,
  createAuthorizer,
  createResourceCheck,
  PendingChecks,
  type RequestResource,
  resourceCheckType,
} from "./library/authorizer.ts";
export { createQuantity, createSemver, quantityType, semverType } from "./library/objects.ts";
export { JsonPatchValue, ObjectValue, resolveMutationType, typeNameProblems } from "./library/mutation.ts";
export * from "./limits.ts";
export { equal, printValue, typeOf } from "./operations.ts";
export type { StructType } from "./struct-type.ts";
export * from "./types.ts";
export * from "./values.ts";
