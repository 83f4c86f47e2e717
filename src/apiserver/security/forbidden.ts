/** The 403 of upstream's response writers: who may not do what where. Clients and people match on these words. */
import { goQuote, type StatusError, statusError } from "#machinery";
import type { Attributes } from "../security.ts";

export function forbiddenError(attributes: Attributes, reason: string): StatusError {
  const { apiGroup, resource, name } = attributes;
  const what = sanitize(describe(attributes));
  const why = reason === "" ? what : `${what}: ${reason}`;
  if (!attributes.resourceRequest) return statusError.forbidden({ group: "", resource: "" }, "", why);
  return statusError.forbidden({ group: apiGroup, resource }, name, why);
}

/** Nothing that a browser could take for markup. */
const sanitize = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

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
  const who = `User ${goQuote(user.name)}`;
  if (!resourceRequest) return `${who} cannot ${verb} path ${goQuote(path)}`;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${goQuote(namespace)}`;
  return `${who} cannot ${verb} resource ${goQuote(what)} in API group ${goQuote(apiGroup)} ${where}`;
}
