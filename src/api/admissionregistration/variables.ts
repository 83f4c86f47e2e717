/** Named expressions that others of the same policy can use. */
import type { Place } from "../place.ts";
import type { Variable } from "../types.d.ts";

const identifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
/** Words of CEL. */
const reserved = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const isCelIdentifier = (name: string): boolean => identifier.test(name) && !reserved.has(name);

export function validateVariables(variables: readonly Variable[] | undefined, at: Place): void {
  variables?.forEach(({ name = "", expression = "" }, i) => {
    const place = at.index(i);
    if (name.trim() === "") place.child("name").required("name is not specified");
    else if (!isCelIdentifier(name)) place.child("name").invalid(name, "name is not a valid CEL identifier");
    if (expression.trim() === "") place.child("expression").required("expression is not specified");
  });
}
