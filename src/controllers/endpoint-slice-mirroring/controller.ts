/** Mirrors Endpoints that users and their controllers write, so that proxies need to read EndpointSlices only. */
import type { EndpointSlice } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { isNamespaceTerminating } from "../lib/pod-control.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { SliceTracker } from "../lib/slice-tracker.ts";
import { managedByLabel, serviceNameLabel, type SlicePlan } from "../lib/slices.ts";
import { mirrorManager, planMirror, shouldMirror } from "./reconcile.ts";

const sliceIndex = "mirrored";
const foreignChangeMs = 1000;

export const endpointSliceMirroringController: Controller = defineController({
  name: "endpointslice-mirroring-controller",
  account: "endpointslicemirroring-controller",
  component: "endpoint-slice-mirroring-controller",
  create({ client, informers, events, clock }) {
    const services = informers.of("v1/services");
    const endpoints = informers.of("v1/endpoints");
    const slices = informers.of("discovery.k8s.io/v1/endpointslices");
    slices.addIndex(sliceIndex, (slice) => {
      const key = mirroredKeyOf(slice);
      return key ? [key] : [];
    });
    const tracker = new SliceTracker(clock);

    function watches(queue: WorkQueue) {
      const markSlice = (slice: Seen<EndpointSlice>) => {
        const key = mirroredKeyOf(slice);
        if (key && !tracker.isOurs(key, slice)) queue.addAfter(key, foreignChangeMs);
      };
      return [
        watch(services, {
          added(service) {
            if (!service.spec?.selector) queue.add(keyOf(service));
          },
          updated(service, old) {
            if (!service.spec?.selector !== !old.spec?.selector) queue.add(keyOf(service));
          },
          deleted: (service) => queue.add(keyOf(service)),
        }),
        watch(endpoints, {
          added(object) {
            if (shouldMirror(object)) queue.add(keyOf(object));
          },
          updated(object, old) {
            if (shouldMirror(object) || shouldMirror(old)) queue.add(keyOf(object));
          },
          deleted: (object) => queue.add(keyOf(object)),
        }),
        watch(slices, {
          added: markSlice,
          updated(slice, old) {
            if (mirroredKeyOf(old) !== mirroredKeyOf(slice)) markSlice(old);
            markSlice(slice);
          },
          deleted(slice) {
            const key = mirroredKeyOf(slice);
            if (key && !tracker.isOurDeletion(key, slice)) queue.addAfter(key, foreignChangeMs);
          },
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const object = endpoints.get(key);
      const service = services.get(key);
      const existing = slices.by(sliceIndex, key);
      if (!object || !service || service.spec?.selector || !shouldMirror(object)) {
        tracker.forget(key);
        for (const slice of existing) await remove(slice);
        return;
      }
      if (tracker.isBehind(key, existing)) return queue.addAfter(key, foreignChangeMs);
      const plan = planMirror(object, existing);
      for (const warning of plan.warnings) events.event(object, { type: "Warning", ...warning });
      await carryOut(key, plan);
    }

    async function carryOut(key: string, plan: SlicePlan): Promise<void> {
      const own = client.resource("discovery.k8s.io/v1/endpointslices");
      for (const slice of plan.create) {
        try {
          tracker.wrote(key, await own.create(slice));
        } catch (error) {
          if (isNamespaceTerminating(error)) return;
          throw error;
        }
      }
      for (const slice of plan.update) tracker.wrote(key, await own.update(slice));
      for (const slice of plan.delete) {
        await remove(slice);
        tracker.deleted(key, slice);
      }
    }

    async function remove(slice: Seen<EndpointSlice>): Promise<void> {
      const own = client.resource("discovery.k8s.io/v1/endpointslices", namespaceOf(slice));
      await unlessGone(own.delete(nameOf(slice)));
    }

    return [{ watches, reconcile }];
  },
});

function mirroredKeyOf(slice: Seen<EndpointSlice>): string | undefined {
  const { labels = {} } = slice.metadata;
  const service = labels[serviceNameLabel];
  return labels[managedByLabel] === mirrorManager && service ? `${namespaceOf(slice)}/${service}` : undefined;
}
