/** Reading and changing objects that came from a cache: they are shared, so whoever writes makes a draft first. */
import type { OwnerReference } from "#api";
import { cloneJson, type DeepReadonly, type KubernetesObject } from "#machinery";

/** An object as a cache shows it. */
export type Seen<T> = DeepReadonly<T>;
export type SeenObject = DeepReadonly<KubernetesObject>;

/** A copy that its owner may change and send. */
export const draft = <T>(object: DeepReadonly<T>): T => cloneJson(object) as T; // a copy has no other readers

export const nameOf = (object: SeenObject): string => object.metadata?.name ?? "";
export const namespaceOf = (object: SeenObject): string => object.metadata?.namespace ?? "";
export const uidOf = (object: SeenObject): string => object.metadata?.uid ?? "";
export const isDeleting = (object: SeenObject): boolean => Boolean(object.metadata?.deletionTimestamp);

/** The one owner that manages this object. */
export function controllerOf(object: SeenObject): DeepReadonly<OwnerReference> | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller);
}

export const isControlledBy = (object: SeenObject, owner: SeenObject): boolean =>
  controllerOf(object)?.uid === uidOf(owner);

/** What a controller writes into what it makes. */
export function controllerReference(owner: SeenObject, { apiVersion, kind }: KindName): OwnerReference {
  return { apiVersion, kind, name: nameOf(owner), uid: uidOf(owner), controller: true, blockOwnerDeletion: true };
}

export interface KindName {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Oldest first; names decide between objects of the same second, so that the order never depends on the cache's. */
export function byCreation(a: SeenObject, b: SeenObject): number {
  const first = a.metadata?.creationTimestamp ?? "";
  const second = b.metadata?.creationTimestamp ?? "";
  if (first !== second) return first < second ? -1 : 1;
  return nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0;
}
