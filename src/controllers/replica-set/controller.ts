/**
 * Keeps the number of pods of a ReplicaSet or ReplicationController. One implementation for both: they differ in group, selector
 * and event source. Between its own writes and the cache that shows them stand expectations, see lib/expectations.ts.
 */
import type { Pod } from "#api";
import type { Informer, ResourceReference, WorkQueue } from "#client";
import { keyOf } from "#client";
import { isStatusError, type LabelMatcher } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, type ControllerContext, defineController, type Loop, watch } from "../lib/controller.ts";
import { Expectations } from "../lib/expectations.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import {
  controllerOf,
  isDeleting,
  type KindName,
  nameOf,
  namespaceOf,
  type Seen,
  type SeenObject,
  uidOf,
} from "../lib/objects.ts";
import { watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController, managedBy, managedByUid } from "../lib/owner-index.ts";
import { OwnWrites } from "../lib/own-writes.ts";
import { createPodControl, isNamespaceTerminating, messageOf, podFromTemplate } from "../lib/pod-control.ts";
import { isPodActive, isPodTerminating, type SeenPod } from "../lib/pods.ts";
import { createSelectorCache, type SelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { isStatusCurrent, nextAvailabilityMs, planReplicas, type ReplicaOwner, replicaStatus } from "./reconcile.ts";

interface Flavour {
  readonly kind: KindName;
  readonly resource: ResourceReference;
  readonly countsTerminating: boolean;
  selectorOf(owner: Seen<ReplicaOwner>, selectors: SelectorCache): LabelMatcher;
}

export const podsReference: ResourceReference = { group: "", version: "v1", resource: "pods", namespaced: true };

export const replicaSetController: Controller = defineController({
  name: "replicaset-controller",
  create: (context) => [
    createLoop(context, {
      kind: { apiVersion: "apps/v1", kind: "ReplicaSet" },
      resource: { group: "apps", version: "v1", resource: "replicasets", namespaced: true },
      countsTerminating: true,
      selectorOf: (owner, selectors) => selectors.of((owner as { spec?: { selector?: object } }).spec?.selector),
    }),
  ],
});

export const replicationController: Controller = defineController({
  name: "replicationcontroller-controller",
  account: "replication-controller",
  create: (context) => [
    createLoop(context, {
      kind: { apiVersion: "v1", kind: "ReplicationController" },
      resource: { group: "", version: "v1", resource: "replicationcontrollers", namespaced: true },
      countsTerminating: false,
      selectorOf: (owner, selectors) =>
        selectors.ofLabels((owner as { spec?: { selector?: Record<string, string> } }).spec?.selector),
    }),
  ],
});

function createLoop(context: ControllerContext, flavour: Flavour): Loop {
  const { client, informers, events, clock } = context;
  const { kind } = flavour;
  const owners: Informer<ReplicaOwner> = informers.of<ReplicaOwner>(flavour.resource);
  const pods = informers.of("v1/pods");
  indexByController(pods);
  indexByController(owners);
  const seenOwners = new OwnWrites(owners);
  const selectors = createSelectorCache();
  const expectations = new Expectations(clock);
  const podControl = createPodControl(client, events);
  const selectorOf = (owner: Seen<ReplicaOwner>) => flavour.selectorOf(owner, selectors);

  function watches(queue: WorkQueue) {
    return [
      watch(owners, {
        added: (owner) => queue.add(keyOf(owner)),
        updated: (owner) => queue.add(keyOf(owner)),
        deleted(owner) {
          expectations.forget(keyOf(owner));
          queue.add(keyOf(owner));
        },
      }),
      watchOwnedPods({ pods, owners, kind: kind.kind, queue, selectorOf, expectations }),
    ];
  }

  async function reconcile(key: string, queue: WorkQueue): Promise<void> {
    const owner = seenOwners.get(key);
    if (!owner) return expectations.forget(key);
    const mayAct = expectations.areMet(key);
    const selector = selectorOf(owner);
    const candidates = claimable(pods, owner);
    const active = await carryOutClaims({
      client,
      owner,
      ownerKind: kind,
      ownerResource: flavour.resource,
      resource: podsReference,
      kind: "Pod",
      claims: planClaims(owner, candidates.filter(isPodActive), (labels) => selector.matches(labels)),
    });
    let failure: unknown;
    if (mayAct && !isDeleting(owner)) failure = await act(key, owner, active);

    const now = clock.now();
    const status = replicaStatus({
      owner,
      pods: active,
      now,
      ...(flavour.countsTerminating ? { terminating: countTerminating(owner, selector, candidates) } : {}),
      ...(failure === undefined ? {} : { failure: messageOf(failure) }),
    });
    if (!isStatusCurrent(owner, status)) {
      const own = client.resource<ReplicaOwner>(flavour.resource, namespaceOf(owner));
      const written = await unlessGone(own.updateStatus({ ...(owner as ReplicaOwner), status })); // sent, never changed
      if (written) seenOwners.note(written);
    }
    const availableInMs = nextAvailabilityMs(owner, active, now);
    if (availableInMs !== undefined) queue.addAfter(key, availableInMs);
    if (failure !== undefined) throw failure;
  }

  /** Makes or deletes pods; answers the first failure. */
  async function act(key: string, owner: Seen<ReplicaOwner>, active: readonly SeenPod[]): Promise<unknown> {
    const plan = planReplicas({ owner, pods: active, related: () => relatedPods(owner), now: clock.now() });
    if (plan.create > 0) {
      const { template } = owner.spec ?? {};
      if (!template) throw new Error(`${kind.kind} ${key}: it has no pod template`);
      const pod = podFromTemplate(template, owner, kind);
      expectations.expectCreations(key, plan.create);
      const { succeeded, error } = await inBatches(plan.create, async () => {
        try {
          await podControl.create(pod, owner);
        } catch (error) {
          // As good as made: nothing can be made in this namespace any more, and trying again won't help.
          if (!isNamespaceTerminating(error)) throw error;
        }
      });
      expectations.created(key, plan.create - succeeded);
      return error;
    }
    if (plan.delete.length > 0) {
      expectations.expectDeletions(key, plan.delete.map(uidOf));
      const { error } = await allAtOnce(plan.delete, async (pod) => {
        try {
          await podControl.delete(nameOf(pod), owner);
        } catch (error) {
          expectations.deleted(key, uidOf(pod));
          if (!isStatusError(error, "NotFound")) throw error;
        }
      });
      return error;
    }
    return undefined;
  }

  /** Pods of every set that has the same controller (a Deployment). */
  function relatedPods(owner: Seen<ReplicaOwner>): readonly SeenPod[] {
    const controller = controllerOf(owner);
    if (!controller) return [];
    return managedByUid(owners, controller.uid).flatMap((set) => managedBy<Pod>(pods, set as SeenObject));
  }

  return { watches, reconcile };
}

function countTerminating(owner: SeenObject, selector: LabelMatcher, candidates: readonly SeenPod[]): number {
  return candidates.filter(
    (pod) => isPodTerminating(pod) && controllerOf(pod)?.uid === uidOf(owner) && selector.matches(pod.metadata.labels),
  ).length;
}
