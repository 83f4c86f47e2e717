/**
 * Watches that nodes live. A node lives as long as its lease or its status is renewed; the time that counts is ours, when we saw the
 * renewal, so clocks needn't agree. A timer for each node, moved by every sign of life, replaces upstream's scan of all nodes.
 */
import type { Node } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { formatTime, jsonEqual, timeMs } from "#machinery";
import { type Controller, defineController, type Loop, watch } from "../lib/controller.ts";
import { indexPodsByNode, nodeCondition, podsOn, type SeenNode } from "../lib/nodes.ts";
import { isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { podCondition, type SeenPod } from "../lib/pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { labelChanges, needsEvictionTurn, planTaints, unknownConditions } from "./reconcile.ts";
import { assessDisruption, type Disruption, EvictionTurns } from "./zones.ts";

const leaseNamespace = "kube-node-lease";
const graceMsDefault = 50_000;
/** For a node that has registered and never said how it is. */
const startupMsDefault = 60_000;

export const nodeLifecycleController: Controller = defineController({
  name: "node-lifecycle-controller",
  account: "node-controller",
  create({ client, informers, events, clock, log, options }): Loop[] {
    const nodes = informers.of("v1/nodes");
    const pods = informers.of("v1/pods");
    const leases = informers.of("coordination.k8s.io/v1/leases", { namespace: leaseNamespace });
    indexPodsByNode(pods);
    const { nodeMonitorGraceMs: graceMs = graceMsDefault, nodeStartupGraceMs: startupMs = startupMsDefault } = options;
    /** When a node last gave a sign of life. */
    const seenAt = new Map<string, number>();
    /** Nodes whose pods must be marked as not ready: the node was, and it may have to be tried again. */
    const podsToMark = new Set<string>();
    const turns = new EvictionTurns();
    /** Of all nodes; undefined after one changed that counts. */
    let disruption: Disruption | undefined;
    let wasTotal = false;

    function watches(queue: WorkQueue) {
      const heard = (name: string) => {
        seenAt.set(name, clock.now());
      };
      const mark = (node: SeenNode) => queue.add(keyOf(node));
      return [
        watch(nodes, {
          added(node) {
            disruption = undefined;
            // What the status says may be long past, so a node is given its time from now on.
            if (nodeCondition(node, "Ready")) heard(nameOf(node));
            else seenAt.set(nameOf(node), timeMs(node.metadata.creationTimestamp) || clock.now());
            record(node, { reason: "RegisteredNode", message: `Registered Node ${nameOf(node)} in Controller` });
            mark(node);
          },
          updated(node, old) {
            const before = nodeCondition(old, "Ready")?.lastHeartbeatTime;
            if (nodeCondition(node, "Ready")?.lastHeartbeatTime !== before) heard(nameOf(node));
            const isSame =
              nodeCondition(node, "Ready")?.status === nodeCondition(old, "Ready")?.status &&
              jsonEqual(node.metadata.labels, old.metadata.labels);
            if (!isSame) disruption = undefined;
            mark(node);
          },
          deleted(node) {
            disruption = undefined;
            seenAt.delete(nameOf(node));
            podsToMark.delete(nameOf(node));
            record(node, { reason: "RemovingNode", message: `Removing Node ${nameOf(node)} from Controller` });
          },
        }),
        watch(leases, {
          added(lease) {
            if (nodes.get(nameOf(lease))) heard(nameOf(lease));
          },
          updated(lease, old) {
            const isRenewed = lease.spec?.renewTime !== old.spec?.renewTime;
            if (isRenewed && nodes.get(nameOf(lease))) heard(nameOf(lease));
          },
        }),
      ];
    }

    function record(node: SeenNode, { reason, message }: { reason: string; message: string }): void {
      const text = reason.endsWith("Node") ? `Node ${nameOf(node)} event: ${message}` : message;
      events.event(node, { type: "Normal", reason, message: text });
    }

    async function reconcile(name: string, queue: WorkQueue): Promise<void> {
      let node: SeenNode | undefined = nodes.get(name);
      if (!node) return;
      const hasStatus = nodeCondition(node, "Ready") !== undefined;
      const silentMs = clock.now() - (seenAt.get(name) ?? clock.now());
      const leftMs = (hasStatus ? graceMs : startupMs) - silentMs;
      if (leftMs > 0) queue.addAfter(name, leftMs);
      else {
        node = await markUnknown(node);
        if (!node) return;
      }
      if (podsToMark.has(name)) await markPods(name);
      const changes = labelChanges(node);
      if (changes) node = await unlessGone(patchNode(node, { metadata: { labels: changes } }));
      if (node) await taint(node, queue);
    }

    /** Answers the node as it is then; undefined when it is gone. */
    async function markUnknown(node: SeenNode): Promise<SeenNode | undefined> {
      const conditions = unknownConditions(node, clock.now());
      if (!conditions) return node;
      const wasReady = nodeCondition(node, "Ready")?.status === "True";
      const status = { ...node.status, conditions };
      const marked = await unlessGone(client.resource("v1/nodes").updateStatus({ ...node, status } as Node)); // sent, never changed
      if (marked && wasReady) {
        log.info("node is silent", { node: nameOf(node), graceMs });
        record(node, { reason: "NodeNotReady", message: `Node ${nameOf(node)} status is now: NodeNotReady` });
        podsToMark.add(nameOf(node));
      }
      return marked;
    }

    async function markPods(nodeName: string): Promise<void> {
      await Promise.all(podsOn(pods, nodeName).map(markPod));
      podsToMark.delete(nodeName);
    }

    /** Nobody can say whether it still works, so it must not be given traffic. */
    async function markPod(pod: SeenPod): Promise<void> {
      if (podCondition(pod, "Ready")?.status !== "True") return;
      const condition = { type: "Ready", status: "False", lastTransitionTime: formatTime(clock.now()) };
      const own = client.resource("v1/pods", namespaceOf(pod));
      const marked = await unlessGone(
        own.patch(
          nameOf(pod),
          { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } },
          { type: "strategic", subresource: "status" },
        ),
      );
      if (!marked) return;
      events.event(pod, { type: "Warning", reason: "NodeNotReady", message: "Node is not ready" });
    }

    async function taint(node: SeenNode, queue: WorkQueue): Promise<void> {
      const now = clock.now();
      disruption ??= assessDisruption(nodes.list(), options.eviction);
      if (wasTotal !== disruption.isTotal) {
        wasTotal = disruption.isTotal;
        log.info(wasTotal ? "no node is ready: pods are left where they are" : "some nodes are ready again");
        for (const other of nodes.list()) {
          // After we could hear nobody, everybody gets time to speak.
          if (!wasTotal) seenAt.set(nameOf(other), now);
          queue.add(keyOf(other));
        }
      }
      const isFirst = needsEvictionTurn(node);
      const { eviction, againMs } = turns.ask(node, { disruption, now });
      if (isFirst && againMs !== undefined) queue.addAfter(nameOf(node), againMs);
      const taints = planTaints(node, { eviction, now });
      if (!taints || jsonEqual(taints, node.spec?.taints)) return;
      if (isFirst && eviction === "allowed") turns.take(node, now);
      const { resourceVersion } = node.metadata;
      await unlessGone(patchNode(node, { metadata: { resourceVersion }, spec: { taints } }));
    }

    const patchNode = (node: Seen<Node>, patch: object) =>
      client.resource("v1/nodes").patch(nameOf(node), patch, { type: "merge" });

    /** A pod that lands on a node which is not ready is not ready either. */
    const landing: Loop = {
      watches(queue) {
        const mark = (pod: SeenPod) => {
          if (pod.spec?.nodeName && podCondition(pod, "Ready")?.status === "True") queue.add(keyOf(pod));
        };
        return [
          watch(pods, {
            added: mark,
            updated(pod, old) {
              if (pod.spec?.nodeName !== old.spec?.nodeName) mark(pod);
            },
          }),
        ];
      },
      reads: [nodes],
      async reconcile(key) {
        const pod = pods.get(key);
        const node = pod && nodes.get(pod.spec?.nodeName ?? "");
        const status = node && nodeCondition(node, "Ready")?.status;
        if (pod && status && status !== "True" && !isDeleting(pod)) await markPod(pod);
      },
    };

    return [{ watches, reconcile, reads: [pods] }, landing];
  },
});
