/** A pod on every node that should have one. */
import type { DaemonSet } from "#api";
import { backoffMs } from "#base";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError, jsonEqual, semanticEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { Expectations } from "../lib/expectations.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { isDeleting, nameOf, type Seen, uidOf } from "../lib/objects.ts";
import { watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController } from "../lib/owner-index.ts";
import { createPodControl, isNamespaceTerminating, podFromTemplate } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";
import { deleteRevisions, revisionsToDelete, syncHistory } from "../lib/revisions.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  type DaemonPlan,
  type DaemonState,
  daemonPod,
  daemonStatus,
  describeFailure,
  nextAvailabilityMs,
  planDaemons,
  revisionHashLabel,
} from "./reconcile.ts";

const kind = { apiVersion: "apps/v1", kind: "DaemonSet" };
const setsReference: ResourceReference = { group: "apps", version: "v1", resource: "daemonsets", namespaced: true };
const revisionsReference: ResourceReference = { ...setsReference, resource: "controllerrevisions" };
const podsReference: ResourceReference = { group: "", version: "v1", resource: "pods", namespaced: true };

/** A node that refuses a pod refuses the next one too: its pods are replaced ever more slowly. */
const failureBackoff = { initialMs: 1000, maxMs: 900_000 };

export const daemonSetController: Controller = defineController({
  name: "daemonset-controller",
  account: "daemon-set-controller",
  component: "daemonset-controller",
  create({ client, informers, events, clock }) {
    const sets = informers.of("apps/v1/daemonsets");
    const pods = informers.of("v1/pods");
    const nodes = informers.of("v1/nodes");
    const revisions = informers.of("apps/v1/controllerrevisions");
    indexByController(pods);
    indexByController(revisions);
    const selectors = createSelectorCache();
    const expectations = new Expectations(clock);
    const podControl = createPodControl(client, events);
    /** Failures by set and node. */
    const failures = new Map<string, Map<string, { count: number; at: number }>>();
    const own = client.resource("apps/v1/daemonsets");

    function watches(queue: WorkQueue) {
      const markAll = () => {
        for (const set of sets.list()) queue.add(keyOf(set));
      };
      return [
        watch(sets, {
          added: (set) => queue.add(keyOf(set)),
          updated: (set) => queue.add(keyOf(set)),
          deleted(set) {
            expectations.forget(keyOf(set));
            failures.delete(keyOf(set));
          },
        }),
        watchOwnedPods({
          pods,
          owners: sets,
          kind: kind.kind,
          queue,
          expectations,
          selectorOf: (set) => selectors.of(set.spec?.selector),
        }),
        watch(nodes, {
          added: markAll,
          deleted: markAll,
          updated(node, old) {
            if (!isSamePlace(node, old)) markAll();
          },
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const set = sets.get(key);
      if (!set) return expectations.forget(key);
      const selector = selectors.of(set.spec?.selector);
      if (selector.everything) {
        const message = "This daemon set is selecting all pods. A non-empty selector is required.";
        events.event(set, { type: "Warning", reason: "SelectingAll", message });
        return;
      }
      // While it goes, its history may go before its pods do: nothing can be said about it any more.
      if (isDeleting(set)) return;
      const claim = { client, owner: set, ownerKind: kind, ownerResource: setsReference };
      const history = await syncHistory({
        client,
        owner: set,
        ownerKind: kind,
        hashLabel: revisionHashLabel,
        revisions: await carryOutClaims({
          ...claim,
          resource: revisionsReference,
          kind: "ControllerRevision",
          claims: planClaims(set, claimable(revisions, set), (labels) => selector.matches(labels)),
        }),
        raiseCollisions: async (collisionCount) => {
          const status = { ...set.status, collisionCount } as DaemonSet["status"];
          await own.updateStatus({ ...(set as DaemonSet), status } as DaemonSet); // sent, never changed
        },
      });
      if (!history) return;
      const owned = await carryOutClaims({
        ...claim,
        resource: podsReference,
        kind: "Pod",
        claims: planClaims(set, claimable(pods, set), (labels) => selector.matches(labels)),
      });
      const state: DaemonState = {
        set,
        nodes: nodes.list(),
        pods: owned,
        hash: history.current.metadata.labels?.[revisionHashLabel] ?? "",
        now: clock.now(),
        failureWaitMs: (nodeName) => failureWaitMs(key, nodeName),
      };
      const mayAct = expectations.areMet(key);
      if (mayAct) {
        const plan = planDaemons(state);
        if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs);
        await carryOut(key, plan, state);
        const isUsed = (hash: string | undefined) =>
          owned.some((pod) => pod.metadata.labels?.[revisionHashLabel] === hash);
        await deleteRevisions(
          client,
          revisionsToDelete(history.old, {
            limit: set.spec?.revisionHistoryLimit ?? 10,
            isUsed: (revision) => isUsed(revision.metadata.labels?.[revisionHashLabel]),
          }),
        );
      }
      const status = daemonStatus(state, { observed: mayAct });
      if (!semanticEqual(withoutZeros(status), withoutZeros(set.status ?? {}))) {
        await unlessGone(own.updateStatus({ ...(set as DaemonSet), status })); // sent, never changed
      }
      const againMs = nextAvailabilityMs(state);
      if (againMs !== undefined) queue.addAfter(key, againMs);
    }

    function failureWaitMs(key: string, nodeName: string): number {
      const failure = failures.get(key)?.get(nodeName);
      return failure ? Math.max(0, failure.at + backoffMs(failure.count, failureBackoff) - clock.now()) : 0;
    }

    function noteFailure(key: string, nodeName: string): void {
      const known = failures.get(key) ?? new Map<string, { count: number; at: number }>();
      const before = known.get(nodeName);
      // Long ago: it starts anew.
      const isFresh = before && clock.now() - before.at < 2 * failureBackoff.maxMs;
      known.set(nodeName, { count: isFresh ? before.count + 1 : 1, at: clock.now() });
      failures.set(key, known);
    }

    async function carryOut(key: string, plan: DaemonPlan, { set, hash }: DaemonState): Promise<void> {
      if (plan.create.length === 0 && plan.delete.length === 0) return;
      for (const { pod, nodeName } of plan.failed) {
        noteFailure(key, nodeName);
        const message = describeFailure(pod, nodeName);
        events.event(set, { type: "Warning", reason: "FailedDaemonPod", message });
      }
      expectations.expect(key, plan.create.length, plan.delete.map(uidOf));
      const created = await create(set, plan.create, hash);
      expectations.created(key, plan.create.length - created.succeeded);
      const deleted = await allAtOnce(plan.delete, (pod) => remove(key, pod, set));
      const error = created.error ?? deleted.error;
      if (error !== undefined) throw error;
    }

    async function create(set: Seen<DaemonSet>, nodeNames: readonly string[], hash: string) {
      const { template } = set.spec ?? {};
      if (!template) throw new Error(`daemon set ${keyOf(set)}: it has no pod template`);
      const pod = podFromTemplate(template, set, kind);
      return inBatches(nodeNames.length, async (index) => {
        try {
          await podControl.create(daemonPod(pod, { nodeName: nodeNames[index] ?? "", set, hash }), set);
        } catch (error) {
          if (!isNamespaceTerminating(error)) throw error;
        }
      });
    }

    async function remove(key: string, pod: SeenPod, set: Seen<DaemonSet>): Promise<void> {
      try {
        await podControl.delete(nameOf(pod), set);
      } catch (error) {
        expectations.deleted(key, uidOf(pod));
        if (!isStatusError(error, "NotFound")) throw error;
      }
    }

    return [{ watches, reconcile, reads: [revisions], workers: 2 }];
  },
});

/** Nothing changed that decides about placement: most updates of a node are about its health. */
const isSamePlace = (node: SeenNode, old: SeenNode): boolean =>
  jsonEqual(node.metadata.labels, old.metadata.labels) && jsonEqual(node.spec?.taints, old.spec?.taints);

const withoutZeros = (status: object): object =>
  Object.fromEntries(Object.entries(status).filter(([, value]) => value !== 0));
