/** Makes, removes and enlarges images of Ceph for claims; see reconcile.ts. Costs nothing until a claim or a volume names them. */
import { cephKeyOf, imageArguments, ProgramError, rbd, rbdInfo, rbdWatchers } from "#base";
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import { keyOf } from "#client";
import { compareQuantities, isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { draft, isDeleting, nameOf, namespaceOf, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import {
  binderFinalizer,
  capacityOf,
  type Claim,
  classOf,
  claimKeyOf,
  preResizeCapacity,
  requestOf,
  selectedNode,
  type Volume,
} from "../lib/volumes.ts";
import { failed, isReleased, rbdPlugin } from "../persistent-volume-binder/reconcile.ts";
import {
  adminAccess,
  type ClassSettings,
  claimProblem,
  classSettings,
  imageOf,
  isLeft,
  isWanted,
  mebibytesOf,
  provisionerOf,
  resizeConditions,
  resizing,
  volumeFor,
  volumeNameOf,
} from "./reconcile.ts";

/** Of upstream's operations. */
const retryMs = [500, 122_000] as const;
/** Of a large image, all of whose parts go one by one. */
const removeMsMax = 30 * 60_000;
const resizerAnnotation = "volume.kubernetes.io/storage-resizer";

const exists = 17;
const missing = 2;

export const rbdProvisioner: Controller = defineController({
  name: "rbd-provisioner",
  component: "persistentvolume-controller",
  account: "rbd-provisioner",
  create({ client, informers, events, clock, log }) {
    const claims = informers.of("v1/persistentvolumeclaims");
    const volumes = informers.of("v1/persistentvolumes");
    const classes = informers.of("storage.k8s.io/v1/storageclasses");
    const volumeClient = client.resource("v1/persistentvolumes");
    const claimClient = (claim: Claim) => client.resource("v1/persistentvolumeclaims", namespaceOf(claim));

    async function adminKey({ namespace, name }: ClassSettings["adminSecret"]): Promise<string | undefined> {
      try {
        const { type, data } = await client.resource("v1/secrets", namespace).get(name);
        if (type !== rbdPlugin) throw new Error(`cannot get secret of type ${rbdPlugin}`);
        const key = cephKeyOf(data);
        if (key === undefined) throw new Error("empty secret map");
        return key;
      } catch (error) {
        const which = `[${JSON.stringify(namespace)}/${JSON.stringify(name)}]`;
        throw new Error(`failed to get admin secret from ${which}: ${(error as Error).message}`); // ours and the API's
      }
    }

    /** Of a volume that is there: as who its class makes them. */
    async function accessTo(volume: Volume) {
      const { monitors = [], pool = "rbd", image = "" } = volume.spec?.rbd ?? {};
      const className = classOf(volume);
      if (!className) throw new Error("volume has no storage class");
      const storageClass = classes.get(className);
      if (!storageClass) throw new Error(`storageclass.storage.k8s.io ${JSON.stringify(className)} not found`);
      const settings = classSettings(storageClass.parameters);
      const key = await adminKey(settings.adminSecret);
      const of = { pool, image };
      return { image: of, access: adminAccess({ ...settings, monitors }, { key, image: of }) };
    }

    async function makeImage(claim: Claim, settings: ClassSettings): Promise<void> {
      const image = imageOf(claim, settings);
      const access = adminAccess(settings, { key: await adminKey(settings.adminSecret), image });
      const { imageFormat, imageFeatures } = settings;
      const features = imageFormat === "2" ? [`--image-feature=${imageFeatures.join(",")}`] : [];
      const size = `--size=${mebibytesOf(requestOf(claim))}`;
      const args = ["create", ...imageArguments(image), size, `--image-format=${imageFormat}`, ...features];
      await rbd(access, args).catch((error) => {
        if (!(error instanceof ProgramError)) throw error;
        // By us, before we could write it down: nobody else knows the name.
        if (error.exitCode === exists) return;
        throw new Error(`failed to create rbd image: ${error.status}, command output: ${error.output}`);
      });
    }

    async function removeImage(volume: Volume): Promise<void> {
      const { access, image } = await accessTo(volume).catch((error: Error) => {
        throw new Error(`failed to create deleter for volume ${JSON.stringify(nameOf(volume))}: ${error.message}`);
      });
      const isGone = (error: unknown) =>
        error instanceof ProgramError && error.exitCode === missing && error.output.includes("error opening image");
      try {
        const watchers = await rbdWatchers(access, image);
        if (watchers.length > 0)
          throw new Error(
            `rbd image ${image.pool}/${image.image} is still being used, rbd output: ${watchers.map((each) => `watcher=${each}`).join(" ")}`,
          );
        await rbd(access, ["rm", "--no-progress", ...imageArguments(image)], { msMax: removeMsMax });
      } catch (error) {
        if (isGone(error)) return;
        if (error instanceof ProgramError) throw new Error(`error ${error.status}, rbd output: ${error.output}`);
        throw error;
      }
    }

    /** Answers the size that it has then. */
    async function enlarge(volume: Volume, size: string): Promise<string> {
      const { access, image } = await accessTo(volume);
      const wanted = mebibytesOf(size);
      const { bytes } = await rbdInfo(access, image).catch((error: ProgramError) => {
        throw new Error(`rbd info failed, error: ${error.status}`);
      });
      if (bytes < wanted * 2 ** 20)
        await rbd(access, ["resize", "--no-progress", ...imageArguments(image), `--size=${wanted}`]);
      return `${wanted}Mi`;
    }

    return [
      {
        retryMs,
        reads: [classes, volumes],
        watches(queue) {
          const mark = (claim: Claim) => {
            if (provisionerOf(claim) === rbdPlugin && !claim.spec?.volumeName) queue.add(keyOf(claim));
          };
          return [watch(claims, { added: mark, updated: mark })];
        },
        async reconcile(key) {
          const claim = claims.get(key);
          const storageClass = claim && classes.get(classOf(claim));
          if (!claim || !storageClass || !isWanted(claim, storageClass) || volumes.get(volumeNameOf(claim))) return;
          const say = (type: "Normal" | "Warning", reason: string, message: string) =>
            events.event(claim, { type, reason, message });
          let volume: PersistentVolume;
          try {
            const problem = claimProblem(claim);
            if (problem) throw new Error(problem);
            const settings = classSettings(storageClass.parameters);
            await makeImage(claim, settings);
            volume = volumeFor(claim, storageClass, settings);
          } catch (error) {
            const why = (error as Error).message; // thrown above
            const message = `Failed to provision volume with StorageClass ${JSON.stringify(nameOf(storageClass))}: ${why}`;
            say("Warning", "ProvisioningFailed", message);
            if (claim.metadata.annotations?.[selectedNode] !== undefined) {
              // The scheduler looks for another node.
              const changed = draft<PersistentVolumeClaim>(claim);
              delete changed.metadata.annotations?.[selectedNode];
              await unlessGone(claimClient(claim).update(changed));
            }
            throw error;
          }
          await volumeClient.create(volume).catch((error) => {
            if (!isStatusError(error, "AlreadyExists")) throw error;
          });
          say(
            "Normal",
            "ProvisioningSucceeded",
            `Successfully provisioned volume ${volume.metadata.name} using ${rbdPlugin}`,
          );
        },
      },
      {
        retryMs,
        reads: [claims, classes],
        watches(queue) {
          const mark = (volume: Volume) => {
            if (isLeft(volume)) queue.add(nameOf(volume));
          };
          return [watch(volumes, { added: mark, updated: mark })];
        },
        async reconcile(name) {
          const seen = volumes.get(name);
          if (!seen || !isLeft(seen)) return;
          const volume = await unlessGone(volumeClient.get(name));
          if (!volume || !isLeft(volume) || !isReleased(volume, claims.get(claimKeyOf(volume) ?? ""))) return;
          try {
            await removeImage(volume);
          } catch (error) {
            const { volumeStatus, events: said } = failed(volume, "VolumeFailedDelete", (error as Error).message); // thrown above
            if (volumeStatus)
              await unlessGone(volumeClient.updateStatus({ ...draft<PersistentVolume>(volume), status: volumeStatus }));
            for (const { about, ...event } of said) events.event(about, event);
            throw error;
          }
          if (!isDeleting(volume))
            await unlessGone(volumeClient.delete(name, { preconditions: { uid: uidOf(volume) } }));
          // Only then: the binder protects every volume of ours that isn't going.
          const going = await unlessGone(volumeClient.get(name));
          if (going?.metadata.uid !== uidOf(volume)) return;
          const changed = draft<PersistentVolume>(going);
          changed.metadata.finalizers = changed.metadata.finalizers?.filter((each) => each !== binderFinalizer);
          await unlessGone(volumeClient.update(changed));
        },
      },
      {
        retryMs,
        reads: [volumes, classes],
        watches(queue) {
          const mark = (claim: Claim) => {
            const isOfOurs = claim.metadata.annotations?.[resizerAnnotation] === rbdPlugin;
            const wantsMore = compareQuantities(requestOf(claim), claim.status?.capacity?.storage ?? "0") > 0;
            if (claim.status?.phase === "Bound" && (isOfOurs || wantsMore)) queue.add(keyOf(claim));
          };
          return [watch(claims, { added: mark, updated: mark })];
        },
        async reconcile(key) {
          const claim = claims.get(key);
          const volume = volumes.get(claim?.spec?.volumeName ?? "");
          if (!claim || !volume?.spec?.rbd || volume.spec.claimRef?.uid !== uidOf(claim)) return;
          const request = requestOf(claim);
          const had = claim.status?.capacity?.storage ?? "0";
          if (compareQuantities(request, had) <= 0) {
            if (volume.metadata.annotations?.[preResizeCapacity] === undefined) return;
            const annotations = { [preResizeCapacity]: null };
            return void (await unlessGone(
              volumeClient.patch(nameOf(volume), { metadata: { annotations } }, { type: "merge" }),
            ));
          }
          const patch = (current: Claim, { annotations, ...status }: Record<string, unknown>) =>
            claimClient(claim).patch(
              nameOf(claim),
              {
                metadata: {
                  resourceVersion: current.metadata.resourceVersion,
                  ...(annotations ? { annotations } : {}),
                },
                status,
              },
              { type: "merge", subresource: "status" },
            );
          let current: Claim = claim;
          let size = request;
          if (compareQuantities(capacityOf(volume), request) < 0) {
            current = await patch(current, {
              conditions: resizing(current, "Resizing", clock.now()),
              annotations: { [resizerAnnotation]: rbdPlugin },
            });
            try {
              size = await enlarge(volume, request);
              const isFiles = volume.spec.volumeMode !== "Block";
              const annotations = isFiles ? { annotations: { [preResizeCapacity]: had } } : {};
              await volumeClient.patch(
                nameOf(volume),
                { metadata: annotations, spec: { capacity: { storage: size } } },
                { type: "merge" },
              );
            } catch (error) {
              const why = error instanceof ProgramError ? error.status : (error as Error).message; // thrown above
              const message = `error expanding volume ${JSON.stringify(keyOf(claim))} of plugin ${JSON.stringify(rbdPlugin)}: ${why}`;
              events.event(claim, { type: "Warning", reason: "VolumeResizeFailed", message });
              throw error;
            }
          }
          if (volume.spec.volumeMode === "Block") {
            const conditions = (current.status?.conditions ?? []).filter(({ type }) => !resizeConditions.has(type));
            await patch(current, { capacity: { storage: size }, conditions });
            const message = `ExpandVolume succeeded for volume ${keyOf(claim)}`;
            return events.event(claim, { type: "Normal", reason: "VolumeResizeSuccessful", message });
          }
          if (current.status?.conditions?.some(({ type }) => type === "FileSystemResizePending")) return;
          await patch(current, {
            conditions: resizing(current, "FileSystemResizePending", clock.now()),
            allocatedResources: { storage: request },
            allocatedResourceStatuses: { storage: "NodeResizePending" },
          });
          log.debug("a claim's image is larger; its file system grows on the node", { claim: key });
        },
      },
    ];
  },
});
