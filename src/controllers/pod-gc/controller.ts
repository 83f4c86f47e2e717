/**
 * Removes pods that nobody will remove: those of nodes that are gone, those deleted before they had a node, those on nodes declared
 * out of service, and finished ones beyond a threshold. Upstream scans all pods every twenty seconds; here events mark what to look at.
 */
import { keyOf, type WorkQueue } from "#client";
import { formatTime, isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { indexPodsByNode, nodeCondition, outOfServiceTaint, podsOn, type SeenNode } from "../lib/nodes.ts";
import { byCreation, isDeleting, nameOf, namespaceOf, uidOf } from "../lib/objects.ts";
import { isPodFinished, type SeenPod } from "../lib/pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";

/** A node that is gone may be back in a moment (registered anew). */
const quarantineMs = 40_000;
const finishedPodsMaxDefault = 12_500;
/** Many pods finish together. */
const finishedDelayMs = 20_000;

/** Phases of pods that don't count as finished; none at all does. */
const unfinished: ReadonlySet<string> = new Set(["Pending", "Running", "Unknown"]);
const isEvicted = ({ status }: SeenPod): boolean => status?.phase === "Failed" && status.reason === "Evicted";

const finishedKey = "finished";
const nodeKey = (name: string) => `node ${name}`;
const podKey = (pod: SeenPod) => `pod ${keyOf(pod)}`;

export const podGarbageCollector: Controller = defineController({
  name: "pod-garbage-collector-controller",
  account: "pod-garbage-collector",
  create({ client, informers, clock, log, options }) {
    const pods = informers.of("v1/pods");
    const nodes = informers.of("v1/nodes");
    indexPodsByNode(pods);
    const finishedPodsMax = options.terminatedPodsMax ?? finishedPodsMaxDefault;

    function watches(queue: WorkQueue) {
      const look = (pod: SeenPod) => {
        const { nodeName } = pod.spec ?? {};
        if (isDeleting(pod) && (!nodeName || isOutOfService(nodes.get(nodeName)))) queue.add(podKey(pod));
        if (isPodFinished(pod) && finishedPodsMax > 0) queue.addAfter(finishedKey, finishedDelayMs);
      };
      const lookAtGoing = (node: SeenNode) => {
        if (!isOutOfService(node)) return;
        for (const pod of podsOn(pods, nameOf(node))) if (isDeleting(pod)) queue.add(podKey(pod));
      };
      return [
        watch(pods, {
          added(pod) {
            look(pod);
            const { nodeName } = pod.spec ?? {};
            // Nodes may be listed after pods, so this is only a guess; the reconcile knows better.
            if (nodeName && !nodes.get(nodeName)) queue.addAfter(nodeKey(nodeName), quarantineMs);
          },
          updated(pod, old) {
            look(pod);
            const { nodeName } = pod.spec ?? {};
            if (nodeName && nodeName !== old.spec?.nodeName && !nodes.get(nodeName)) {
              queue.addAfter(nodeKey(nodeName), quarantineMs);
            }
          },
        }),
        watch(nodes, {
          added: lookAtGoing,
          updated: lookAtGoing,
          deleted: (node) => queue.addAfter(nodeKey(nameOf(node)), quarantineMs),
        }),
      ];
    }

    async function reconcile(key: string): Promise<void> {
      if (key === finishedKey) return removeFinished();
      const [what, name = ""] = key.split(" ");
      if (what === "node") return removeOrphans(name);
      const pod = pods.get(name);
      if (!pod || !isDeleting(pod)) return;
      const { nodeName } = pod.spec ?? {};
      if (!nodeName || isOutOfService(nodes.get(nodeName))) await remove(pod);
    }

    async function removeOrphans(nodeName: string): Promise<void> {
      if (nodes.get(nodeName) || podsOn(pods, nodeName).length === 0) return;
      try {
        // Not from a cache: pods are lost for good.
        await client.resource("v1/nodes").get(nodeName);
        return;
      } catch (error) {
        if (!isStatusError(error, "NotFound")) throw error;
      }
      log.info("removes the pods of a node that is gone", { node: nodeName });
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByPodGC",
        message: "PodGC: node no longer exists",
        lastTransitionTime: formatTime(clock.now()),
      };
      await Promise.all(
        podsOn(pods, nodeName).map((pod) =>
          remove(pod, { ...condition, observedGeneration: pod.metadata.generation ?? 0 }),
        ),
      );
    }

    async function removeFinished(): Promise<void> {
      const finished = pods.list().filter(({ status }) => !unfinished.has(status?.phase ?? ""));
      const surplus = finished.length - finishedPodsMax;
      if (surplus <= 0) return;
      log.info("removes the oldest finished pods", { count: surplus });
      await Promise.all(
        finished
          .sort((a, b) => Number(isEvicted(b)) - Number(isEvicted(a)) || byCreation(a, b))
          .slice(0, surplus)
          .map((pod) => remove(pod)),
      );
    }

    /** At once: no kubelet will confirm. Controllers count a pod as failed that didn't end by itself. */
    async function remove(pod: SeenPod, condition?: object): Promise<void> {
      const own = client.resource("v1/pods", namespaceOf(pod));
      if (!isPodFinished(pod)) {
        const observedGeneration = pod.metadata.generation ?? 0;
        // Behind those that are there.
        const order = [...(pod.status?.conditions ?? []).map(({ type }) => ({ type })), { type: "DisruptionTarget" }];
        const conditions = condition && { "$setElementOrder/conditions": order, conditions: [condition] };
        const status = { phase: "Failed", observedGeneration, ...conditions };
        const patch = { metadata: { uid: uidOf(pod) }, status };
        await unlessGone(own.patch(nameOf(pod), patch, { type: "strategic", subresource: "status" }));
      }
      await unlessGone(own.delete(nameOf(pod), { gracePeriodSeconds: 0, preconditions: { uid: uidOf(pod) } }));
    }

    return [{ watches, reconcile }];
  },
});

function isOutOfService(node: SeenNode | undefined): boolean {
  if (!node || nodeCondition(node, "Ready")?.status === "True") return false;
  return (node.spec?.taints ?? []).some(({ key }) => key === outOfServiceTaint);
}
