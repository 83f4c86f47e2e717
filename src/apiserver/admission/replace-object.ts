/** What a webhook or a policy made of the object of a write takes its place: in the stored version, defaulted once more. */
import { type KubernetesObject, omitEmpty } from "#machinery";
import { toStored } from "../registry/versions.ts";
import type { Resource } from "../resource.ts";
import type { AdmissionRequest } from "./chain.ts";

/** The object is the callers': its content is exchanged. */
export async function replaceObject(
  request: AdmissionRequest,
  patched: KubernetesObject,
  resource: Resource,
): Promise<void> {
  const { object } = request;
  if (!object) return;
  const isBody = patched.kind !== resource.kind;
  const { custom } = request.resource;
  const back = custom && resource !== request.resource ? await custom.convert(patched) : patched;
  const next = isBody ? patched : await toStored(request.resource.custom ? request.resource : resource, back);
  if (!isBody) custom?.schema.applyDefaults(next);
  if (!isBody && !custom && resource.stored) {
    resource.stored.behaviour.defaults?.(next);
    omitEmpty(next, resource.stored.schema);
  }
  for (const key of Object.keys(object)) delete (object as Record<string, unknown>)[key];
  Object.assign(object, next);
}
