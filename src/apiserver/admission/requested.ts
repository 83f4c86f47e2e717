/** What a write asks for, as webhooks and policies see it: names, namespaces, and the object in the version that they speak. */
import { cloneJson, type DeepReadonly, type KubernetesObject, type LabelMatcher, statusError } from "#machinery";
import { fromStored } from "../registry/versions.ts";
import type { Resource } from "../resource.ts";
import type { AdmissionRequest, Lookup } from "./chain.ts";
import type { Matched } from "./webhook/match.ts";

const isNamespaces = ({ resource }: Pick<AdmissionRequest, "resource">) =>
  resource.group === "" && resource.resource === "namespaces";

/** As in the URL, or what the object calls itself; "" while it is to be generated. */
export const nameOf = ({ name, object }: AdmissionRequest): string => name || (object?.metadata?.name ?? "");

/** Of a namespace: its own name. */
export const namespaceOf = (request: AdmissionRequest): string =>
  isNamespaces(request) ? nameOf(request) : request.resource.namespaced ? request.namespace : "";

/** Throws a StatusError when the namespace is gone. */
export async function namespaceMatches(
  lookup: Lookup,
  namespaces: LabelMatcher,
  request: AdmissionRequest,
): Promise<boolean> {
  if (namespaces.everything) return true;
  const name = namespaceOf(request);
  if (name === "") return true; // what is in no namespace can't be left out by one
  const { operation, subresource, object } = request;
  if (isNamespaces(request) && subresource === "" && (operation === "CREATE" || operation === "UPDATE"))
    return namespaces.matches(object?.metadata?.labels ?? {});
  const found = await lookup.get(lookup.kind("", "namespaces"), "", name);
  if (!found) throw statusError.notFound({ group: "", resource: "namespaces" }, name);
  return namespaces.matches(found.metadata?.labels ?? {});
}

/** The object as this version of the resource shows it; bodies of subresources are as they are. The original stays as it is. */
export async function shownAs(
  resource: Resource,
  object: DeepReadonly<KubernetesObject> | undefined,
): Promise<DeepReadonly<KubernetesObject> | undefined> {
  if (!object) return undefined;
  if (object.kind !== undefined && object.kind !== resource.kind) return object;
  if (resource.custom && object.apiVersion !== resource.groupVersion)
    return resource.custom.convert(cloneJson(object) as KubernetesObject);
  if (!resource.conversion) return { ...object, kind: resource.kind, apiVersion: resource.groupVersion };
  return { ...fromStored(resource, cloneJson(object) as KubernetesObject), kind: resource.kind };
}

/** What rules are compared with, as if this version of the resource had been asked for. */
export const askedAs = (request: AdmissionRequest, { group, version, resource }: Resource): Matched => ({
  operation: request.operation,
  group,
  version,
  resource,
  subresource: request.subresource,
  namespace: namespaceOf(request),
});
