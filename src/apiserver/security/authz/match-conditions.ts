/** Which questions a webhook is asked: all of its conditions must hold. One that says no settles it, whatever went wrong with others. */
import type { Expression } from "../expressions.ts";
import { aggregate } from "../rbac.ts";
import type { Attributes } from "../../security.ts";
import { selectorsOf } from "./selectors.ts";

export type MatchConditions = (attributes: Attributes) => { readonly matches: boolean } | { readonly error: string };

export function createMatchConditions(expressions: readonly Expression[]): MatchConditions {
  return (attributes) => {
    const spec = conditionValue(attributes);
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

/** The SubjectAccessReviewSpec with all of its texts, also empty ones: conditions needn't ask whether they are there. */
function conditionValue(attributes: Attributes): object {
  const { user, resourceRequest, path, verb, namespace, apiGroup, apiVersion, resource, subresource, name } =
    attributes;
  return {
    user: user.name,
    groups: user.groups,
    uid: user.uid,
    extra: user.extra,
    ...(resourceRequest
      ? {
          resourceAttributes: {
            namespace,
            verb,
            group: apiGroup,
            version: apiVersion,
            resource,
            subresource,
            name,
            ...selectorsOf(attributes),
          },
        }
      : { nonResourceAttributes: { verb, path } }),
  };
}
