/**
 * Counts what namespaces use of their quotas. Admission adds what is created at once; here what goes is given back, and everything is
 * counted when a quota is new. Creations mark nothing: a count from a cache that lags behind admission would hand out too much.
 */
import type { PersistentVolumeClaim, Pod, ResourceQuota, Service } from "#api";
import { type Informer, keyOf, type WorkQueue } from "#client";
import { type DeepReadonly, type GroupResource, type KubernetesObject, jsonEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { type DiscoveredResource, discover } from "../lib/discovery.ts";
import { isDeleting, namespaceOf, type Seen, type SeenObject } from "../lib/objects.ts";
import { isPodFinished } from "../lib/pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { countedResources, isCurrent, quotaStatus } from "./reconcile.ts";

const resyncMs = 300_000;
/** After a write: by then the caches show what admission let through meanwhile. */
const recheckMs = 2000;

export const resourceQuotaController: Controller = defineController({
  name: "resourcequota-controller",
  create({ client, informers, clock }) {
    const quotas = informers.of("v1/resourcequotas");
    const followed = new Map<string, Informer<KubernetesObject>>();
    let resources: readonly DiscoveredResource[] = [];

    function watches(queue: WorkQueue) {
      return [
        watch(quotas, {
          added: (quota) => queue.add(keyOf(quota)),
          updated(quota, old) {
            // Admission writes used amounts all the time.
            const isSame = jsonEqual(quota.spec, old.spec) && jsonEqual(quota.spec?.hard, quota.status?.hard);
            if (!isSame) queue.add(keyOf(quota));
          },
        }),
      ];
    }

    /** Undefined when the server has no such resource. */
    async function follow(resource: GroupResource, queue: WorkQueue): Promise<Informer<KubernetesObject> | undefined> {
      const id = `${resource.group}/${resource.resource}`;
      const known = followed.get(id);
      if (known) {
        await known.synced();
        return known;
      }
      const find = () =>
        resources.find(
          ({ group, resource: name, preferred }) => preferred && group === resource.group && name === resource.resource,
        );
      if (!find()) resources = (await discover(client)).resources;
      const found = find();
      if (!found?.namespaced) return undefined;
      const informer = informers.of<KubernetesObject>(found);
      followed.set(id, informer);
      const mark = (object: SeenObject) => {
        for (const quota of quotas.list(namespaceOf(object))) {
          const counts = countedResources(Object.keys(quota.spec?.hard ?? {}));
          const isCounted = counts.some((each) => each.group === resource.group && each.resource === resource.resource);
          if (isCounted) queue.add(keyOf(quota));
        }
      };
      informer.addHandler({
        updated(object, old) {
          if (givesBack(resource, object, old)) mark(object);
        },
        deleted: mark,
      });
      await informer.synced();
      return informer;
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const quota = quotas.get(key);
      if (!quota) return;
      queue.addAfter(key, resyncMs);
      const content: { resource: GroupResource; objects: readonly DeepReadonly<KubernetesObject>[] }[] = [];
      for (const resource of countedResources(Object.keys(quota.spec?.hard ?? {}))) {
        const informer = await follow(resource, queue);
        if (informer) content.push({ resource, objects: informer.list(namespaceOf(quota)) });
      }
      const status = quotaStatus(quota, content, clock.now());
      if (isCurrent(quota, status)) return;
      await unlessGone(client.resource("v1/resourcequotas").updateStatus({ ...(quota as ResourceQuota), status })); // sent, never changed
      queue.addAfter(key, recheckMs);
    }

    return [{ watches, reconcile }];
  },
});

/** Whether an update may make an object take less than before, or be counted elsewhere. */
function givesBack({ group, resource }: GroupResource, object: SeenObject, old: SeenObject): boolean {
  if (group !== "") return false;
  // Each is asked with objects of its own kind.
  switch (resource) {
    case "pods": {
      const of = (pod: Seen<Pod>) => [
        isPodFinished(pod),
        isDeleting(pod),
        pod.spec?.activeDeadlineSeconds === undefined,
        pod.spec?.containers.map(({ resources }) => resources),
        pod.spec?.resources,
        pod.status?.containerStatuses?.map(({ resources }) => resources),
        pod.status?.initContainerStatuses?.map(({ resources }) => resources),
      ];
      return !jsonEqual(of(object as Seen<Pod>), of(old as Seen<Pod>));
    }
    case "services":
      return !jsonEqual((object as Seen<Service>).spec, (old as Seen<Service>).spec);
    case "persistentvolumeclaims": {
      const of = ({ spec, status = {} }: Seen<PersistentVolumeClaim>) => [
        spec,
        status.allocatedResources,
        status.currentVolumeAttributesClassName,
        status.modifyVolumeStatus,
      ];
      return !jsonEqual(of(object as Seen<PersistentVolumeClaim>), of(old as Seen<PersistentVolumeClaim>));
    }
    default:
      return false;
  }
}
