/** Budgets of apiserver/pkg/apis/cel and apiextensions-apiserver: they decide which expressions a cluster accepts. */

/** Cost units of one evaluation: about 0.1 s upstream. */
export const perCallLimit = 1_000_000;
/** Cost units of all rules of one custom resource, or of one policy binding: about 1 s upstream. */
export const runtimeCostBudget = 10_000_000;
/** Cost units of all match conditions of one webhook or binding: about 1/4 s upstream. */
export const runtimeCostBudgetMatchConditions = 2_500_000;
/** Iterations between two checks whether the evaluation was interrupted. */
export const checkFrequency = 100;
/** Size of the largest request that cost estimates reckon with. */
export const maxRequestSizeBytes = 3 * 1024 * 1024;
/** Length of the text that a messageExpression may produce. */
export const maxEvaluatedMessageExpressionSizeBytes = 5 * 1024;
/** Estimated cost that one rule of a custom resource definition may have. */
export const staticEstimatedCostLimit = 10_000_000;
/** Estimated cost that all rules of a custom resource definition may have together. */
export const staticEstimatedCrdCostLimit = 100_000_000;
