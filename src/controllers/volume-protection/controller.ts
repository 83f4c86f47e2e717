/**
 * Claims that pods use and volumes that are bound stay, once deleted, until they are free: admission gives each a finalizer, which is
 * taken away here. So are classes of attributes that volumes and claims have.
 */
import type { PersistentVolume, PersistentVolumeClaim, Pod, VolumeAttributesClass } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { draft, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  attributesClassesOf,
  attributesFinalizer,
  claimFinalizer,
  claimIndex,
  claimsOf,
  isVolumeUsed,
  mayFree,
  nextStep,
  usesClaim,
  volumeFinalizer,
} from "./reconcile.ts";

export const claimProtectionController: Controller = defineController({
  name: "persistentvolumeclaim-protection-controller",
  account: "pvc-protection-controller",
  create({ client, informers }) {
    const claims = informers.of("v1/persistentvolumeclaims");
    const pods = informers.of("v1/pods");
    pods.addIndex(claimIndex, claimsOf);
    return [
      {
        watches(queue: WorkQueue) {
          const markClaim = (claim: Seen<PersistentVolumeClaim>) => {
            if (nextStep(claim, { finalizer: claimFinalizer, isUsed: () => false })) queue.add(keyOf(claim));
          };
          const free = (pod: Seen<Pod>) => {
            for (const key of claimsOf(pod)) queue.add(key);
          };
          const markClaims = (pod: Seen<Pod>) => {
            if (mayFree(pod)) free(pod);
          };
          return [
            watch(claims, { added: markClaim, updated: markClaim }),
            watch(pods, { added: markClaims, updated: markClaims, deleted: free }),
          ];
        },
        async reconcile(key) {
          const claim = claims.get(key);
          if (!claim) return;
          const step = nextStep(claim, {
            finalizer: claimFinalizer,
            isUsed: () => pods.by(claimIndex, key).some((pod) => usesClaim(pod, claim)),
          });
          if (!step || step === "keep") return;
          const namespace = namespaceOf(claim);
          if (step === "remove") {
            // Data is lost if a pod has come that the cache doesn't know yet: the server itself is asked.
            const { items } = await client.resource("v1/pods", namespace).list();
            if (items.some((pod) => usesClaim(pod, claim))) return;
          }
          await unlessGone(
            client
              .resource("v1/persistentvolumeclaims", namespace)
              .update(changed(claim, { finalizer: claimFinalizer, step })),
          );
        },
      },
    ];
  },
});

export const volumeProtectionController: Controller = defineController({
  name: "persistentvolume-protection-controller",
  account: "pv-protection-controller",
  create({ client, informers }) {
    const volumes = informers.of("v1/persistentvolumes");
    return [
      {
        watches(queue: WorkQueue) {
          const mark = (volume: Seen<PersistentVolume>) => {
            if (nextStep(volume, { finalizer: volumeFinalizer, isUsed: () => false })) queue.add(nameOf(volume));
          };
          return [watch(volumes, { added: mark, updated: mark })];
        },
        async reconcile(name) {
          const volume = volumes.get(name);
          const step = volume && nextStep(volume, { finalizer: volumeFinalizer, isUsed: () => isVolumeUsed(volume) });
          if (!step || step === "keep") return;
          await unlessGone(
            client.resource("v1/persistentvolumes").update(changed(volume, { finalizer: volumeFinalizer, step })),
          );
        },
      },
    ];
  },
});

const attributesIndex = "attributes-class";

export const attributesClassProtectionController: Controller = defineController({
  name: "volumeattributesclass-protection-controller",
  component: "volumeattributesclass-protection-controller",
  create({ client, informers }) {
    const classes = informers.of("storage.k8s.io/v1/volumeattributesclasses");
    const users = [informers.of("v1/persistentvolumeclaims"), informers.of("v1/persistentvolumes")] as const;
    for (const each of users) each.addIndex(attributesIndex, attributesClassesOf);
    return [
      {
        watches(queue: WorkQueue) {
          const mark = (found: Seen<VolumeAttributesClass>) => {
            if (nextStep(found, { finalizer: attributesFinalizer, isUsed: () => false })) queue.add(nameOf(found));
          };
          const left = (object: Seen<PersistentVolume | PersistentVolumeClaim>) => {
            for (const name of attributesClassesOf(object)) queue.add(name);
          };
          const changes = { updated: (_: unknown, old: Parameters<typeof left>[0]) => left(old), deleted: left };
          return [watch(classes, { added: mark, updated: mark }), ...users.map((each) => watch(each, changes))];
        },
        async reconcile(name) {
          const found = classes.get(name);
          const isUsed = () => users.some((each) => each.by(attributesIndex, name).length > 0);
          const step = found && nextStep(found, { finalizer: attributesFinalizer, isUsed });
          if (!step || step === "keep") return;
          await unlessGone(
            client
              .resource("storage.k8s.io/v1/volumeattributesclasses")
              .update(changed<VolumeAttributesClass>(found, { finalizer: attributesFinalizer, step })),
          );
        },
      },
    ];
  },
});

function changed<T extends PersistentVolume | PersistentVolumeClaim | VolumeAttributesClass>(
  object: Seen<T>,
  { finalizer, step }: { finalizer: string; step: "add" | "remove" },
): T {
  const copy = draft<T>(object);
  const others = (copy.metadata.finalizers ?? []).filter((each) => each !== finalizer);
  copy.metadata.finalizers = step === "add" ? [...others, finalizer] : others;
  return copy;
}
