/**
 * Deletes pods whose devices are tainted with NoExecute when they don't tolerate it, or no longer. Slices are watched from the first
 * allocated claim on: most clusters have none.
 */
import type { Pod, ResourceSlice } from "#api";
import { type Informer, keyOf, type WorkQueue } from "#client";
import { formatTime, jsonEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { claimKeys, isTerminal } from "../resource-claim/reconcile.ts";
import { evictionTime, evictsAnybody, poolOf, poolsOf, type SeenClaim, type SeenSlice } from "./reconcile.ts";

const byClaim = "device-claim";
const byPool = "device-pool";

export const deviceTaintEvictionController: Controller = defineController({
  name: "device-taint-eviction-controller",
  create({ client, informers, events, clock, log, metrics }) {
    const pods = informers.of("v1/pods");
    const claims = informers.of("resource.k8s.io/v1/resourceclaims");
    pods.addIndex(byClaim, (pod) => claimKeys(pod));
    claims.addIndex(byPool, poolsOf);
    let slices: Informer<ResourceSlice> | undefined;
    const endings: (() => void)[] = [];
    /** Pods that will be deleted unless something changes, by key. */
    const planned = new Map<string, string>();
    const deletions = metrics?.counter(
      "device_taint_eviction_controller_pod_deletions_total",
      "Total number of Pods deleted by DeviceTaintEvictionController since its start.",
      [],
    );
    const latencies = metrics?.histogram(
      "device_taint_eviction_controller_pod_deletion_duration_seconds",
      "Latency, in seconds, between the time when a device taint effect has been activated and a Pod's deletion via DeviceTaintEvictionController.",
      { bounds: [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240], labels: [] },
    );

    function watches(queue: WorkQueue) {
      const markUsers = (claim: SeenClaim) => {
        for (const pod of pods.by(byClaim, keyOf(claim))) queue.add(keyOf(pod));
      };
      const markPool = ({ spec }: SeenSlice) => {
        for (const claim of claims.by(byPool, poolOf({ driver: spec.driver, pool: spec.pool.name }))) markUsers(claim);
      };
      const seen = (claim: SeenClaim) => {
        if (!claim.status?.allocation) return;
        if (slices) return markUsers(claim);
        slices = informers.of("resource.k8s.io/v1/resourceslices");
        slices.addIndex(byPool, ({ spec }) => [poolOf({ driver: spec.driver, pool: spec.pool.name })]);
        const follow = {
          added(slice: SeenSlice) {
            if (evictsAnybody(slice)) markPool(slice);
          },
          updated(slice: SeenSlice, old: SeenSlice) {
            if (evictsAnybody(slice) || evictsAnybody(old)) markPool(slice);
          },
          deleted(slice: SeenSlice) {
            if (evictsAnybody(slice)) markPool(slice);
          },
        };
        endings.push(slices.addHandler(follow));
      };
      const markPod = (pod: Seen<Pod>) => {
        if ((pod.spec?.resourceClaims?.length ?? 0) > 0 || planned.has(keyOf(pod))) queue.add(keyOf(pod));
      };
      const claimWatch = watch(claims, {
        added: seen,
        updated(claim, old) {
          if (!jsonEqual(claim.status ?? null, old.status ?? null)) seen(claim);
        },
        deleted: markUsers,
      });
      return [
        {
          ...claimWatch,
          start() {
            const stop = claimWatch.start();
            return () => {
              stop();
              for (const end of endings.splice(0)) end();
            };
          },
        },
        watch(pods, { added: markPod, updated: markPod, deleted: markPod }),
      ];
    }

    const say = (pod: Seen<Pod>, message: string) =>
      events.event(pod, { type: "Normal", reason: "DeviceTaintManagerEviction", message });

    async function evict(pod: Seen<Pod>): Promise<void> {
      log.info("deletes a pod with a tainted device", { pod: keyOf(pod) });
      say(pod, "Marking for deletion");
      const own = client.resource("v1/pods", namespaceOf(pod));
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByDeviceTaintManager",
        message: "Device Taint manager: deleting due to NoExecute taint",
        lastTransitionTime: formatTime(clock.now()),
      };
      const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
      await unlessGone(own.patch(nameOf(pod), patch, { type: "strategic", subresource: "status" }));
      await unlessGone(own.delete(nameOf(pod), { preconditions: { uid: uidOf(pod) } }));
    }

    return [
      {
        watches,
        async reconcile(key, queue) {
          const pod = pods.get(key);
          if (planned.has(key) && planned.get(key) !== (pod && uidOf(pod))) planned.delete(key);
          if (!pod || isDeleting(pod) || isTerminal(pod) || !slices) return;
          await slices.synced();
          const at = evictionTime(pod, {
            claim: (name) => claims.get(name),
            slicesOf: (pool) => slices?.by(byPool, pool) ?? [],
          });
          if (at === undefined) {
            if (planned.delete(key)) say(pod, "Cancelling deletion");
            return;
          }
          planned.set(key, uidOf(pod));
          const leftMs = at - clock.now();
          if (leftMs > 0) return queue.addAfter(key, leftMs);
          await evict(pod);
          planned.delete(key);
          deletions?.with().inc();
          latencies?.with().observe((clock.now() - at) / 1000);
        },
      },
    ];
  },
});
