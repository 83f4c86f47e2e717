/**
 * Binds claims to volumes and sees to volumes whose claim has gone. Where upstream looks at everything every 15 s, the events that can
 * change an outcome mark what waits for them: a volume that becomes free, a class, a pod that uses a claim.
 */
import { rm } from "node:fs/promises";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "#api";
import { type EventRecorder, keyOf, type WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import { draft, isDeleting, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { OwnWrites } from "../lib/own-writes.ts";
import { isPodFinished } from "../lib/pods.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  bindCompleted,
  binderFinalizer,
  type Claim,
  claimKeyOf,
  classOf,
  hasAnnotation,
  type Volume,
} from "../lib/volumes.ts";
import { claimIndex, claimsOf } from "../volume-protection/reconcile.ts";
import {
  defaultClassOf,
  deleterOf,
  failed,
  isReleased,
  type Plan,
  syncClaim,
  syncVolume,
  unbind,
} from "./reconcile.ts";
import { recycledBy, recyclerName, recyclerNamespace, recyclerPod } from "./recycler.ts";

const reservedIndex = "reserved-for";
const freeIndex = "free-of-class";
const unboundIndex = "unbound-of-class";
const volumeNameIndex = "volume-name";

/** Until emptying a volume is tried again: upstream's resync. */
const recycleRetryMs = 15_000;

export const persistentVolumeBinder: Controller = defineController({
  name: "persistentvolume-binder-controller",
  account: "persistent-volume-binder",
  component: "persistentvolume-controller",
  create({ client, informers, events }) {
    const claims = informers.of("v1/persistentvolumeclaims");
    const volumes = informers.of("v1/persistentvolumes");
    const classes = informers.of("storage.k8s.io/v1/storageclasses");
    const pods = informers.of("v1/pods");
    volumes.addIndex(reservedIndex, (volume) => [claimKeyOf(volume) ?? ""]);
    volumes.addIndex(freeIndex, (volume) => (volume.spec?.claimRef ? [] : [classOf(volume)]));
    claims.addIndex(unboundIndex, (claim) => (hasAnnotation(claim, bindCompleted) ? [] : [classOf(claim)]));
    claims.addIndex(volumeNameIndex, ({ spec }) => (spec?.volumeName ? [spec.volumeName] : []));
    pods.addIndex(claimIndex, claimsOf);

    const ownClaims = new OwnWrites(claims);
    const ownVolumes = new OwnWrites(volumes);
    const volumeClient = client.resource("v1/persistentvolumes");
    const claimClient = (claim: Claim) => client.resource("v1/persistentvolumeclaims", namespaceOf(claim));

    async function carryOut(
      plan: Plan,
      { claim, volume }: { claim?: Claim | undefined; volume?: Volume | undefined },
    ): Promise<Volume | undefined> {
      let current = volume;
      if (plan.volume) current = ownVolumes.note(await volumeClient.update(plan.volume));
      if (plan.volumeStatus && current) {
        const status = { ...current.status, message: undefined, ...plan.volumeStatus };
        current = ownVolumes.note(await volumeClient.updateStatus(draft<PersistentVolume>({ ...current, status })));
      }
      let asked = claim;
      if (plan.claim) asked = ownClaims.note(await claimClient(plan.claim).update(plan.claim));
      if (plan.claimStatus && asked) {
        const changed = draft<PersistentVolumeClaim>({ ...asked, status: plan.claimStatus });
        ownClaims.note(await claimClient(asked).updateStatus(changed));
      }
      record(events, plan);
      if (plan.error !== undefined) throw new Error(plan.error);
      return current;
    }

    /** The claim that a volume is for, if it is still that one. Whether data is deleted hangs on it: the server is asked. */
    async function claimOf(volume: Volume): Promise<Claim | undefined> {
      const { uid, namespace = "", name = "" } = volume.spec?.claimRef ?? {};
      if (!uid) return undefined;
      let claim = ownClaims.get(`${namespace}/${name}`);
      const wasLeft = volume.status?.phase === "Released" || volume.status?.phase === "Failed";
      if (claim ? claim.metadata.uid !== uid : !wasLeft)
        claim = await unlessGone(client.resource("v1/persistentvolumeclaims", namespace).get(name));
      return claim?.metadata.uid === uid ? claim : undefined;
    }

    /** As the server shows it; undefined when nothing is to be reclaimed any more. */
    async function toReclaim(volume: Volume): Promise<Volume | undefined> {
      const fresh = await unlessGone(volumeClient.get(nameOf(volume)));
      return fresh && isReleased(fresh, claims.get(claimKeyOf(fresh) ?? "")) ? fresh : undefined;
    }

    const fail = (volume: Volume, reason: string, message: string) =>
      carryOut(failed(volume, reason, message), { volume });

    async function remove(volume: Volume): Promise<void> {
      const deleter = deleterOf(volume);
      if (deleter === "external") return;
      if (typeof deleter === "object") return void (await fail(volume, "VolumeFailedDelete", deleter.problem));
      const fresh = await toReclaim(volume);
      if (!fresh) return;
      try {
        await deleteHostPath(fresh);
      } catch (error) {
        await fail(fresh, "VolumeFailedDelete", (error as Error).message); // thrown here and by fs
        throw error;
      }
      if (fresh.metadata.finalizers?.includes(binderFinalizer)) {
        const changed = draft<PersistentVolume>(fresh);
        changed.metadata.finalizers = changed.metadata.finalizers?.filter((each) => each !== binderFinalizer);
        await unlessGone(volumeClient.update(changed));
      }
      await unlessGone(volumeClient.delete(nameOf(fresh)));
    }

    async function recycle(volume: Volume, queue: WorkQueue): Promise<void> {
      const fresh = await toReclaim(volume);
      if (!fresh) return;
      const claimKey = claimKeyOf(fresh) ?? "";
      const users = pods.by(claimIndex, claimKey).filter((pod) => !isPodFinished(pod));
      if (users.length > 0 && !claims.get(claimKey)) {
        const message = `Volume is used by pods: ${users.map(keyOf).sort().join(",")}`;
        return events.event(fresh, { type: "Normal", reason: "VolumeFailedRecycle", message });
      }
      const wanted = recyclerPod(fresh);
      if (!wanted) return void (await fail(fresh, "VolumeFailedRecycle", "No recycler plugin found for the volume!"));
      const recyclers = client.resource("v1/pods", recyclerNamespace);
      const pod = pods.get(`${recyclerNamespace}/${recyclerName(nameOf(fresh))}`);
      const giveUp = async (why: string) => {
        await fail(fresh, "VolumeFailedRecycle", `Recycle failed: ${why}`);
        queue.addAfter(nameOf(fresh), recycleRetryMs);
      };
      if (!pod)
        return void (await recyclers.create(wanted).catch((error: Error) => {
          // Its event is still to come.
          if (isStatusError(error, "AlreadyExists")) throw error;
          return giveUp(`unexpected error creating recycler pod:  ${error.message}`);
        }));
      if (isDeleting(pod) || !isPodFinished(pod)) return;
      await unlessGone(recyclers.delete(nameOf(pod), { preconditions: { uid: uidOf(pod) } }));
      if (pod.status?.phase === "Succeeded") {
        events.event(fresh, { type: "Normal", reason: "VolumeRecycled", message: "Volume recycled" });
        const changed = draft<PersistentVolume>(fresh);
        unbind(changed);
        await carryOut({ volume: changed, volumeStatus: { phase: "Available" }, events: [] }, { volume: fresh });
        return;
      }
      const why = pod.status?.message || "pod failed, pod.Status.Message unknown";
      await giveUp(`failed to recycle volume: ${why}`);
    }

    let claimQueue: WorkQueue | undefined;

    return [
      {
        workers: 1,
        reads: [volumes, classes, pods],
        watches(queue) {
          claimQueue = queue;
          const mark = (claim: Claim) => queue.add(keyOf(claim));
          const markAll = (some: readonly Claim[]) => some.forEach(mark);
          const isUnbound = (key: string) => {
            const claim = claims.get(key);
            return claim !== undefined && !hasAnnotation(claim, bindCompleted);
          };
          const markClaims = (pod: Seen<Pod>) => {
            for (const key of claimsOf(pod)) if (isUnbound(key)) queue.add(key);
          };
          const markUsers = (volume: Volume) => {
            const key = claimKeyOf(volume);
            if (key !== undefined) queue.add(key);
            markAll(claims.by(volumeNameIndex, nameOf(volume)));
            if (!volume.spec?.claimRef && volume.status?.phase === "Available")
              markAll(claims.by(unboundIndex, classOf(volume)));
          };
          return [
            watch(claims, { added: mark, updated: mark }),
            onEvery(volumes, markUsers),
            onEvery(classes, (each) => {
              markAll(claims.by(unboundIndex, nameOf(each)));
              // It may be the default now.
              markAll(claims.by(unboundIndex, ""));
            }),
            watch(pods, { added: markClaims }),
          ];
        },
        async reconcile(key) {
          const claim = ownClaims.get(key);
          if (!claim) return;
          const plan = syncClaim(claim, {
            volume: (name) => ownVolumes.get(name),
            candidates: (of) =>
              [...volumes.by(freeIndex, classOf(of)), ...volumes.by(reservedIndex, keyOf(of))].map(
                (volume) => ownVolumes.get(nameOf(volume)) ?? volume,
              ),
            storageClass: (name) => classes.get(name),
            defaultClass: () => defaultClassOf(classes.list()),
            waitingPods: (of) =>
              pods
                .by(claimIndex, keyOf(of))
                .filter((pod) => !isPodFinished(pod) && !pod.spec?.nodeName)
                .map(nameOf),
          });
          const volumeName = plan.volume?.metadata.name ?? plan.claim?.spec?.volumeName ?? claim.spec?.volumeName;
          await carryOut(plan, { claim, volume: ownVolumes.get(volumeName ?? "") });
        },
      },
      {
        workers: 1,
        reads: [claims, pods],
        watches(queue) {
          const mark = (volume: Volume) => queue.add(nameOf(volume));
          const markOf = (claim: Claim) => {
            if (claim.spec?.volumeName) queue.add(claim.spec.volumeName);
            for (const volume of volumes.by(reservedIndex, keyOf(claim))) mark(volume);
          };
          const markRecycled = (pod: Seen<Pod>) => {
            const name = recycledBy(pod);
            if (name !== undefined) queue.add(name);
          };
          /** What was used is free to be emptied. */
          const markUsed = (pod: Seen<Pod>) => {
            markRecycled(pod);
            for (const key of claimsOf(pod))
              for (const volume of volumes.by(reservedIndex, key))
                if (volume.spec?.persistentVolumeReclaimPolicy === "Recycle") mark(volume);
          };
          return [
            watch(volumes, { added: mark, updated: mark }),
            watch(claims, { updated: markOf, deleted: markOf }),
            watch(pods, { updated: (pod) => (isPodFinished(pod) ? markUsed(pod) : undefined), deleted: markUsed }),
          ];
        },
        async reconcile(name, queue) {
          const volume = ownVolumes.get(name);
          if (!volume) return;
          const claim = await claimOf(volume);
          const plan = syncVolume(volume, claim);
          if (plan.marksClaim && claim) claimQueue?.add(keyOf(claim));
          const current = (await carryOut(plan, { claim, volume })) ?? volume;
          if (plan.reclaim === "Delete") await remove(current);
          if (plan.reclaim === "Recycle") await recycle(current, queue);
        },
      },
    ];
  },
});

function record(recorder: EventRecorder, { events }: Pick<Plan, "events">): void {
  for (const { about, ...event } of events) recorder.event(about, event);
}

/** On this machine, which only a cluster of one machine can mean; and only below /tmp, as upstream. */
async function deleteHostPath({ spec }: Volume): Promise<void> {
  if (!spec?.hostPath) throw new Error("spec.PersistentVolumeSource.HostPath is nil");
  const { path } = spec.hostPath;
  if (!/^\/tmp\/.+/.test(path) || path.split("/").includes(".."))
    throw new Error(`host_path deleter only supports /tmp/.+ but received provided ${path}`);
  await rm(path, { recursive: true, force: true });
}
