/** Keeps the Endpoints of every Service with a selector, beside its EndpointSlices. */
import { keyOf, splitKey, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { createServicePods } from "../lib/service-pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { TriggerTimes } from "../lib/trigger-times.ts";
import { endpointsManagedByLabel, endpointsManager, planEndpoints } from "./reconcile.ts";

/** Every write carries all addresses, so a Service of many pods is written less often while they start. */
const batchMs = 1000;

export const endpointsController: Controller = defineController({
  name: "endpoints-controller",
  account: "endpoint-controller",
  create({ client, informers, events }) {
    const services = informers.of("v1/services");
    const pods = informers.of("v1/pods");
    const endpoints = informers.of("v1/endpoints");
    const members = createServicePods({ services, pods }, batchMs);
    const triggerTimes = new TriggerTimes();

    function watches(queue: WorkQueue) {
      return [
        onEvery(services, (service) => queue.add(keyOf(service))),
        members.watch(queue),
        // Somebody deleted ours: they come back.
        watch(endpoints, { deleted: (object) => queue.add(keyOf(object)) }),
      ];
    }

    /** Services that went away while nobody watched left their Endpoints behind. */
    function begin(queue: WorkQueue): void {
      for (const object of endpoints.list()) {
        const isOurs = object.metadata.labels?.[endpointsManagedByLabel] === endpointsManager;
        if (isOurs && !services.get(keyOf(object))) queue.add(keyOf(object));
      }
    }

    async function reconcile(key: string): Promise<void> {
      const { namespace, name } = splitKey(key);
      const objects = client.resource("v1/endpoints", namespace);
      const service = services.get(key);
      if (!service) {
        triggerTimes.forget(key);
        members.forget(key);
        // Without asking the cache: it may lag behind our own creation.
        await unlessGone(objects.delete(name));
        return;
      }
      if (!service.spec?.selector || service.spec.type === "ExternalName") return;
      const own = members.of(service);
      const triggerTime = triggerTimes.next(key, service, own);
      const current = endpoints.get(key);
      const object = planEndpoints({ service, pods: own, current, ...(triggerTime ? { triggerTime } : {}) });
      if (!object) return;
      try {
        await (current ? objects.update(object) : objects.create(object));
      } catch (error) {
        if (!current && isNamespaceTerminating(error)) return;
        // Ours of a moment ago, or changed by another: the cache will tell.
        if (isStatusError(error, "AlreadyExists") || isStatusError(error, "Conflict")) throw error;
        const what = current
          ? { reason: "FailedToUpdateEndpoint", message: `Failed to update endpoint ${key}: ${messageOf(error)}` }
          : {
              reason: "FailedToCreateEndpoint",
              message: `Failed to create endpoint for service ${key}: ${messageOf(error)}`,
            };
        events.event(object, { type: "Warning", ...what });
        throw error;
      }
    }

    return [{ watches, begin, reconcile }];
  },
});
