/** `matchConditions` of webhooks and policies. One that is false leaves the request alone, whatever is wrong with the others. */
import { celEngine, type CompiledExpression } from "#api";
import { BudgetError, Evaluator, type Subject } from "./evaluate.ts";

/** `error`: it can't be told, and the failure policy is to fail. */
export type Met =
  | { readonly met: boolean; readonly error?: undefined }
  | { readonly met?: undefined; readonly error: string };

export interface ConditionsOptions {
  readonly conditions: readonly CompiledExpression[];
  readonly variables?: ReadonlyMap<string, CompiledExpression>;
  readonly failurePolicy: string | undefined;
}

/** `loadCel` comes first. */
export async function conditionsMet(
  subject: Subject,
  { conditions, variables, failurePolicy }: ConditionsOptions,
): Promise<Met> {
  if (conditions.length === 0) return { met: true };
  // The namespace is nobody's business here, as upstream has it.
  const evaluator = new Evaluator(
    { ...subject, namespace: undefined },
    { budget: celEngine().runtimeCostBudgetMatchConditions, ...(variables && { variables }) },
  );
  const errors: string[] = [];
  try {
    for (const condition of conditions) {
      const { value, error } = await evaluator.evaluate(condition);
      if (error !== undefined) errors.push(error);
      else if (value === false) return { met: false };
    }
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
    errors.splice(0, errors.length, error.message);
  }
  if (errors.length === 0) return { met: true };
  if (failurePolicy === "Ignore") return { met: false };
  return { error: printErrors(errors) };
}

/** As Go's aggregate: each once. */
function printErrors(errors: readonly string[]): string {
  const different = [...new Set(errors)];
  return different.length === 1 ? (different[0] ?? "") : `[${different.join(", ")}]`;
}
