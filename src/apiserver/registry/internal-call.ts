/** A write by the server itself: start-up objects, budgets spent by evictions. Goes the same way as a client's. */
import { cloneJson, statusError } from "#machinery";
import { Query } from "../query.ts";
import type { Resource } from "../resource.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";

export interface InternalWrite {
  readonly verb: "create" | "update" | "delete";
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string;
  /** "" for a create. */
  readonly name: string;
  readonly subresource?: string;
  readonly object?: object;
  /** See RequestBody. */
  readonly valueBytes?: number;
  readonly now: number;
}

export function internalCall(core: RegistryCore, write: InternalWrite): Call & { readonly resource: Resource } {
  const { verb, group, version, resource: plural, namespace, name, subresource = "", object, valueBytes, now } = write;
  const resource = core.table.find(group, version, plural);
  if (!resource) throw statusError.unknownPath();
  return internalCallOf(resource, {
    verb,
    namespace,
    name,
    subresource,
    now,
    ...(object && { object, ...(valueBytes && { valueBytes }) }),
  });
}

/** The same for a resource that may not be in the table. */
export function internalCallOf(
  resource: Resource,
  {
    verb,
    namespace,
    name,
    subresource = "",
    object,
    valueBytes,
    now,
  }: Omit<InternalWrite, "group" | "version" | "resource">,
): Call & { readonly resource: Resource } {
  const { group, version } = resource;
  return {
    user: { name: "system:apiserver", uid: "", groups: ["system:masters"], extra: {} },
    verb,
    resource,
    target: {
      type: "resource",
      group,
      version,
      namespace,
      resource: resource.resource,
      name,
      subresource,
      rest: "",
      legacyWatch: false,
      inNamespace: namespace !== "",
    },
    query: new Query(""),
    userAgent: "kube-apiserver",
    body: {
      contentType: "application/json",
      bytes: async () => Buffer.from(JSON.stringify(object ?? {})),
      ...(object && { value: cloneJson(object), ...(valueBytes && { valueBytes }) }),
    },
    warnings: [],
    now,
  };
}
