/** Makes the claims of pods' ephemeral volumes: named after pod and volume, owned by the pod, gone with it. */
import type { PersistentVolumeClaim, Pod } from "#api";
import { keyOf } from "#client";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import {
  controllerReference,
  draft,
  isControlledBy,
  isDeleting,
  nameOf,
  namespaceOf,
  type Seen,
} from "../lib/objects.ts";
import { claimIndex, claimsOf } from "../volume-protection/reconcile.ts";

export const ephemeralVolumeController: Controller = defineController({
  name: "ephemeral-volume-controller",
  component: "ephemeral_volume",
  create({ client, informers, events }) {
    const pods = informers.of("v1/pods");
    const claims = informers.of("v1/persistentvolumeclaims");
    pods.addIndex(claimIndex, claimsOf);
    return [
      {
        watches(queue) {
          const mark = (pod: Seen<Pod>) => {
            if (!isDeleting(pod) && pod.spec?.volumes?.some(({ ephemeral }) => ephemeral)) queue.add(keyOf(pod));
          };
          return [
            watch(pods, { added: mark }),
            watch(claims, { deleted: (claim) => pods.by(claimIndex, keyOf(claim)).forEach(mark) }),
          ];
        },
        async reconcile(key) {
          const pod = pods.get(key);
          if (!pod || isDeleting(pod)) return;
          const namespace = namespaceOf(pod);
          for (const { name, ephemeral } of pod.spec?.volumes ?? []) {
            if (!ephemeral) continue;
            const claimName = `${nameOf(pod)}-${name}`;
            const found = claims.get(`${namespace}/${claimName}`);
            try {
              if (!found) {
                const { metadata, spec } = draft<Partial<PersistentVolumeClaim>>(ephemeral.volumeClaimTemplate ?? {});
                await client.resource("v1/persistentvolumeclaims", namespace).create({
                  apiVersion: "v1",
                  kind: "PersistentVolumeClaim",
                  metadata: {
                    name: claimName,
                    namespace,
                    ...(metadata?.annotations && { annotations: metadata.annotations }),
                    ...(metadata?.labels && { labels: metadata.labels }),
                    ownerReferences: [controllerReference(pod, { apiVersion: "v1", kind: "Pod" })],
                  },
                  spec,
                });
              } else if (!isControlledBy(found, pod))
                throw new Error(`PVC ${namespace}/${claimName} was not created for pod ${key} (pod is not owner)`);
            } catch (error) {
              const why = (error as Error).message; // thrown above and by the client
              const message = `ephemeral volume ${name}: ${found ? why : `create PVC ${claimName}: ${why}`}`;
              events.event(pod, { type: "Warning", reason: "FailedBinding", message });
              throw error;
            }
          }
        },
      },
    ];
  },
});
