/** How pods mark the objects that manage them, or could: the same for every kind that manages pods. */
import type { Pod } from "#api";
import { type Informer, keyOf, type WorkQueue } from "#client";
import { type KubernetesObject, jsonEqual, type LabelMatcher } from "#machinery";
import { type Watch, watch } from "./controller.ts";
import type { Expectations } from "./expectations.ts";
import { controllerOf, isDeleting, namespaceOf, type Seen, type SeenObject, uidOf } from "./objects.ts";
import type { SeenPod } from "./pods.ts";

export interface OwnedPods<T extends KubernetesObject> {
  readonly pods: Informer<Pod>;
  readonly owners: Informer<T>;
  readonly kind: string;
  readonly queue: WorkQueue;
  /** Missing for kinds that adopt nothing. */
  selectorOf?(owner: Seen<T>): LabelMatcher;
  readonly expectations?: Expectations;
  /** Instead of marking an owner at once. `old` when the pod was and is its. */
  mark?(key: string, pod: SeenPod, old?: SeenPod): void;
}

/** The owner that manages this pod, if the cache still has that very object. */
export function ownerOfPod<T extends KubernetesObject>(
  pod: SeenPod,
  { owners, kind }: Pick<OwnedPods<T>, "owners" | "kind">,
): Seen<T> | undefined {
  const reference = controllerOf(pod);
  if (reference?.kind !== kind) return undefined;
  const owner = owners.get(`${namespaceOf(pod)}/${reference.name}`);
  return owner && uidOf(owner as SeenObject) === reference.uid ? owner : undefined; // a T is an object
}

export function watchOwnedPods<T extends KubernetesObject>(setup: OwnedPods<T>): Watch {
  const { pods, owners, queue, selectorOf, expectations } = setup;
  const keyOfOwner = (owner: Seen<T>) => keyOf(owner as SeenObject); // a T is an object
  const mark: NonNullable<typeof setup.mark> = setup.mark ?? ((key) => queue.add(key));
  const markOwner = (pod: SeenPod, old?: SeenPod): string | undefined => {
    const owner = ownerOfPod(pod, setup);
    if (!owner) return undefined;
    const key = keyOfOwner(owner);
    mark(key, pod, old);
    return key;
  };
  /** Whoever selects a pod without a controller may adopt it. */
  const markAdopters = (pod: SeenPod) => {
    if (!selectorOf) return;
    for (const owner of owners.list(namespaceOf(pod))) {
      if (selectorOf(owner).matches(pod.metadata.labels)) mark(keyOfOwner(owner), pod);
    }
  };
  const podGone = (pod: SeenPod) => {
    const key = markOwner(pod);
    if (key) expectations?.deleted(key, uidOf(pod));
  };
  return watch(pods, {
    added(pod) {
      if (isDeleting(pod)) return podGone(pod);
      if (!controllerOf(pod)) return markAdopters(pod);
      const key = markOwner(pod);
      if (key) expectations?.created(key);
    },
    updated(pod, old) {
      // To its owner a pod is gone when its deletion begins.
      if (isDeleting(pod)) return podGone(pod);
      const ownerChanged = controllerOf(pod)?.uid !== controllerOf(old)?.uid;
      if (ownerChanged) markOwner(old);
      if (controllerOf(pod)) markOwner(pod, ownerChanged ? undefined : old);
      else if (ownerChanged || !jsonEqual(pod.metadata.labels, old.metadata.labels)) markAdopters(pod);
    },
    deleted: podGone,
  });
}
