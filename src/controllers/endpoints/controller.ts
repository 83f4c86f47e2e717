/** Keeps the Endpoints of every Service with a selector, beside its EndpointSlices. */
import { keyOf, splitKey, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { indexPodsByLabel, podsMatching } from "../lib/pods-by-label.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { servicesChangedBy, servicesOf } from "../lib/service-pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { TriggerTimes } from "../lib/trigger-times.ts";
import { endpointsManagedByLabel, endpointsManager, planEndpoints } from "./reconcile.ts";

/** Every write carries all addresses, so a Service of many pods is written less often while they start. */
const largeBatchMs = 1000;
const largePodsMin = 100;

export const endpointsController: Controller = defineController({
  name: "endpoints-controller",
  account: "endpoint-controller",
  create({ client, informers, events }) {
    const services = informers.of("v1/services");
    const pods = informers.of("v1/pods");
    const endpoints = informers.of("v1/endpoints");
    indexPodsByLabel(pods);
    const selectors = createSelectorCache();
    const triggerTimes = new TriggerTimes();
    const batchMs = new Map<string, number>();

    function watches(queue: WorkQueue) {
      const mark = (keys: readonly string[]) => {
        for (const key of keys) queue.addAfter(key, batchMs.get(key) ?? 0);
      };
      return [
        onEvery(services, (service) => queue.add(keyOf(service))),
        watch(pods, {
          added: (pod) => mark(servicesOf(pod, services, selectors)),
          updated: (pod, old) => mark(servicesChangedBy({ pod, old }, services, selectors)),
          deleted: (pod) => mark(servicesOf(pod, services, selectors)),
        }),
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
      const own = client.resource("v1/endpoints", namespace);
      const service = services.get(key);
      if (!service) {
        triggerTimes.forget(key);
        batchMs.delete(key);
        // Without asking the cache: it may lag behind our own creation.
        await unlessGone(own.delete(name));
        return;
      }
      if (!service.spec?.selector || service.spec.type === "ExternalName") return;
      const members = podsMatching(pods, namespace, selectors.ofLabels(service.spec.selector));
      if (members.length > largePodsMin) batchMs.set(key, largeBatchMs);
      else batchMs.delete(key);
      const triggerTime = triggerTimes.next(key, service, members);
      const current = endpoints.get(key);
      const object = planEndpoints({ service, pods: members, current, ...(triggerTime ? { triggerTime } : {}) });
      if (!object) return;
      try {
        await (current ? own.update(object) : own.create(object));
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
