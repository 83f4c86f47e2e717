/** Named expressions that others of the same policy can use. */
import type { Place } from "../place.ts";
import type { Variable } from "../types.d.ts";
import { checkExpression, type ExpressionCompiler } from "./expressions.ts";

const identifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
/** Words of CEL. */
const reserved = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const isCelIdentifier = (name: string): boolean => identifier.test(name) && !reserved.has(name);

/** Makes them known to the compiler. */
export function validateVariables(
  variables: readonly Variable[] | undefined,
  at: Place,
  { compiler, params }: { readonly compiler: ExpressionCompiler; readonly params: boolean },
): void {
  variables?.forEach(({ name = "", expression = "" }, i) => {
    const place = at.index(i);
    if (name.trim() === "") place.child("name").required("name is not specified");
    else if (!isCelIdentifier(name)) place.child("name").invalid(name, "must be a valid CEL identifier");
    const expressionAt = place.child("expression");
    if (expression.trim() === "") expressionAt.required("expression is not specified");
    else checkExpression(expressionAt, compiler.addVariable(name, expression, { params, authorizer: true }));
  });
}
