/**
 * Makes claims from templates for pods, reserves claims for pods that were given their node by hand, and takes back what nobody uses any more:
 * reservations, then the allocation, then the finalizer, then a claim that was made for a pod which is done.
 *
 * Removing a pod's reservation too early would give its devices to another: a pod that the cache doesn't show counts as gone
 * only when it was seen going or the server says so.
 */
import {
  allocationFinalizer,
  type Pod,
  podClaimAnnotation,
  podClaimName,
  type PodResourceClaim,
  type ResourceClaim,
  type ResourceClaimTemplate,
} from "#api";
import { keyOf, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { controllerOf, draft, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { countClaims } from "./metrics.ts";
import {
  claimFromTemplate,
  claimKeys,
  consumerOf,
  hasClaims,
  isDone,
  isLeftOver,
  isPodConsumer,
  needOf,
  type SeenClaim,
  type SeenPod,
  templateKeys,
} from "./reconcile.ts";

const byClaim = "resource-claim";
const byTemplate = "resource-claim-template";
const byOwner = "owning-pod";
/** Pods that were seen going; forgotten ones cost a question to the server. */
const gonePodsMax = 500;
const maker = "ResourceClaimController";

export const resourceClaimController: Controller = defineController({
  name: "resourceclaim-controller",
  account: "resource-claim-controller",
  component: "resource_claim",
  create({ client, informers, events, metrics }) {
    const pods = informers.of("v1/pods");
    const claims = informers.of("resource.k8s.io/v1/resourceclaims");
    const templates = informers.of("resource.k8s.io/v1/resourceclaimtemplates");
    pods.addIndex(byClaim, (pod) => claimKeys(pod));
    pods.addIndex(byTemplate, templateKeys);
    claims.addIndex(byOwner, (claim) => {
      const owner = controllerOf(claim);
      return owner?.kind === "Pod" && owner.apiVersion === "v1" ? [owner.uid] : [];
    });
    const count = metrics && countClaims(metrics, claims);
    const gonePods = new Set<string>();
    /** Made here and perhaps not shown yet, by the pod's uid. */
    const made = new Map<string, Map<string, string>>();
    const getClaim = (namespace: string) => (name: string) => claims.get(`${namespace}/${name}`);

    function noteGone(uid: string): void {
      gonePods.add(uid);
      made.delete(uid);
      const [first] = gonePods;
      if (gonePods.size > gonePodsMax && first !== undefined) gonePods.delete(first);
    }

    function watches(queue: WorkQueue) {
      function markPod(pod: SeenPod, { gone = false } = {}): void {
        if (!hasClaims(pod)) return;
        if (gone) noteGone(uidOf(pod));
        if (gone || isDone(pod)) for (const key of claimKeys(pod, { extended: true })) queue.add(`claim:${key}`);
        if (isDeleting(pod) || gone) return;
        const wants = pod.spec?.resourceClaims?.some((claim) => needOf(pod, claim, getClaim(namespaceOf(pod))));
        if (wants) queue.add(`pod:${keyOf(pod)}`);
      }
      const markUsers = (claim: SeenClaim) => {
        for (const pod of pods.by(byClaim, keyOf(claim))) markPod(pod);
      };
      const markClaim = (claim: SeenClaim) => {
        queue.add(`claim:${keyOf(claim)}`);
        markUsers(claim);
      };
      const markTemplate = (template: Seen<ResourceClaimTemplate>) => {
        for (const pod of pods.by(byTemplate, keyOf(template))) markPod(pod);
      };
      return [
        watch(claims, { added: markClaim, updated: markClaim, deleted: markUsers }),
        watch(templates, { added: markTemplate, updated: markTemplate }),
        watch(pods, {
          added: (pod) => markPod(pod),
          updated: (pod) => markPod(pod),
          deleted: (pod) => markPod(pod, { gone: true }),
        }),
      ];
    }

    async function syncPod(pod: SeenPod): Promise<void> {
      const namespace = namespaceOf(pod);
      const names = new Map<string, string>();
      for (const claim of pod.spec?.resourceClaims ?? []) {
        if (needOf(pod, claim, getClaim(namespace)) !== "create") continue;
        try {
          names.set(claim.name, await findOrMake(pod, claim));
        } catch (error) {
          const message = `PodResourceClaim ${claim.name}: ${error instanceof Error ? error.message : error}`;
          events.event(
            { apiVersion: "v1", kind: "Pod", ...pod },
            { type: "Warning", reason: "FailedResourceClaimCreation", message },
          );
          throw new Error(`pod ${keyOf(pod)}, ${message}`, { cause: error });
        }
      }
      if (names.size > 0) await reportNames(pod, names);
      if (!pod.spec?.nodeName) return;
      for (const podClaim of pod.spec.resourceClaims ?? []) {
        if (needOf(pod, podClaim, getClaim(namespace)) !== "reserve") continue;
        const found = podClaimName(pod, podClaim);
        const claim = "name" in found && found.name !== undefined ? getClaim(namespace)(found.name) : undefined;
        if (!claim) continue;
        const changed = draft<ResourceClaim>(claim);
        changed.status = { ...changed.status, reservedFor: [...(changed.status?.reservedFor ?? []), consumerOf(pod)] };
        await client.resource("resource.k8s.io/v1/resourceclaims", namespace).updateStatus(changed);
      }
    }

    async function findOrMake(
      pod: SeenPod,
      { name, resourceClaimTemplateName = "" }: Seen<PodResourceClaim>,
    ): Promise<string> {
      const namespace = namespaceOf(pod);
      const own = claims.by(byOwner, uidOf(pod));
      const existing = own.find(({ metadata }) => metadata.annotations?.[podClaimAnnotation] === name);
      if (existing) {
        made.get(uidOf(pod))?.delete(name);
        return nameOf(existing);
      }
      const unseen = made.get(uidOf(pod))?.get(name);
      if (unseen !== undefined) return unseen;
      const template = templates.get(`${namespace}/${resourceClaimTemplateName}`);
      if (!template) {
        const quoted = JSON.stringify(resourceClaimTemplateName);
        throw new Error(`resource claim template ${quoted}: resourceclaimtemplate.resource.k8s.io ${quoted} not found`);
      }
      const claim = claimFromTemplate(pod, name, template);
      try {
        const { metadata } = await client.resource("resource.k8s.io/v1/resourceclaims", namespace).create(claim);
        count?.(claim, "success");
        const { name: claimName = "" } = metadata;
        made.set(uidOf(pod), (made.get(uidOf(pod)) ?? new Map<string, string>()).set(name, claimName));
        return claimName;
      } catch (error) {
        count?.(claim, "failure");
        throw new Error(`create ResourceClaim : ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }

    async function reportNames(pod: SeenPod, names: ReadonlyMap<string, string>): Promise<void> {
      const known = (pod.status?.resourceClaimStatuses ?? []).filter(({ name }) => !names.has(name));
      const fresh = [...names].map(([name, resourceClaimName]) => ({ name, resourceClaimName }));
      const body = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: nameOf(pod), namespace: namespaceOf(pod), uid: uidOf(pod) },
        // All of them: what is applied no more would go.
        status: { resourceClaimStatuses: [...known, ...fresh] },
      };
      await client
        .resource("v1/pods", namespaceOf(pod))
        .patch(nameOf(pod), body, { type: "apply", subresource: "status", fieldManager: maker, force: true });
    }

    async function isUser(claim: SeenClaim, { name, uid }: { name: string; uid: string }): Promise<boolean> {
      if (gonePods.has(uid)) return false;
      const known = pods.get(`${namespaceOf(claim)}/${name}`);
      if (known) return uidOf(known) === uid && !isDone(known);
      try {
        const asked: Seen<Pod> = await client.resource("v1/pods", namespaceOf(claim)).get(name);
        return uidOf(asked) === uid;
      } catch (error) {
        if (isStatusError(error, "NotFound")) return false;
        throw error;
      }
    }

    async function syncClaim(claim: SeenClaim): Promise<void> {
      const api = client.resource("resource.k8s.io/v1/resourceclaims", namespaceOf(claim));
      const before = claim.status?.reservedFor ?? [];
      const remaining: (typeof before)[number][] = [];
      for (const each of before) if (!isPodConsumer(each) || (await isUser(claim, each))) remaining.push(each);
      const isProtected = claim.metadata.finalizers?.includes(allocationFinalizer) ?? false;
      let current: SeenClaim | undefined = claim;
      const isFreed = remaining.length < before.length;
      const mustGo = isProtected && isDeleting(claim) && remaining.length === 0;
      if (isFreed || (mustGo && claim.status?.allocation)) {
        const changed = draft<ResourceClaim>(claim);
        const { reservedFor: _, allocation, ...rest } = changed.status ?? {};
        changed.status = {
          ...rest,
          ...(remaining.length > 0 ? { reservedFor: remaining } : {}),
          // What its last user leaves is free for others, and for the claim's next user on any node.
          ...(allocation && !(remaining.length === 0 && isProtected) ? { allocation } : {}),
        };
        current = await unlessGone(api.updateStatus(changed));
      }
      if (current && !current.status?.allocation && (isFreed || mustGo)) {
        const finalizers = current.metadata.finalizers ?? [];
        if (finalizers.includes(allocationFinalizer)) {
          const changed = draft<ResourceClaim>(current);
          changed.metadata.finalizers = finalizers.filter((each) => each !== allocationFinalizer);
          await unlessGone(api.update(changed));
        }
      }
      const podOf = (name: string) => pods.get(`${namespaceOf(claim)}/${name}`);
      if (remaining.length === 0 && isLeftOver(claim, podOf)) await unlessGone(api.delete(nameOf(claim)));
    }

    return [
      {
        watches,
        async reconcile(key) {
          const [kind, of = ""] = key.split(":");
          if (kind === "claim") {
            const claim = claims.get(of);
            if (claim) await syncClaim(claim);
            return;
          }
          const pod = pods.get(of);
          if (pod && !isDeleting(pod)) await syncPod(pod);
        },
      },
    ];
  },
});
