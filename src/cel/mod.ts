export type {
  Compiled,
  CostEstimate,
  Environment,
  EnvironmentOptions,
  EvaluateOptions,
  Evaluation,
  LibraryName,
  Program,
  SizedNode,
  SizeEstimate,
  SizeEstimator,
  Variables,
} from "./contract.ts";
export * from "./limits.ts";
export * from "./types.ts";
export * from "./values.ts";
