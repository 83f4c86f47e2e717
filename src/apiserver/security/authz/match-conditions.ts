/** Which questions a webhook is asked: all of its conditions must hold. One that says no settles it, whatever went wrong with others. */
import type { Expression } from "../expressions.ts";
import { aggregate } from "../rbac.ts";
import type { ReviewSpec } from "./webhook.ts";

export type MatchConditions = (spec: ReviewSpec) => { readonly matches: boolean } | { readonly error: string };

export function createMatchConditions(expressions: readonly Expression[]): MatchConditions {
  return (spec) => {
    const errors: string[] = [];
    for (const { source, evaluate } of expressions) {
      const result = evaluate(spec);
      if ("error" in result)
        errors.push(`cel evaluation error: expression '${source}' resulted in error: ${result.error}`);
      else if (result.value === false) return { matches: false };
    }
    return errors.length > 0 ? { error: aggregate(errors) } : { matches: true };
  };
}
