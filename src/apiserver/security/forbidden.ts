/** The 403 of upstream's response writers: who may not do what where. Clients and people match on these words. */
import { type StatusError, statusError } from "#machinery";
import type { Attributes } from "../security.ts";

export function forbiddenError(attributes: Attributes, reason: string): StatusError {
  const { user, apiGroup, resource, name } = attributes;
  const why = reason === "" ? describe(attributes) : `${describe(attributes)}: ${reason}`;
  if (!attributes.resourceRequest) return statusError.forbidden({ group: "", resource: "" }, "", why);
  return statusError.forbidden({ group: apiGroup, resource }, name, user.name === "" ? reason : why);
}

function describe({
  user,
  verb,
  resourceRequest,
  path,
  resource,
  subresource,
  apiGroup,
  namespace,
}: Attributes): string {
  const who = `User ${JSON.stringify(user.name)}`;
  if (!resourceRequest) return `${who} cannot ${verb} path ${JSON.stringify(path)}`;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  return `${who} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(apiGroup)} ${where}`;
}
