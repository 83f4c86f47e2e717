/** A refusal by admission, named as upstream names objects that may have no name yet. */
import { type StatusError, statusError } from "#machinery";
import type { AdmissionRequest } from "./chain.ts";

export function refuse({ resource, name, object }: AdmissionRequest, why: string): StatusError {
  const { name: own, generateName } = object?.metadata ?? {};
  return statusError.forbidden(resource, name || own || generateName || "Unknown", why);
}

export const isResource = (
  { resource, subresource }: Pick<AdmissionRequest, "resource" | "subresource">,
  group: string,
  plural: string,
): boolean => subresource === "" && resource.resource === plural && resource.group === group;
