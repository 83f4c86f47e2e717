/** Keeps the numbers by which the eviction API decides. */
import type { OwnerReference, PodDisruptionBudget, Scale } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { formatTime, isStatusError, jsonEqual } from "#machinery";
import { type Controller, defineController, type Loop, onEvery, watch } from "../lib/controller.ts";
import { type DiscoveredResource, discover } from "../lib/discovery.ts";
import { controllerOf, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { messageOf } from "../lib/pod-control.ts";
import { isPodReady, type SeenPod } from "../lib/pods.ts";
import { indexPodsByLabel, podsMatching } from "../lib/pods-by-label.ts";
import { createSelectorCache } from "../lib/selectors.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { failSafe, isCurrent, needsScale, planBudget, printSelector, staleInMs } from "./reconcile.ts";

interface Sized {
  readonly metadata: { readonly namespace?: string | undefined; readonly uid?: string | undefined };
  readonly spec?: { readonly replicas?: number | undefined } | undefined;
}

export const disruptionController: Controller = defineController({
  name: "disruption-controller",
  component: "controllermanager",
  create({ client, informers, events, clock }) {
    const budgets = informers.of("policy/v1/poddisruptionbudgets");
    const pods = informers.of("v1/pods");
    const sets = informers.of("apps/v1/replicasets");
    const deployments = informers.of("apps/v1/deployments");
    const statefulSets = informers.of("apps/v1/statefulsets");
    const replicationControllers = informers.of("v1/replicationcontrollers");
    indexPodsByLabel(pods);
    const selectors = createSelectorCache();
    let resources: readonly DiscoveredResource[] | undefined;

    function watches(queue: WorkQueue) {
      const markFor = (pod: SeenPod) => {
        const matching = budgets
          .list(namespaceOf(pod))
          .filter((budget) => selectors.of(budget.spec?.selector).matches(pod.metadata.labels));
        for (const budget of matching) queue.add(keyOf(budget));
        const [first, second] = matching;
        if (!first || !second) return;
        const which = `${JSON.stringify(namespaceOf(pod))}/${JSON.stringify(nameOf(pod))}`;
        const chosen = JSON.stringify(nameOf(first));
        const message = `Pod ${which} matches multiple PodDisruptionBudgets.  Chose ${chosen} arbitrarily.`;
        events.event(pod, { type: "Warning", reason: "MultiplePodDisruptionBudgets", message });
      };
      /** Another size changes the budgets that are shares of it. */
      const markScaled = (namespace: string) => {
        for (const budget of budgets.list(namespace)) if (needsScale(budget)) queue.add(keyOf(budget));
      };
      const sized = {
        added: (owner: Sized) => markScaled(owner.metadata.namespace ?? ""),
        updated(owner: Sized, old: Sized) {
          if (owner.spec?.replicas !== old.spec?.replicas) markScaled(owner.metadata.namespace ?? "");
        },
        deleted: (owner: Sized) => markScaled(owner.metadata.namespace ?? ""),
      };
      return [
        onEvery(budgets, (budget) => queue.add(keyOf(budget))),
        watch(pods, {
          added: markFor,
          updated(pod, old) {
            const isSame =
              isPodReady(pod) === isPodReady(old) &&
              isDeleting(pod) === isDeleting(old) &&
              controllerOf(pod)?.uid === controllerOf(old)?.uid;
            const labelsChanged = !jsonEqual(pod.metadata.labels, old.metadata.labels);
            if (labelsChanged) markFor(old);
            if (labelsChanged || !isSame) markFor(pod);
          },
          deleted: markFor,
        }),
        watch(sets, sized),
        watch(deployments, sized),
        watch(statefulSets, sized),
        watch(replicationControllers, sized),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      const budget = budgets.get(key);
      if (!budget) return;
      try {
        await sync(key, budget, queue);
      } catch (error) {
        if (isStatusError(error, "Conflict")) throw error;
        // Not tried again: what made it fail says so by an event.
        await write(budget, failSafe(budget, messageOf(error), clock.now()));
      }
    }

    async function sync(key: string, budget: Seen<PodDisruptionBudget>, queue: WorkQueue): Promise<void> {
      const covered = podsMatching(pods, namespaceOf(budget), selectors.of(budget.spec?.selector));
      if (covered.length === 0) {
        events.event(budget, { type: "Normal", reason: "NoPods", message: "No matching pods found" });
      }
      const expectedScale = needsScale(budget) ? await expectedScaleOf(budget, covered) : 0;
      const plan = planBudget({ budget, pods: covered, expectedScale, now: clock.now() });
      for (const pod of plan.notDeleted) {
        // Upstream says the namespace twice.
        const budgetName = `${namespaceOf(budget)}/${namespaceOf(budget)}`;
        const message = `Pod was expected by PDB ${budgetName} to be deleted but it wasn't`;
        events.event(pod, { type: "Warning", reason: "NotDeleted", message });
      }
      await write(budget, plan.status);
      if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs);
    }

    async function write(
      budget: Seen<PodDisruptionBudget>,
      status: PodDisruptionBudget["status"] & object,
    ): Promise<void> {
      if (isCurrent(budget, status)) return;
      const own = client.resource("policy/v1/poddisruptionbudgets");
      await unlessGone(own.updateStatus({ ...(budget as PodDisruptionBudget), status })); // sent, never changed
    }

    async function expectedScaleOf(budget: Seen<PodDisruptionBudget>, covered: readonly SeenPod[]): Promise<number> {
      try {
        return await scaleOf(budget, covered);
      } catch (error) {
        const message = `Failed to calculate the number of expected pods: ${messageOf(error)}`;
        events.event(budget, { type: "Warning", reason: "CalculateExpectedPodCountFailed", message });
        throw error;
      }
    }

    /** Of the distinct controllers of these pods, together. */
    async function scaleOf(budget: Seen<PodDisruptionBudget>, covered: readonly SeenPod[]): Promise<number> {
      const scales = new Map<string, number>();
      const seen = new Set<string>();
      let unmanaged = 0;
      for (const pod of covered) {
        const reference = controllerOf(pod);
        if (!reference) unmanaged++;
        else if (!seen.has(reference.uid)) {
          seen.add(reference.uid);
          const found = await findScale(reference, namespaceOf(pod));
          if (!found) throw new Error(`found no controllers for pod ${JSON.stringify(nameOf(pod))}`);
          scales.set(found.uid, found.replicas);
        }
      }
      if (unmanaged > 0) {
        const message = `Pods selected by this PodDisruptionBudget (selector: ${printSelector(budget.spec?.selector)}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`;
        events.event(budget, { type: "Warning", reason: "UnmanagedPods", message });
      }
      return [...scales.values()].reduce((sum, replicas) => sum + replicas, 0);
    }

    interface FoundScale {
      readonly uid: string;
      readonly replicas: number;
    }

    async function findScale(reference: Seen<OwnerReference>, namespace: string): Promise<FoundScale | undefined> {
      const { kind, apiVersion, name, uid } = reference;
      const key = `${namespace}/${name}`;
      const [group = ""] = apiVersion.includes("/") ? apiVersion.split("/") : [""];
      const answer = (owner: Sized | undefined): FoundScale | undefined =>
        owner && owner.metadata.uid === uid ? { uid, replicas: owner.spec?.replicas ?? 1 } : undefined;
      if (kind === "ReplicaSet" && (group === "apps" || group === "extensions")) {
        const set = sets.get(key);
        const parent = set && controllerOf(set);
        if (parent?.kind !== "Deployment") return answer(set) ?? scaleOfCustom(reference, namespace);
        const deployment = deployments.get(`${namespace}/${parent.name}`);
        const found = uidOf(set as SeenPod) === uid && deployment && uidOf(deployment) === parent.uid; // both are objects
        return found
          ? { uid: parent.uid, replicas: deployment.spec?.replicas ?? 1 }
          : scaleOfCustom(reference, namespace);
      }
      const known = kind === "StatefulSet" && group === "apps" ? answer(statefulSets.get(key)) : undefined;
      const controller =
        kind === "ReplicationController" && group === "" ? answer(replicationControllers.get(key)) : undefined;
      return known ?? controller ?? scaleOfCustom(reference, namespace);
    }

    /** Anything else may have a scale subresource. */
    async function scaleOfCustom(
      { kind, apiVersion, name, uid }: Seen<OwnerReference>,
      namespace: string,
    ): Promise<FoundScale | undefined> {
      const find = () =>
        resources?.find(
          ({ group, version, kind: other }) =>
            other === kind && (group ? `${group}/${version}` : version) === apiVersion,
        );
      if (!find()) resources = (await discover(client)).resources;
      const resource = find();
      if (!resource)
        throw new Error(`no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`);
      const scale = await unlessGone(client.resource(resource, namespace).getSubresource<Scale>(name, "scale"));
      if (scale) return scale.metadata?.uid === uid ? { uid, replicas: scale.spec?.replicas ?? 0 } : undefined;
      if (resource.scalable) return undefined;
      const shown = resource.group === "" ? resource.resource : `${resource.resource}.${resource.group}`;
      throw new Error(`${shown} does not implement the scale subresource`);
    }

    /** Pods that were about to be disrupted, and weren't. Not those whose kubelet ends them: that may take long. */
    const staleConditions: Loop = {
      watches(queue) {
        const look = (pod: SeenPod) => {
          const leftMs = staleInMs(pod, clock.now());
          if (leftMs !== undefined) queue.addAfter(keyOf(pod), leftMs);
        };
        return [watch(pods, { added: look, updated: look })];
      },
      async reconcile(key, queue) {
        const pod = pods.get(key);
        const leftMs = pod && staleInMs(pod, clock.now());
        if (!pod || leftMs === undefined) return;
        if (leftMs > 0) return queue.addAfter(key, leftMs);
        const condition = {
          type: "DisruptionTarget",
          status: "False",
          lastTransitionTime: formatTime(clock.now()),
          observedGeneration: pod.metadata.generation ?? 0,
          reason: null,
          message: null,
        };
        const own = client.resource("v1/pods", namespaceOf(pod));
        const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
        await unlessGone(own.patch(nameOf(pod), patch, { type: "strategic", subresource: "status" }));
      },
    };

    return [{ watches, reconcile }, staleConditions];
  },
});
