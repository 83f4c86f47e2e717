/** Keeps the EndpointSlices of every Service with a selector. */
import type { EndpointSlice, Service } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { indexPodsByNode, nodeCondition, podsOn } from "../lib/nodes.ts";
import { isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { createServicePods } from "../lib/service-pods.ts";
import { SliceTracker } from "../lib/slice-tracker.ts";
import { managedByLabel, serviceNameLabel, type SlicePlan } from "../lib/slices.ts";
import { TriggerTimes } from "../lib/trigger-times.ts";
import { planSlices, sliceManager } from "./reconcile.ts";
import { TopologyHints, wantsHints } from "./topology-hints.ts";

const zoneLabel = "topology.kubernetes.io/zone";
/** Marked when nodes changed; no Service has a key without a namespace. */
const nodesKey = "nodes";
const sliceIndex = "service";
/** After a slice changed that we didn't write: others may be at work on it. */
const foreignChangeMs = 1000;
/** For how long changes of a Service of many pods are collected. */
const batchMs = 500;

export const endpointSliceController: Controller = defineController({
  name: "endpointslice-controller",
  create({ client, informers, events, clock }) {
    const services = informers.of("v1/services");
    const pods = informers.of("v1/pods");
    const nodes = informers.of("v1/nodes");
    const slices = informers.of("discovery.k8s.io/v1/endpointslices");
    indexPodsByNode(pods);
    slices.addIndex(sliceIndex, (slice) => {
      const key = serviceKeyOf(slice);
      return key ? [key] : [];
    });
    const members = createServicePods({ services, pods }, batchMs);
    const triggerTimes = new TriggerTimes();
    const tracker = new SliceTracker(clock);
    const topology = new TopologyHints();
    let areNodesStale = true;

    function watches(queue: WorkQueue) {
      const nodesChanged = () => {
        areNodesStale = true;
        queue.add(nodesKey);
      };
      const markSlice = (slice: Seen<EndpointSlice>) => {
        const key = serviceKeyOf(slice);
        if (key) queue.addAfter(key, foreignChangeMs);
      };
      return [
        onEvery(services, (service) => queue.add(keyOf(service))),
        members.watch(queue),
        watch(nodes, {
          added(node) {
            nodesChanged();
            // Pods on unknown nodes are left out until the node shows up.
            for (const pod of podsOn(pods, nameOf(node))) members.mark(queue, pod);
          },
          updated(node, old) {
            const moved = node.metadata.labels?.[zoneLabel] !== old.metadata.labels?.[zoneLabel];
            if (moved || nodeCondition(node, "Ready")?.status !== nodeCondition(old, "Ready")?.status) nodesChanged();
            if (moved) for (const service of services.list()) queue.add(keyOf(service));
          },
          deleted: () => nodesChanged(),
        }),
        watch(slices, {
          added(slice) {
            const key = serviceKeyOf(slice);
            if (!key) return;
            if (tracker.isOurs(key, slice)) wakeIfStale(key, queue);
            else markSlice(slice);
          },
          updated(slice, old) {
            const key = serviceKeyOf(slice);
            const oldKey = serviceKeyOf(old);
            if (oldKey && oldKey !== key) markSlice(old);
            if (key && tracker.isOurs(key, slice)) wakeIfStale(key, queue);
            else if (key) markSlice(slice);
          },
          deleted(slice) {
            const key = serviceKeyOf(slice);
            if (!key) return;
            if (tracker.isOurDeletion(key, slice)) wakeIfStale(key, queue);
            else markSlice(slice);
          },
        }),
      ];
    }

    function refreshNodes(queue: WorkQueue): void {
      if (!areNodesStale) return;
      areNodesStale = false;
      for (const key of topology.setNodes(nodes.list())) queue.add(key);
    }

    /** Keys that met a cache without their own last write. */
    const stale = new Set<string>();
    function wakeIfStale(key: string, queue: WorkQueue): void {
      if (stale.delete(key)) queue.add(key);
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      if (key === nodesKey) return refreshNodes(queue);
      const service = services.get(key);
      if (!service) {
        triggerTimes.forget(key);
        tracker.forget(key);
        topology.forget(key);
        members.forget(key);
        stale.delete(key);
        return;
      }
      // Without a selector somebody else writes the endpoints; ExternalName has none.
      if (!service.spec?.selector || service.spec.type === "ExternalName") return;
      const existing = slices.by(sliceIndex, key).filter((slice) => !isDeleting(slice)); // those are as good as gone
      if (tracker.isBehind(key, existing)) {
        stale.add(key);
        queue.addAfter(key, foreignChangeMs);
        return;
      }
      const own = members.of(service);
      const triggerTime = triggerTimes.next(key, service, own);
      if (wantsHints(service)) refreshNodes(queue);
      const plan = planSlices({
        service,
        pods: own,
        slices: existing,
        topology,
        nodeOf(name) {
          const node = nodes.get(name);
          const zone = node?.metadata.labels?.[zoneLabel];
          return node && (zone ? { zone } : {});
        },
        ...(triggerTime ? { triggerTime } : {}),
      });
      try {
        await carryOut(key, service, plan);
      } catch (error) {
        events.event(service, {
          type: "Warning",
          reason: "FailedToUpdateEndpointSlices",
          message: `Error updating Endpoint Slices for Service ${key}: ${messageOf(error)}`,
        });
        throw error;
      }
      for (const event of plan.events) events.event(service, event);
    }

    async function carryOut(key: string, service: Seen<Service>, plan: SlicePlan): Promise<void> {
      const own = client.resource("discovery.k8s.io/v1/endpointslices", namespaceOf(service));
      for (const slice of plan.create) {
        try {
          tracker.wrote(key, await own.create(slice));
        } catch (error) {
          if (isNamespaceTerminating(error)) return;
          throw new Error(`failed to create EndpointSlice for Service ${key}: ${messageOf(error)}`, { cause: error });
        }
      }
      for (const slice of plan.update) {
        try {
          tracker.wrote(key, await own.update(slice));
        } catch (error) {
          const what = `failed to update ${nameOf(slice)} EndpointSlice for Service ${key}`;
          throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
        }
      }
      for (const slice of plan.delete) {
        try {
          await own.delete(nameOf(slice));
        } catch (error) {
          if (isStatusError(error, "NotFound")) continue;
          const what = `failed to delete ${nameOf(slice)} EndpointSlice for Service ${key}`;
          throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
        }
        tracker.deleted(key, slice);
      }
    }

    return [{ watches, reconcile, reads: [nodes] }];
  },
});

/** Of the slices that this controller manages. */
function serviceKeyOf(slice: Seen<EndpointSlice>): string | undefined {
  const { labels = {} } = slice.metadata;
  const service = labels[serviceNameLabel];
  return labels[managedByLabel] === sliceManager && service ? `${namespaceOf(slice)}/${service}` : undefined;
}
