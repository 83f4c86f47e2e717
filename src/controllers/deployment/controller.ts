/** Rolls Deployments out: reads caches, asks reconcile.ts what to do, does it in order, writes the status last. */
import type { Deployment, ReplicaSet } from "#api";
import { keyOf, type ResourceReference, type WorkQueue } from "#client";
import { goQuote, isStatusError, jsonEqual } from "#machinery";
import { carryOutClaims, planClaims } from "../lib/claim.ts";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { controllerOf, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { claimable, indexByController, managedBy } from "../lib/owner-index.ts";
import { OwnWrites } from "../lib/own-writes.ts";
import { isNamespaceTerminating, messageOf } from "../lib/pod-control.ts";
import { isPodFinished, type SeenPod } from "../lib/pods.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { creationFailure, type DeploymentPlan, planDeployment, type SetUpdate } from "./reconcile.ts";
import { deploymentKind } from "./revisions.ts";
import { hasTemplateOf } from "./rollout.ts";

const deploymentsReference: ResourceReference = {
  group: "apps",
  version: "v1",
  resource: "deployments",
  namespaced: true,
};
const setsReference: ResourceReference = { group: "apps", version: "v1", resource: "replicasets", namespaced: true };

export const deploymentController: Controller = defineController({
  name: "deployment-controller",
  create({ client, informers, events, clock, log }) {
    const deployments = informers.of("apps/v1/deployments");
    const sets = informers.of("apps/v1/replicasets");
    const pods = informers.of("v1/pods");
    indexByController(sets);
    indexByController(pods);
    const seenDeployments = new OwnWrites(deployments);
    const selectors = createSelectorCache();

    function deploymentOf(set: Seen<ReplicaSet>): Seen<Deployment> | undefined {
      const reference = controllerOf(set);
      if (reference?.kind !== deploymentKind.kind) return undefined;
      const deployment = deployments.get(`${namespaceOf(set)}/${reference.name}`);
      return deployment && uidOf(deployment) === reference.uid ? deployment : undefined;
    }

    function watches(queue: WorkQueue) {
      const markFor = (set: Seen<ReplicaSet>) => {
        if (controllerOf(set)) {
          const deployment = deploymentOf(set);
          if (deployment) queue.add(keyOf(deployment));
          return;
        }
        for (const deployment of deployments.list(namespaceOf(set))) {
          const selector = selectors.of(deployment.spec?.selector);
          if (!selector.everything && selector.matches(set.metadata.labels)) queue.add(keyOf(deployment));
        }
      };
      return [
        onEvery(deployments, (deployment) => queue.add(keyOf(deployment))),
        watch(sets, {
          added: markFor,
          updated(set, old) {
            const ownerChanged = controllerOf(set)?.uid !== controllerOf(old)?.uid;
            if (ownerChanged && controllerOf(old)) markFor(old);
            if (controllerOf(set) || ownerChanged || !jsonEqual(set.metadata.labels, old.metadata.labels)) markFor(set);
          },
          deleted: markFor,
        }),
        // Recreate waits for the last old pod; nothing else here depends on single pods.
        watch(pods, { deleted: (pod) => markRecreate(pod, queue) }),
      ];
    }

    function markRecreate(pod: SeenPod, queue: WorkQueue): void {
      const reference = controllerOf(pod);
      if (reference?.kind !== "ReplicaSet") return;
      const set = sets.get(`${namespaceOf(pod)}/${reference.name}`);
      const deployment = set && uidOf(set) === reference.uid ? deploymentOf(set) : undefined;
      if (deployment?.spec?.strategy?.type === "Recreate") queue.add(keyOf(deployment));
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const deployment = seenDeployments.get(key);
      if (!deployment) return;
      const selector = selectors.of(deployment.spec?.selector);
      if (selector.everything) return refuseEverything(deployment);
      const owned = await carryOutClaims({
        client,
        owner: deployment,
        ownerKind: deploymentKind,
        ownerResource: deploymentsReference,
        resource: setsReference,
        kind: "ReplicaSet",
        claims: planClaims(deployment, claimable(sets, deployment), (labels) => selector.matches(labels)),
      });
      const plan = planDeployment({
        deployment,
        sets: owned,
        now: clock.now(),
        hasOtherPods: (setUid) =>
          owned.some((set) => uidOf(set) !== setUid && managedBy(pods, set).some((pod) => !isPodFinished(pod))),
      });
      await carryOut(deployment, plan);
      if (plan.checkInMs !== undefined) queue.addAfter(key, plan.checkInMs);
    }

    async function refuseEverything(deployment: Seen<Deployment>): Promise<void> {
      events.event(deployment, {
        type: "Warning",
        reason: "SelectingAll",
        message: "This deployment is selecting all pods. A non-empty selector is required.",
      });
      const { generation = 0 } = deployment.metadata;
      if ((deployment.status?.observedGeneration ?? 0) >= generation) return;
      const observed = { ...deployment, status: { ...deployment.status, observedGeneration: generation } };
      await client.resource("apps/v1/deployments").updateStatus(observed as Deployment); // sent, never changed
    }

    async function carryOut(deployment: Seen<Deployment>, plan: DeploymentPlan): Promise<void> {
      if (plan.rollback) {
        if (plan.rollback.event) events.event(deployment, plan.rollback.event);
        await client.resource("apps/v1/deployments").update(plan.rollback.deployment);
        return;
      }
      if (plan.create && !(await createSet(deployment, plan.create))) return;
      const replicaSets = client.resource("apps/v1/replicasets", namespaceOf(deployment));
      for (const { set, event } of plan.updates) {
        await replicaSets.update(set);
        if (event) events.event(deployment, { type: "Normal", reason: "ScalingReplicaSet", message: event });
      }
      for (const name of plan.deletions) {
        await unlessGone(replicaSets.delete(name));
      }
      const written = plan.write && (await unlessGone(client.resource("apps/v1/deployments").updateStatus(plan.write)));
      if (written) seenDeployments.note(written);
    }

    /** Answers whether to go on. */
    async function createSet(deployment: Seen<Deployment>, { set, event }: SetUpdate): Promise<boolean> {
      const replicaSets = client.resource("apps/v1/replicasets", namespaceOf(deployment));
      try {
        await replicaSets.create(set);
        if (event) events.event(deployment, { type: "Normal", reason: "ScalingReplicaSet", message: event });
        return true;
      } catch (error) {
        if (isNamespaceTerminating(error)) return false;
        if (isStatusError(error, "AlreadyExists")) return resolveCollision(deployment, set);
        const message = `Failed to create new replica set ${goQuote(nameOf(set))}: ${messageOf(error)}`;
        events.event(deployment, { type: "Warning", reason: "ReplicaSetCreateError", message });
        const write = creationFailure(deployment, message, clock.now());
        if (write) await client.resource("apps/v1/deployments").updateStatus(write);
        throw error;
      }
    }

    /** The name is taken: by this very set, which the cache doesn't show yet, or by another template with the same hash. */
    async function resolveCollision(deployment: Seen<Deployment>, set: ReplicaSet): Promise<boolean> {
      const existing = sets.get(`${namespaceOf(deployment)}/${nameOf(set)}`);
      if (!existing) throw new Error(`replicaset ${nameOf(set)} exists, but isn't seen yet`);
      if (controllerOf(existing)?.uid === uidOf(deployment) && hasTemplateOf(existing, deployment)) {
        // Its event will bring us back.
        return false;
      }
      const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
      const status = { ...deployment.status, collisionCount };
      await client.resource("apps/v1/deployments").updateStatus({ ...deployment, status } as Deployment); // sent, never changed
      log.info("pod template hash is taken, counting a collision", { deployment: keyOf(deployment), collisionCount });
      return false;
    }

    return [{ watches, reconcile }];
  },
});
