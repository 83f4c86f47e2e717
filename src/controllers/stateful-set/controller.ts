/** Pods with names and storage that stay. Names are given, so a stale cache is harmless: what exists can't be created twice. */
import type { PersistentVolumeClaim, PodTemplateSpec, StatefulSet } from "#api";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { bytesHash, goJson } from "../lib/hash.ts";
import { allAtOnce, inBatches } from "../lib/in-batches.ts";
import { isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { ownerOfPod, watchOwnedPods } from "../lib/owned-pods.ts";
import { claimable, indexByController } from "../lib/owner-index.ts";
import { OwnWrites } from "../lib/own-writes.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import type { SeenPod } from "../lib/pods.ts";
import { deleteRevisions, type SeenRevision, syncHistory } from "../lib/revisions.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  claimNames,
  claimOwnership,
  claimsOf,
  kind,
  mendedPod,
  ordinalOf,
  podName,
  type Revisioned,
  revisionLabel,
} from "./identity.ts";
import {
  isStatusCurrent,
  type Member,
  nextAvailabilityMs,
  observedStatus,
  planStateful,
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
    const seenSets = new OwnWrites(sets);
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
      const set = seenSets.get(key);
      if (!set) return;
      const selector = selectors.of(set.spec?.selector);
      const claim = { client, owner: set, ownerKind: kind, ownerResource: setsReference };
      const ownRevisions = await carryOutClaims({
        ...claim,
        resource: revisionsReference,
        kind: "ControllerRevision",
        claims: {
          ...planClaims(set, claimable(revisions, set), (labels) => selector.matches(labels)),
          release: [],
        },
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
        hash: (data, collisions = 0) => bytesHash(goJson(data) + collisions),
        revisions: ownRevisions,
      });
      const update = revisioned(history.current);
      const before = history.old.find((revision) => nameOf(revision) === set.status?.currentRevision);
      const current = before ? revisioned(before) : update;
      const state: StatefulState = {
        set,
        pods: owned,
        current,
        update,
        collisions: history.collisions,
        claim: (name) => claims.get(`${namespaceOf(set)}/${name}`),
        now: clock.now(),
      };
      const plan = planStateful(state);
      let failure: unknown;
      try {
        await carryOut(plan, state);
      } catch (error) {
        // What was seen is reported all the same.
        failure = error;
      }
      const status = failure === undefined ? plan.status : observedStatus(state);
      if (!isStatusCurrent(set, status)) {
        const written = await unlessGone(own.updateStatus({ ...(set as StatefulSet), status })); // sent, never changed
        if (written) seenSets.note(written);
      }
      const used = new Set([
        current.revision,
        update.revision,
        ...owned.map((pod) => pod.metadata.labels?.[revisionLabel]),
      ]);
      const unused = history.old.filter((revision) => !used.has(nameOf(revision)));
      const surplus = Math.max(0, unused.length - (set.spec?.revisionHistoryLimit ?? 10));
      await deleteRevisions(client, unused.slice(0, surplus));
      if (failure !== undefined) throw failure;
      const againMs = nextAvailabilityMs(state);
      if (againMs !== undefined) queue.addAfter(key, againMs);
    }

    async function carryOut(plan: StatefulPlan, { set }: StatefulState): Promise<void> {
      for (const { pod, ordinal } of plan.pending) {
        await createClaims(set, ordinal);
        await report(set, { verb: "Update", name: nameOf(pod), silent: true }, () => syncOwners(set, { pod, ordinal }));
      }
      for (const member of plan.mend) {
        await report(set, { verb: "Update", name: nameOf(member.pod) }, () => mend(set, member));
      }
      for (const member of plan.release) await syncOwners(set, member);
      const created = await inBatches(plan.create.length, async (index) => {
        const step = plan.create[index];
        if (step) await createPod(set, step);
      });
      const deleted = await allAtOnce(plan.delete, (pod) => deletePod(set, pod));
      const error = created.error ?? deleted.error;
      if (error !== undefined) throw error;
    }

    async function createPod(set: Seen<StatefulSet>, { pod, ordinal }: StatefulPlan["create"][number]): Promise<void> {
      const deed = { verb: "Create", name: podName(set, ordinal) };
      await report(set, { ...deed, silent: true }, () => createClaims(set, ordinal));
      await report(set, deed, async () => {
        const made = await client.resource("v1/pods", namespaceOf(set)).create(pod);
        await syncOwners(set, { ordinal, pod: made });
      });
    }

    async function createClaims(set: Seen<StatefulSet>, ordinal: number): Promise<void> {
      const failures: string[] = [];
      for (const claim of claimsOf(set, ordinal)) {
        const name = nameOf(claim);
        const known = claims.get(keyOf(claim));
        if (known) {
          if (isDeleting(known)) failures.push(`pvc ${name} is being deleted`);
          continue;
        }
        const about = (outcome: string) =>
          `Create Claim ${name} ${outcome.startsWith("failed") ? "for " : ""}Pod ${podName(set, ordinal)} in StatefulSet ${nameOf(set)} ${outcome}`;
        try {
          await client.resource("v1/persistentvolumeclaims", namespaceOf(set)).create(claim);
          events.event(set, { type: "Normal", reason: "SuccessfulCreate", message: about("success") });
        } catch (error) {
          if (isNamespaceTerminating(error)) throw error;
          failures.push(`failed to create PVC ${name}: ${messageOf(error)}`);
          if (isStatusError(error, "AlreadyExists")) continue;
          const message = about(`failed error: ${messageOf(error)}`);
          events.event(set, { type: "Warning", reason: "FailedCreate", message });
        }
      }
      if (failures.length > 0) throw new Error(failures.length > 1 ? `[${failures.join(", ")}]` : failures[0]);
    }

    /** Gives the claims of a pod the owners that the retention policy wants. */
    async function syncOwners(set: Seen<StatefulSet>, { pod, ordinal }: Member): Promise<void> {
      for (const name of claimNames(set, ordinal)) {
        const claim = claims.get(`${namespaceOf(set)}/${name}`) as PersistentVolumeClaim | undefined; // sent, never changed
        if (!claim) continue;
        const { owners, isContested } = claimOwnership(claim, { set, ordinal, pod });
        if (isContested) {
          const message = `PersistentVolumeClaim ${name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`;
          events.event(set, { type: "Warning", reason: "ConflictingController", message });
        }
        if (!owners) continue;
        const changed = { ...claim, metadata: { ...claim.metadata, ownerReferences: owners } };
        await unlessGone(client.resource("v1/persistentvolumeclaims").update(changed));
      }
    }

    async function mend(set: Seen<StatefulSet>, member: Member): Promise<void> {
      const mended = mendedPod(member.pod, set, member.ordinal);
      if (mended?.spec !== member.pod.spec) await createClaims(set, member.ordinal);
      await syncOwners(set, member);
      if (mended) await client.resource("v1/pods", namespaceOf(set)).update(mended);
    }

    async function deletePod(set: Seen<StatefulSet>, pod: SeenPod): Promise<void> {
      // By uid: the cache may be behind, and another pod may have the name by now.
      await report(set, { verb: "Delete", name: nameOf(pod) }, () =>
        unlessGone(
          client.resource("v1/pods", namespaceOf(set)).delete(nameOf(pod), { preconditions: { uid: uidOf(pod) } }),
        ),
      );
    }

    interface Deed {
      readonly verb: string;
      readonly name: string;
      /** Says nothing when it succeeds. */
      readonly silent?: boolean;
    }

    async function report(
      set: Seen<StatefulSet>,
      { verb, name, silent }: Deed,
      run: () => Promise<unknown>,
    ): Promise<void> {
      const about = `${verb} Pod ${name} in StatefulSet ${nameOf(set)}`;
      try {
        await run();
      } catch (error) {
        // Another pod of this name may be ours of a moment ago; in a namespace that ends nothing can be made any more.
        const isExpected =
          isNamespaceTerminating(error) || isStatusError(error, "AlreadyExists") || isStatusError(error, "Conflict");
        if (!isExpected) {
          const message = `${about} failed error: ${messageOf(error)}`;
          events.event(set, { type: "Warning", reason: `Failed${verb}`, message });
        }
        throw error;
      }
      if (!silent) events.event(set, { type: "Normal", reason: `Successful${verb}`, message: `${about} successful` });
    }

    return [{ watches, reconcile, reads: [revisions] }];
  },
});

function revisioned(revision: SeenRevision): Revisioned {
  const { spec } = revision.data as { spec: { template: PodTemplateSpec & { $patch?: string } } }; // as syncHistory writes it
  const { $patch: _patch, ...template } = spec.template;
  return { template, revision: nameOf(revision) };
}
