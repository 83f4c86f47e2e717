/** Names that are a path below somebody's domain, like `acme.io/foo`: of controllers. */
import { isDomainPrefixedPath } from "#machinery";
import type { Place } from "./place.ts";

export function validateDomainPath(path: string, at: Place): void {
  if (path === "") at.required();
  else for (const { value, message } of isDomainPrefixedPath(path)) at.invalid(value, message);
}
