/**
 * Objects that can't be read (damaged, or encrypted under lost keys) and their deletion, where the feature gate
 * AllowUnsafeMalformedObjectDeletion allows it: without admission, finalizers or preconditions, for nobody knows what they were.
 */
import { FieldPath, fieldError, type Status, type StatusCause, StatusError, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { attributesOf } from "../authorize.ts";
import { noObjectMessage, type UnreadableError } from "../cache/unreadable.ts";
import type { Resource } from "../resource.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { invalidOptions } from "./options.ts";
import { objectKey } from "./storage.ts";

const option = FieldPath.root("ignoreStoreReadErrorWithClusterBreakingPotential");
const verb = "unsafe-delete-ignore-read-errors";

export async function removeUnreadable(core: RegistryCore, call: Call): Promise<Answer> {
  const { resource, target } = call;
  call.audit?.annotate("apiserver.k8s.io/unsafe-delete-ignore-read-error", "");
  await authorize(core, call);
  const kind = storedOf(call);
  const { name, namespace } = target;
  if (!(await core.storage.removeUnreadable(kind, objectKey(kind, namespace, name)))) {
    const why = "is exclusively used to delete corrupt object(s), try again by removing this option";
    // Named by its resource, as upstream.
    const named = { group: resource.group, kind: resource.resource };
    throw statusError.invalid(named, name, [fieldError.invalid(option, true, why)]);
  }
  const value: Status = {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name, kind: resource.kind },
    code: 200,
  };
  return { type: "value", status: 200, value };
}

async function authorize({ authorizer }: RegistryCore, { user, target, resource }: Call): Promise<void> {
  const { allowed, reason, error } = await authorizer.authorize(attributesOf({ user, verb, target, path: "" }));
  if (allowed) return;
  const failed = `error while checking permission for "${verb}", ${error}`;
  const why = error === undefined ? `not permitted to do "${verb}", reason: ${reason}` : failed;
  throw statusError.forbidden(resource, target.name, why);
}

export const unsafeCollection = (): StatusError =>
  invalidOptions("DeleteOptions", [
    fieldError.invalid(option, true, "is not allowed with DELETECOLLECTION, try again after removing the option"),
  ]);

/** So many are told of; the keys are what somebody needs who is to delete them. */
const toldMax = 100;

/** What a request hears that came across some; without the gate it is told of the first only, in other words. */
export function corruptError({ found, listed }: UnreadableError, resource: Resource): StatusError {
  const [first] = found;
  if (!listed && first) return statusError.internal(describe(first.key.replace("/registry", ""), first.reason));
  const { group, resource: kind } = resource;
  const causes: StatusCause[] = found.slice(0, toldMax).map(({ key, reason }) => ({
    reason: "UnexpectedServerResponse",
    message: describe(key, reason),
    field: key,
  }));
  if (found.length > toldMax)
    causes.push({ reason: "FieldValueTooMany", message: "too many errors, the list is truncated" });
  const what = group === "" ? kind : `${kind}.${group}`;
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `failed to read one or more ${what} from the storage`,
    reason: "StorageReadError",
    details: { name: "list", ...(group && { group }), kind, causes },
    code: 500,
  });
}

function describe(key: string, reason: string): string {
  const what = reason === noObjectMessage ? "object not decodable" : "data from the storage is not transformable";
  return `StorageError: corrupt object, Code: 7, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${what} revision=0: ${reason}`;
}
