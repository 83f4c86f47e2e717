/** Refusals that several handlers of the registry share. */
import { type FieldError, type GroupResource, StatusError, statusError } from "#machinery";
import type { Resource } from "../resource.ts";

/** What upstream answers for an error that is no API status: the text and a code. */
export function plainError(message: string, code = 500): StatusError {
  return new StatusError({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, code });
}

export function invalid(
  { group, kind, stored }: Pick<Resource, "group" | "kind"> & Partial<Pick<Resource, "stored">>,
  name: string,
  errors: readonly FieldError[],
): StatusError {
  return statusError.invalid({ group: stored?.behaviour.groupInErrors ?? group, kind }, name, errors);
}

/** The object can't be created while the old one of its name is going. */
export function stillDeleting(resource: GroupResource, name: string): StatusError {
  const { status } = statusError.alreadyExists(resource, name);
  return new StatusError({ ...status, message: `object is being deleted: ${status.message}` });
}

export function generatedNameTaken(resource: GroupResource, name: string): StatusError {
  const { status } = statusError.alreadyExists(resource, name);
  const why = "the server was not able to generate a unique name for the object";
  return new StatusError({
    ...status,
    message: `${status.message}, ${why}`,
    details: { ...status.details, retryAfterSeconds: 1 },
  });
}

export const namespaceMismatch = (): StatusError =>
  statusError.badRequest("the namespace of the provided object does not match the namespace sent on the request");
