/** A pod on every node that should have one. */
import type { ControllerRevision, DaemonSet, DaemonSetStatus } from "#api";
import { backoffMs, preciseNow } from "#base";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError, jsonEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { Expectations } from "../lib/expectations.ts";
import { contentHash } from "../lib/hash.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { controllerOf, isDeleting, nameOf, namespaceOf, type Seen, type SeenObject, uidOf } from "../lib/objects.ts";
import { watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController } from "../lib/owner-index.ts";
import { OwnWrites } from "../lib/own-writes.ts";
import { createPodControl, isNamespaceTerminating, podFromTemplate } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";
import { deleteRevisions, type SeenRevision, syncHistory } from "../lib/revisions.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  type DaemonPlan,
  type DaemonState,
  daemonPod,
  daemonStatus,
  describeFinished,
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
    const seenSets = new OwnWrites(sets);
    const selectors = createSelectorCache();
    const expectations = new Expectations(clock);
    const podControl = createPodControl(client, events);
    /** Failures by set and node. */
    const failures = new Map<string, Map<string, { count: number; at: number }>>();
    const own = client.resource("apps/v1/daemonsets");
    const steadyMs = preciseNow(clock);

    function watches(queue: WorkQueue) {
      const markAll = () => {
        for (const set of sets.list()) queue.add(keyOf(set));
      };
      const markHistory = (revision: SeenRevision) => {
        const reference = controllerOf(revision);
        const owner = reference?.kind === kind.kind && sets.get(`${namespaceOf(revision)}/${reference.name}`);
        if (owner && uidOf(owner) === reference.uid) queue.add(keyOf(owner));
        if (reference) return;
        for (const set of sets.list(namespaceOf(revision))) {
          if (selectors.of(set.spec?.selector).matches(revision.metadata.labels)) queue.add(keyOf(set));
        }
      };
      return [
        watch(revisions, {
          added: (revision) => controllerOf(revision) ?? markHistory(revision),
          updated(revision, old) {
            if (controllerOf(revision)?.uid !== controllerOf(old)?.uid) markHistory(old);
            markHistory(revision);
          },
          deleted: markHistory,
        }),
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
      const set = seenSets.get(key);
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
      const owned = await carryOutClaims({
        ...claim,
        resource: podsReference,
        kind: "Pod",
        claims: planClaims(set, claimable(pods, set), (labels) => selector.matches(labels)),
      });
      const history = await syncHistory({
        client,
        owner: set,
        ownerKind: kind,
        hashLabel: revisionHashLabel,
        hash: (_data, collisions) => contentHash(set.spec?.template, collisions),
        revisions: await labelled(
          await carryOutClaims({
            ...claim,
            resource: revisionsReference,
            kind: "ControllerRevision",
            claims: planClaims(set, claimable(revisions, set), (labels) => selector.matches(labels)),
          }),
        ),
        collided: () => countCollision(set),
        merge: (kept, others) => mergeRevisions(owned, kept, others),
      });
      const state: DaemonState = {
        set,
        nodes: nodes.list(),
        pods: owned,
        hash: hashOf(history.current) ?? "",
        now: clock.now(),
        failureWaitMs: (nodeName) => failureWaitMs(key, `${set.status?.observedGeneration}/${nodeName}`),
      };
      const mayAct = expectations.areMet(key);
      let failure: unknown;
      if (mayAct) {
        const plan = planDaemons(state);
        if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs);
        try {
          await carryOut(key, plan, state);
          const used = new Set(owned.map(hashOf));
          const unused = history.old.filter((revision) => !used.has(hashOf(revision)));
          const surplus = Math.max(0, history.old.length - (set.spec?.revisionHistoryLimit ?? 10));
          await deleteRevisions(client, unused.slice(0, surplus));
        } catch (error) {
          // What was seen is reported all the same.
          failure = error;
        }
      }
      const status = daemonStatus(state, { observed: mayAct });
      if (!isStatusCurrent(set, status)) {
        const written = await unlessGone(own.updateStatus({ ...(set as DaemonSet), status })); // sent, never changed
        if (written) seenSets.note(written);
      }
      if (failure !== undefined) throw failure;
      const againMs = nextAvailabilityMs(state);
      if (againMs !== undefined) queue.addAfter(key, againMs);
    }

    /** Revisions that somebody else made get a hash too. */
    const labelled = (found: readonly SeenRevision[]): Promise<SeenRevision[]> =>
      Promise.all(
        found.map((revision) => {
          if (hashOf(revision) !== undefined) return revision;
          const { metadata } = revision;
          const labels = { ...metadata.labels, [revisionHashLabel]: nameOf(revision) };
          const changed = { ...revision, metadata: { ...metadata, labels } } as ControllerRevision; // sent, never changed
          return client.resource("apps/v1/controllerrevisions").update(changed);
        }),
      );

    async function countCollision(set: Seen<DaemonSet>): Promise<never> {
      const fresh = await client.resource("apps/v1/daemonsets", namespaceOf(set)).get(nameOf(set));
      const { collisionCount } = fresh.status ?? {};
      if (collisionCount === set.status?.collisionCount) {
        const status = { ...fresh.status, collisionCount: (collisionCount ?? 0) + 1 };
        await own.updateStatus({ ...fresh, status } as DaemonSet); // sent, never changed
      }
      throw new Error(`daemon set ${keyOf(set)}: its template's hash is taken, counting a collision`);
    }

    async function mergeRevisions(owned: readonly SeenPod[], kept: SeenRevision, others: readonly SeenRevision[]) {
      const labels = { [revisionHashLabel]: hashOf(kept) };
      for (const pod of owned.filter((each) => hashOf(each) !== hashOf(kept))) {
        await client
          .resource("v1/pods", namespaceOf(pod))
          .patch(nameOf(pod), { metadata: { labels } }, { type: "merge" });
      }
      await deleteRevisions(client, others);
    }

    function failureWaitMs(key: string, place: string): number {
      const failure = failures.get(key)?.get(place);
      return failure ? Math.max(0, failure.at + backoffMs(failure.count, failureBackoff) - steadyMs()) : 0;
    }

    function noteFailure(key: string, place: string): void {
      const known = failures.get(key) ?? new Map<string, { count: number; at: number }>();
      const before = known.get(place);
      // Long ago: it starts anew.
      const isFresh = before && steadyMs() - before.at < 2 * failureBackoff.maxMs;
      known.set(place, { count: isFresh ? before.count + 1 : 1, at: steadyMs() });
      failures.set(key, known);
    }

    async function carryOut(key: string, plan: DaemonPlan, { set, hash }: DaemonState): Promise<void> {
      if (plan.create.length === 0 && plan.delete.length === 0) return;
      for (const each of plan.finished) {
        const event = describeFinished(each);
        if (event.type === "Warning") noteFailure(key, `${set.status?.observedGeneration}/${each.nodeName}`);
        events.event(set, event);
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

    return [{ watches, reconcile, workers: 2 }];
  },
});

/** Nothing changed that decides about placement: most updates of a node are about its health. */
const isSamePlace = (node: SeenNode, old: SeenNode): boolean =>
  jsonEqual(node.metadata.labels, old.metadata.labels) && jsonEqual(node.spec?.taints, old.spec?.taints);

const hashOf = ({ metadata }: SeenObject): string | undefined => metadata?.labels?.[revisionHashLabel];

/** Conditions and collisions are others': they are kept, and no reason to write. */
function isStatusCurrent({ status: before }: Seen<DaemonSet>, status: DaemonSetStatus): boolean {
  const { observedGeneration: _generation, collisionCount: _collisions, conditions: _conditions, ...counts } = status;
  return (
    (before?.observedGeneration ?? 0) >= (status.observedGeneration ?? 0) &&
    Object.entries(counts).every(([key, count]) => count === (before?.[key as keyof typeof counts] ?? 0)) // its own keys
  );
}
