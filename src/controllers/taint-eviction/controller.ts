/** Deletes pods from nodes with NoExecute taints that they don't tolerate, or no longer. */
import { keyOf, type WorkQueue } from "#client";
import { formatTime, jsonEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { indexPodsByNode, podsOn, type SeenNode, type SeenTaint } from "../lib/nodes.ts";
import { isDeleting, nameOf, namespaceOf, uidOf } from "../lib/objects.ts";
import type { SeenPod } from "../lib/pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { stayMs } from "./reconcile.ts";

const workers = 8;

export const taintEvictionController: Controller = defineController({
  name: "taint-eviction-controller",
  account: "node-controller",
  component: "taint-eviction-controller",
  create({ client, informers, events, clock, log }) {
    const nodes = informers.of("v1/nodes");
    const pods = informers.of("v1/pods");
    indexPodsByNode(pods);
    /** Since when a pod's deletion is planned. */
    const planned = new Map<string, { readonly uid: string; readonly since: number }>();

    const evictingTaints = (node: SeenNode | undefined): readonly SeenTaint[] =>
      (node?.spec?.taints ?? []).filter(({ effect }) => effect === "NoExecute");

    function watches(queue: WorkQueue) {
      const markAll = (node: SeenNode) => {
        for (const pod of podsOn(pods, nameOf(node))) queue.add(keyOf(pod));
      };
      const markPod = (pod: SeenPod) => {
        const isConcerned = evictingTaints(nodes.get(pod.spec?.nodeName ?? "")).length > 0;
        if (isConcerned || planned.has(keyOf(pod))) queue.add(keyOf(pod));
      };
      return [
        watch(nodes, {
          added(node) {
            if (evictingTaints(node).length > 0) markAll(node);
          },
          updated(node, old) {
            if (!jsonEqual(evictingTaints(node), evictingTaints(old))) markAll(node);
          },
        }),
        watch(pods, {
          added: markPod,
          updated(pod, old) {
            const isSame =
              pod.spec?.nodeName === old.spec?.nodeName && jsonEqual(pod.spec?.tolerations, old.spec?.tolerations);
            if (!isSame) markPod(pod);
          },
          deleted(pod) {
            if (planned.has(keyOf(pod))) queue.add(keyOf(pod));
          },
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const pod = pods.get(key);
      const plan = planned.get(key);
      if (!pod || (plan && plan.uid !== uidOf(pod))) planned.delete(key);
      if (!pod || isDeleting(pod)) return;
      const taints = evictingTaints(nodes.get(pod.spec?.nodeName ?? ""));
      const staysMs = taints.length === 0 ? Number.POSITIVE_INFINITY : stayMs(pod, taints);
      const now = clock.now();
      const known = planned.get(key);
      if (staysMs === Number.POSITIVE_INFINITY) {
        if (planned.delete(key)) say(pod, `Cancelling deletion of Pod ${key}`);
        return;
      }
      const leftMs = (known?.since ?? now) + staysMs - now;
      if (leftMs > 0) {
        if (!known) planned.set(key, { uid: uidOf(pod), since: now });
        queue.addAfter(key, leftMs);
        return;
      }
      await evict(pod);
      planned.delete(key);
    }

    const say = (pod: SeenPod, message: string) =>
      events.event(pod, { type: "Normal", reason: "TaintManagerEviction", message });

    async function evict(pod: SeenPod): Promise<void> {
      const key = keyOf(pod);
      log.info("deletes a pod from a tainted node", { pod: key, node: pod.spec?.nodeName });
      say(pod, `Marking for deletion Pod ${key}`);
      const own = client.resource("v1/pods", namespaceOf(pod));
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByTaintManager",
        message: "Taint manager: deleting due to NoExecute taint",
        lastTransitionTime: formatTime(clock.now()),
        ...(pod.metadata.generation ? { observedGeneration: pod.metadata.generation } : {}),
      };
      const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
      await unlessGone(own.patch(nameOf(pod), patch, { type: "strategic", subresource: "status" }));
      await unlessGone(own.delete(nameOf(pod), { preconditions: { uid: uidOf(pod) } }));
    }

    return [{ watches, reconcile, workers }];
  },
});
