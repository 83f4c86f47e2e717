/** Pods and nodes as the streaming handlers look them up. */
import type { Node, Pod } from "#api";
import { type DeepReadonly, type GroupResource, type KubernetesObject, statusError } from "#machinery";
import { assert } from "#base";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import { objectKey } from "../registry/storage.ts";

export type PodView = DeepReadonly<Pod>;

/** Undefined when there is none. */
export async function readObject<T extends KubernetesObject>(
  { storage, table }: RegistryCore,
  { group, resource, namespace, name }: GroupResource & { namespace: string; name: string },
): Promise<DeepReadonly<T> | undefined> {
  const kind = table.stored(group, resource);
  assert(kind, `${group}/${resource} is a built-in kind`);
  const object = await storage.read(kind, objectKey(kind, namespace, name));
  return object?.decoded() as DeepReadonly<T> | undefined; // the caller names the kind's type
}

export async function podOf(core: RegistryCore, { resource, target }: Call): Promise<PodView> {
  const pod = await podNamed(core, target);
  if (!pod) throw statusError.notFound(resource, target.name);
  return pod;
}

export const podNamed = (core: RegistryCore, { namespace, name }: { namespace: string; name: string }) =>
  readObject<Pod>(core, { group: "", resource: "pods", namespace, name });

/** Its absence is told as upstream tells it: as one of the resource that was asked for. */
export async function nodeNamed(core: RegistryCore, { resource }: Call, name: string): Promise<DeepReadonly<Node>> {
  const node = await readObject<Node>(core, { group: "", resource: "nodes", namespace: "", name });
  if (!node) throw statusError.notFound(resource, name);
  return node;
}

/** The container that is meant: the named one, or the only one. */
export function chooseContainer({ metadata, spec }: PodView, asked: string): string {
  const containers = spec?.containers ?? [];
  const all = [...(spec?.initContainers ?? []), ...containers, ...(spec?.ephemeralContainers ?? [])];
  const names = all.map(({ name }) => name ?? "");
  if (asked !== "") {
    if (names.includes(asked)) return asked;
    throw statusError.badRequest(`container ${asked} is not valid for pod ${metadata.name}`);
  }
  const [first, ...others] = containers;
  if (first && others.length === 0) return first.name;
  const choice = first ? `, choose one of: [${names.join(" ")}]` : "";
  throw statusError.badRequest(`a container name must be specified for pod ${metadata.name}${choice}`);
}
