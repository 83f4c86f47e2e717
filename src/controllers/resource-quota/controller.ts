/**
 * Counts what namespaces use of their quotas. Admission adds what is created at once; here what goes is given back, and everything is
 * counted when a quota is new. Creations mark nothing: a count from a cache that lags behind admission would hand out too much.
 */
import type { CustomResourceDefinition, PersistentVolumeClaim, Pod, ResourceQuota, Service } from "#api";
import { type Informer, keyOf, type WorkQueue } from "#client";
import { type DeepReadonly, type GroupResource, type KubernetesObject, jsonEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { type DiscoveredResource, discover } from "../lib/discovery.ts";
import { isDeleting, namespaceOf, type Seen, type SeenObject } from "../lib/objects.ts";
import { isPodFinished } from "../lib/pods.ts";
import { aborted } from "../lib/run-loop.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { createCounted } from "./counted.ts";
import { countedResources, isCurrent, quotaStatus } from "./reconcile.ts";

const resyncMs = 300_000;
/** After a write: by then the caches show what admission let through meanwhile. */
const recheckMs = 2000;

/** Whose amounts matter; of all others only the number. */
const measured = ["v1/pods", "v1/services", "v1/persistentvolumeclaims", "resource.k8s.io/v1/resourceclaims"] as const;

export const resourceQuotaController: Controller = defineController({
  name: "resourcequota-controller",
  create({ client, informers, clock, log }) {
    const quotas = informers.of("v1/resourcequotas");
    const definitions = informers.of("apiextensions.k8s.io/v1/customresourcedefinitions");
    const followed = new Map<string, Informer<KubernetesObject>>();
    let resources: readonly DiscoveredResource[] = [];
    let mark: (resource: GroupResource, namespace?: string) => void = () => undefined;
    const counted = createCounted({ client, clock, log, onGone: (resource, namespace) => mark(resource, namespace) });

    function watches(queue: WorkQueue) {
      mark = (resource, namespace) => {
        for (const quota of quotas.list(namespace)) {
          const counts = countedResources(Object.keys(quota.spec?.hard ?? {}));
          const isCounted = counts.some((each) => each.group === resource.group && each.resource === resource.resource);
          if (isCounted) queue.add(keyOf(quota));
        }
      };
      const resourceOf = ({ spec }: Seen<CustomResourceDefinition>) => ({
        group: spec?.group ?? "",
        resource: spec?.names?.plural ?? "",
      });
      const isServed = ({ status }: Seen<CustomResourceDefinition>) =>
        status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
      return [
        watch(quotas, {
          added: (quota) => queue.add(keyOf(quota)),
          updated(quota, old) {
            // Admission writes used amounts all the time.
            const isSame = jsonEqual(quota.spec, old.spec) && jsonEqual(quota.spec?.hard, quota.status?.hard);
            if (!isSame) queue.add(keyOf(quota));
          },
        }),
        watch(definitions, {
          updated(definition, old) {
            if (isServed(definition) && !isServed(old)) mark(resourceOf(definition));
          },
          deleted(definition) {
            counted.forget(resourceOf(definition));
            resources = [];
          },
        }),
      ];
    }

    /** Whoever waits for an informer must not wait longer than it runs. */
    const ended = Promise.withResolvers<void>();

    /** Undefined when the server has no such resource. */
    async function objectsOf(
      resource: GroupResource,
      namespace: string,
    ): Promise<readonly DeepReadonly<KubernetesObject>[] | undefined> {
      const path = resource.group === "" ? "v1" : `${resource.group}/v1`;
      const name = measured.find((each) => each === `${path}/${resource.resource}`);
      if (name) {
        const informer = followed.get(name) ?? follow(resource, informers.of(name) as Informer<KubernetesObject>); // each is one
        followed.set(name, informer);
        await Promise.race([informer.synced(), ended.promise]);
        if (!informer.hasSynced()) throw new Error(`${name} will not be known any more`);
        return informer.list(namespace);
      }
      const find = () =>
        resources.find(
          ({ group, resource: plural, preferred }) =>
            preferred && group === resource.group && plural === resource.resource,
        );
      if (!find()) resources = (await discover(client)).resources;
      const found = find();
      return found?.namespaced ? counted.of(found, namespace) : undefined;
    }

    function follow(resource: GroupResource, informer: Informer<KubernetesObject>): Informer<KubernetesObject> {
      informer.addHandler({
        updated(object, old) {
          if (givesBack(resource, object, old)) mark(resource, namespaceOf(object));
        },
        deleted: (object) => mark(resource, namespaceOf(object)),
      });
      return informer;
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const quota = quotas.get(key);
      if (!quota) return;
      queue.addAfter(key, resyncMs);
      const content: { resource: GroupResource; objects: readonly DeepReadonly<KubernetesObject>[] }[] = [];
      for (const resource of countedResources(Object.keys(quota.spec?.hard ?? {}))) {
        const objects = await objectsOf(resource, namespaceOf(quota));
        if (objects) content.push({ resource, objects });
      }
      const status = quotaStatus(quota, content, clock.now());
      if (isCurrent(quota, status)) return;
      await unlessGone(client.resource("v1/resourcequotas").updateStatus({ ...(quota as ResourceQuota), status })); // sent, never changed
      queue.addAfter(key, recheckMs);
    }

    async function begin(_: WorkQueue, signal: AbortSignal): Promise<void> {
      await aborted(signal);
      ended.resolve();
      await counted.close();
    }

    return [{ watches, reconcile, begin }];
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
