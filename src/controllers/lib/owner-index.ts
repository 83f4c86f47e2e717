/** The index by which an owner finds what it manages: its uid, or its namespace for objects that nobody manages yet. */
import type { Informer } from "#client";
import type { KubernetesObject } from "#machinery";
import { controllerOf, namespaceOf, type Seen, type SeenObject, uidOf } from "./objects.ts";

const indexName = "controller";

const unmanaged = (namespace: string) => `unmanaged/${namespace}`;

export function indexByController<T extends KubernetesObject>(informer: Informer<T>): void {
  informer.addIndex(indexName, (object) => {
    const seen = object as SeenObject; // any T is an object; TypeScript can't see it through DeepReadonly
    return [controllerOf(seen)?.uid ?? unmanaged(namespaceOf(seen))];
  });
}

export const managedBy = <T extends KubernetesObject>(informer: Informer<T>, owner: SeenObject): readonly Seen<T>[] =>
  informer.by(indexName, uidOf(owner));

/** What an owner may claim: its own and, in its namespace, what has no controller. */
export const claimable = <T extends KubernetesObject>(informer: Informer<T>, owner: SeenObject): readonly Seen<T>[] => [
  ...managedBy(informer, owner),
  ...informer.by(indexName, unmanaged(namespaceOf(owner))),
];

export const managedByUid = <T extends KubernetesObject>(informer: Informer<T>, uid: string): readonly Seen<T>[] =>
  informer.by(indexName, uid);
