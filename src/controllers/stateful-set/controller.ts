/** Pods with names and storage that stay. Names are given, so a stale cache is harmless: what exists can't be created twice. */
import type { PersistentVolumeClaim, PodTemplateSpec, StatefulSet } from "#api";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError, semanticEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import { isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { ownerOfPod, watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController } from "../lib/owner-index.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";
import { deleteRevisions, revisionsToDelete, type SeenRevision, syncHistory } from "../lib/revisions.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  claimOwners,
  claimsOf,
  isStaleClaim,
  kind,
  ordinalOf,
  podName,
  type Revisioned,
  revisionLabel,
} from "./identity.ts";
import {
  nextAvailabilityMs,
  observedStatus,
  planStateful,
  type PodStep,
  type StatefulPlan,
  type StatefulState,
} from "./reconcile.ts";

const setsReference: ResourceReference = { group: "apps", version: "v1", resource: "statefulsets", namespaced: true };
const revisionsReference: ResourceReference = { ...setsReference, resource: "controllerrevisions" };
const podsReference: ResourceReference = { group: "", version: "v1", resource: "pods", namespaced: true };

export const statefulSetController: Controller = defineController({
  name: "statefulset-controller",
  create({ client, informers, events, clock }) {
    const sets = informers.of("apps/v1/statefulsets");
    const pods = informers.of("v1/pods");
    const claims = informers.of("v1/persistentvolumeclaims");
    const revisions = informers.of("apps/v1/controllerrevisions");
    indexByController(pods);
    indexByController(revisions);
    const selectors = createSelectorCache();
    const own = client.resource("apps/v1/statefulsets");

    function watches(queue: WorkQueue) {
      return [
        onEvery(sets, (set) => queue.add(keyOf(set))),
        watch(claims, {
          // A set may wait for the end of a former pod's claim.
          deleted(claim) {
            for (const set of sets.list(namespaceOf(claim))) {
              if (set.spec?.volumeClaimTemplates?.length) queue.add(keyOf(set));
            }
          },
        }),
        watchOwnedPods({
          pods,
          owners: sets,
          kind: kind.kind,
          queue,
          selectorOf: (set) => selectors.of(set.spec?.selector),
        }),
        watch(pods, {
          // The name is free only when the pod is gone, not when its deletion begins.
          deleted(pod) {
            const set = ownerOfPod(pod, { owners: sets, kind: kind.kind });
            if (set) queue.add(keyOf(set));
          },
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const set = sets.get(key);
      if (!set) return;
      const selector = selectors.of(set.spec?.selector);
      const claim = { client, owner: set, ownerKind: kind, ownerResource: setsReference };
      const ownRevisions = await carryOutClaims({
        ...claim,
        resource: revisionsReference,
        kind: "ControllerRevision",
        claims: planClaims(set, claimable(revisions, set), (labels) => selector.matches(labels)),
      });
      const owned = await carryOutClaims({
        ...claim,
        resource: podsReference,
        kind: "Pod",
        claims: planClaims(
          set,
          claimable(pods, set),
          (labels, pod) => selector.matches(labels) && ordinalOf(pod, set) !== undefined,
        ),
      });
      const history = await syncHistory({
        client,
        owner: set,
        ownerKind: kind,
        hashLabel: "controller.kubernetes.io/hash",
        revisions: ownRevisions,
        raiseCollisions: async (collisionCount) => {
          const status = { replicas: 0, ...set.status, collisionCount };
          await own.updateStatus({ ...(set as StatefulSet), status: status as StatefulSet["status"] } as StatefulSet); // sent, never changed
        },
      });
      if (!history) return;
      const update = revisioned(history.current);
      const before = history.old.find((revision) => nameOf(revision) === set.status?.currentRevision);
      const current = before ? revisioned(before) : update;
      const state: StatefulState = { set, pods: owned, current, update, now: clock.now() };
      const plan = planStateful(state);
      let failure: unknown;
      try {
        await carryOut(plan, state);
      } catch (error) {
        // What was seen is reported all the same.
        failure = error;
      }
      const status = failure === undefined ? plan.status : observedStatus(state);
      if (!semanticEqual(status, { collisionCount: 0, ...set.status })) {
        await unlessGone(own.updateStatus({ ...(set as StatefulSet), status })); // sent, never changed
      }
      if (failure !== undefined) throw failure;
      const used = new Set([
        current.revision,
        update.revision,
        ...owned.map((pod) => pod.metadata.labels?.[revisionLabel]),
      ]);
      const limit = set.spec?.revisionHistoryLimit ?? 10;
      const surplus = revisionsToDelete(history.old, { limit, isUsed: (revision) => used.has(nameOf(revision)) });
      await deleteRevisions(client, surplus);
      const againMs = nextAvailabilityMs(state);
      if (againMs !== undefined) queue.addAfter(key, againMs);
    }

    async function carryOut(plan: StatefulPlan, { set, pods: owned }: StatefulState): Promise<void> {
      for (const event of plan.events) events.event(set, event);
      if (!isDeleting(set)) await Promise.all(owned.map((pod) => syncClaimOwners(set, pod)));
      for (const pod of plan.mend) {
        await report(set, { verb: "update", name: nameOf(pod) }, () =>
          client.resource("v1/pods", namespaceOf(set)).update(pod),
        );
      }
      const created = await inBatches(plan.create.length, async (index) => {
        const step = plan.create[index];
        if (step) await createPod(set, step);
      });
      const deleted = await allAtOnce(plan.delete, (pod) => deletePod(set, pod));
      const error = created.error ?? deleted.error;
      if (error !== undefined) throw error;
    }

    async function createPod(set: Seen<StatefulSet>, { pod, ordinal }: PodStep): Promise<void> {
      const wanted = claimsOf(set, ordinal);
      // A claim of a former pod goes first; its deletion brings us back.
      const found = wanted.map((claim) => claims.get(keyOf(claim)));
      if (found.some((claim) => claim && isStaleClaim(claim, { set, ordinal }))) return;
      try {
        for (const claim of wanted) await createClaim(set, claim, podName(set, ordinal));
      } catch (error) {
        if (isNamespaceTerminating(error)) return;
        sayFailed(set, { verb: "create", name: podName(set, ordinal) }, error);
        throw error;
      }
      try {
        await client.resource("v1/pods", namespaceOf(set)).create(pod);
      } catch (error) {
        if (isNamespaceTerminating(error)) return;
        // Of a moment ago, or somebody else's.
        if (!isStatusError(error, "AlreadyExists"))
          sayFailed(set, { verb: "create", name: podName(set, ordinal) }, error);
        throw error;
      }
      say(set, { verb: "create", name: podName(set, ordinal) });
    }

    async function createClaim(set: Seen<StatefulSet>, claim: PersistentVolumeClaim, pod: string): Promise<void> {
      const known = claims.get(keyOf(claim));
      if (known) {
        if (isDeleting(known)) throw new Error(`pvc ${nameOf(claim)} is being deleted`);
        return;
      }
      try {
        await client.resource("v1/persistentvolumeclaims", namespaceOf(set)).create(claim);
      } catch (error) {
        if (isStatusError(error, "AlreadyExists")) return;
        if (!isNamespaceTerminating(error)) {
          const message = `create Claim ${nameOf(claim)} for Pod ${pod} in StatefulSet ${nameOf(set)} failed error: ${messageOf(error)}`;
          events.event(set, { type: "Warning", reason: "FailedCreate", message });
        }
        throw error;
      }
      const message = `create Claim ${nameOf(claim)} Pod ${pod} in StatefulSet ${nameOf(set)} success`;
      events.event(set, { type: "Normal", reason: "SuccessfulCreate", message });
    }

    async function syncClaimOwners(set: Seen<StatefulSet>, pod: SeenPod): Promise<void> {
      const ordinal = ordinalOf(pod, set);
      if (ordinal === undefined) return;
      for (const { metadata } of claimsOf(set, ordinal)) {
        const claim = claims.get(`${namespaceOf(set)}/${metadata.name}`);
        const ownerReferences = claim && claimOwners(claim, { set, ordinal, pod });
        if (!claim || !ownerReferences) continue;
        const changed = {
          ...(claim as PersistentVolumeClaim),
          metadata: { ...(claim as PersistentVolumeClaim).metadata, ownerReferences },
        };
        await unlessGone(client.resource("v1/persistentvolumeclaims").update(changed)); // sent, never changed
      }
    }

    async function deletePod(set: Seen<StatefulSet>, pod: SeenPod): Promise<void> {
      const about = { verb: "delete", name: nameOf(pod) };
      // By uid: the cache may be behind, and another pod may have the name by now.
      await report(set, about, () =>
        client.resource("v1/pods", namespaceOf(set)).delete(nameOf(pod), { preconditions: { uid: uidOf(pod) } }),
      );
    }

    interface Deed {
      readonly verb: string;
      readonly name: string;
    }

    async function report(set: Seen<StatefulSet>, deed: Deed, run: () => Promise<unknown>): Promise<void> {
      try {
        await run();
      } catch (error) {
        if (isStatusError(error, "NotFound")) return;
        sayFailed(set, deed, error);
        throw error;
      }
      say(set, deed);
    }

    const titled = (verb: string) => verb.charAt(0).toUpperCase() + verb.slice(1);

    function say(set: Seen<StatefulSet>, { verb, name }: Deed): void {
      const message = `${verb} Pod ${name} in StatefulSet ${nameOf(set)} successful`;
      events.event(set, { type: "Normal", reason: `Successful${titled(verb)}`, message });
    }

    function sayFailed(set: Seen<StatefulSet>, { verb, name }: Deed, error: unknown): void {
      const message = `${verb} Pod ${name} in StatefulSet ${nameOf(set)} failed error: ${messageOf(error)}`;
      events.event(set, { type: "Warning", reason: `Failed${titled(verb)}`, message });
    }

    return [{ watches, reconcile, reads: [revisions] }];
  },
});

function revisioned(revision: SeenRevision): Revisioned {
  const { spec } = revision.data as { spec: { template: PodTemplateSpec & { $patch?: string } } }; // as syncHistory writes it
  const { $patch: _patch, ...template } = spec.template;
  return { template, revision: nameOf(revision) };
}
