/** The 403 of upstream's response writers: who may not do what where. Clients and people match on these words. */
import { goQuote, StatusError, statusError } from "#machinery";
import type { Attributes } from "../security.ts";

/** A no of the authorizer, which browsers are told not to take for a page. */
export class AccessDenied extends StatusError {}

export function forbiddenError(attributes: Attributes, reason: string): AccessDenied {
  const { apiGroup, resource, name } = attributes;
  const what = sanitize(describe(attributes));
  const why = reason === "" ? what : `${what}: ${reason}`;
  const { status } = attributes.resourceRequest
    ? statusError.forbidden({ group: apiGroup, resource }, name, why)
    : statusError.forbidden({ group: "", resource: "" }, "", why);
  return new AccessDenied(status);
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
