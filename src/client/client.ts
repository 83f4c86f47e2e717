/**
 * The typed client: turns `groupVersion/plural` and a namespace into paths, and options into queries.
 * It needs no table of resources: the name holds group, version and plural, and a namespace in the path is there
 * exactly when the caller gave one. Nothing is throttled here; the server's priority and fairness decides.
 */
import type { ResourceTypes } from "#api";
import type { DeepReadonly, KubernetesList, KubernetesObject, Transport } from "#machinery";
import type {
  Client,
  DeleteOptions,
  ListOptions,
  PatchOptions,
  PatchType,
  ResourceClient,
  ResourceName,
  ResourceReference,
} from "./types.ts";

const patchContentTypes: Record<PatchType, string> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};

type GroupVersionResource = Pick<ResourceReference, "group" | "version" | "resource">;

/** `v1/pods` → core, `apps/v1/deployments` → apps. */
export function parseResourceName(name: string): GroupVersionResource {
  const parts = name.split("/");
  const [group, version, resource] = parts.length === 2 ? ["", ...parts] : parts;
  if (!version || !resource || group === undefined || parts.length > 3) {
    throw new TypeError(`resource ${JSON.stringify(name)}: expected "version/plural" or "group/version/plural"`);
  }
  return { group, version, resource };
}

export interface PathOptions {
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

/** The percent-encoded path of a collection, an object or a subresource. */
export function resourcePath(target: GroupVersionResource, { namespace, name, subresource }: PathOptions = {}): string {
  let path = target.group === "" ? `/api/${target.version}` : `/apis/${target.group}/${target.version}`;
  if (namespace) path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${target.resource}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource) path += `/${subresource}`;
  return path;
}

const deleteBody = (options: DeleteOptions = {}) => ({ kind: "DeleteOptions", apiVersion: "v1", ...options });

export function createClient(transport: Transport): Client {
  function resource<N extends ResourceName>(name: N, namespace?: string): ResourceClient<ResourceTypes[N]>;
  function resource<T extends KubernetesObject>(reference: ResourceReference, namespace?: string): ResourceClient<T>;
  function resource(target: string | ResourceReference, namespace = ""): ResourceClient<KubernetesObject> {
    return createResourceClient(transport, typeof target === "string" ? parseResourceName(target) : target, namespace);
  }
  return { transport, resource };
}

function createResourceClient<T extends KubernetesObject>(
  transport: Transport,
  target: GroupVersionResource,
  namespace: string,
): ResourceClient<T> {
  const at = (name?: string, subresource?: string) => resourcePath(target, { namespace, name, subresource });
  // An object says where it lives, so that one client over all namespaces can write too.
  const of = (object: KubernetesObject, named: boolean, subresource?: string) => {
    const { name, namespace: own } = object.metadata ?? {};
    if (named && !name) throw new TypeError(`${target.resource}: the object has no metadata.name`);
    return resourcePath(target, { namespace: namespace || own, name: named ? name : undefined, subresource });
  };
  // The server answers what the path promises; the transport only knows it as JSON.
  const send = <R>(request: Parameters<Transport["request"]>[0]) => transport.request(request) as Promise<R>;

  return {
    get: (name) => send({ method: "GET", path: at(name) }),
    list: (options) => send<DeepReadonly<KubernetesList<T>>>({ method: "GET", path: at(), query: { ...options } }),
    create: async (object) => send({ method: "POST", path: of(object, false), body: object }),
    update: async (object) => send({ method: "PUT", path: of(object, true), body: object }),
    updateStatus: async (object) => send({ method: "PUT", path: of(object, true, "status"), body: object }),
    updateSubresource: (name, subresource, object) =>
      send({ method: "PUT", path: at(name, subresource), body: object }),
    patch: (name, patch, { type, subresource, fieldManager, force }: PatchOptions) =>
      send({
        method: "PATCH",
        path: at(name, subresource),
        query: { fieldManager, force },
        body: patch,
        contentType: patchContentTypes[type],
      }),
    async delete(name, options) {
      await transport.request({ method: "DELETE", path: at(name), body: deleteBody(options) });
    },
    async deleteCollection(options, list?: ListOptions) {
      await transport.request({ method: "DELETE", path: at(), query: { ...list }, body: deleteBody(options) });
    },
    getSubresource: (name, subresource) => send({ method: "GET", path: at(name, subresource) }),
    createSubresource: (name, subresource, body) => send({ method: "POST", path: at(name, subresource), body }),
  };
}
