/**
 * Volumes of CSI drivers on a node: which pod uses which, and in what order they are attached, staged, published and given back. What a
 * volume needs to be taken down is on disk, in upstream's files; who uses it is read from there when the node starts. Upstream's
 * reconciler compares two worlds ten times a second; here a pod's worker asks, and drivers and the node's status wake those that wait.
 */
import { join } from "node:path";
import type { Node, NodeStatus } from "#api";
import { backoffMs } from "#base";
import type { DeepReadonly } from "#machinery";
import type { PluginHandler } from "../../plugins/registry.ts";
import { same } from "../../pods/status-patch.ts";
import { mappedDevices } from "../block/map-device.ts";
import { setGroup } from "../ownership.ts";
import { MountError, type PluginVolume, type VolumeHost, type VolumePlugin, type VolumeStats } from "../plugin.ts";
import { deviceMap, publishDevice, stageDevice, unpublishDevice, unstageDevice } from "./block.ts";
import { CsiDrivers } from "./drivers.ts";
import { expandOnNode } from "./expand.ts";
import type { NodeInfo } from "./node-info.ts";
import { csiPaths, removeMountPoint, uniqueName } from "./paths.ts";
import { publish, stage, unpublish, unstage } from "./publish.ts";
import {
  type Attachment,
  type CsiTools,
  type CsiVolume,
  createSecretReader,
  csiVolume,
  type DriverKind,
  said,
} from "./tools.ts";
import { readStats } from "./stats.ts";
import { publishedFolders, readUses, type Use, useOf } from "./uses.ts";

export interface CsiPlugin extends VolumePlugin {
  readonly registration: PluginHandler;
  stats(podUid: string, volume: string): Promise<VolumeStats | undefined>;
  volumesInUse(status: DeepReadonly<NodeStatus>): readonly string[];
}

interface Published {
  readonly volume: CsiVolume;
  readonly result: PluginVolume;
}

/** After this long without its attachment it is asked whether there is room for it at all. */
const attachLateMs = 123_000;
/** gRPC's code. */
const resourceExhausted = 8;
/** Of what a driver doesn't take back; upstream's for volumes. */
const releaseRetry = { initialMs: 500, maxMs: 122_000 };

export async function createCsiPlugin(host: VolumeHost, info: NodeInfo): Promise<CsiPlugin> {
  const { client, clock, log, layout, nodeName, signal } = host;
  /** Pods that wait for attachments, since when. */
  const waiting = new Map<string, number>();
  const paths = csiPaths(host.folder);
  const uses = await readUses(paths, layout);
  // Whether a driver attaches may be said later than its first pod comes.
  const drivers = new CsiDrivers(host, info, () => {
    host.onChange(waiting.keys());
    if (uses.size > 0) host.statusChanged();
  });
  const tools: CsiTools = { host, drivers, paths, secret: createSecretReader(client) };
  const memory = { failed: new Set<string>(), inUse: new Set<string>() };
  /** By pod and volume: what needn't be done again. */
  const published = new Map<string, Published>();
  /** Of volumes that nobody uses and that aren't given back yet. */
  const releases = new Map<string, { failures: number; cancel: () => void }>();
  const keyOf = ({ podUid, name }: { podUid: string; name: string }) => `${podUid}/${name}`;

  /** One thing at a time for a volume. */
  const turns = new Map<string, Promise<unknown>>();
  function inTurn<T>(unique: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(unique) ?? Promise.resolve()).then(work, work);
    turns.set(unique, turn);
    const done = () => {
      if (turns.get(unique) === turn) turns.delete(unique);
    };
    turn.then(done, done);
    return turn;
  }

  for (const [unique, { pods }] of uses) if (pods.size === 0) release(unique);

  const follow = host.nodes.addHandler({
    updated({ status }: DeepReadonly<Node>, old: DeepReadonly<Node>) {
      if (waiting.size === 0) return;
      const { volumesAttached, volumesInUse } = status ?? {};
      if (same(volumesAttached, old.status?.volumesAttached) && same(volumesInUse, old.status?.volumesInUse)) return;
      host.onChange(waiting.keys());
    },
  });
  const listed = (status: DeepReadonly<NodeStatus> | undefined, unique: string): boolean =>
    status?.volumesAttached?.some(({ name }) => name === unique) || status?.volumesInUse?.includes(unique) || false;

  /** The VolumeAttachment, once the node's status has the volume; undefined: the driver needs none. */
  async function attached(volume: CsiVolume, used: Use): Promise<Attachment> {
    const { unique, podUid, handle, attachmentId, request } = volume;
    const kind = await drivers.kind(volume.driver);
    if (kind?.attachRequired === false) return undefined;
    if (!used.isAttached) {
      used.isAttached = true;
      host.statusChanged();
    }
    const since = waiting.get(podUid) ?? clock.now();
    waiting.set(podUid, since);
    const { volumesInUse, volumesAttached } = host.nodes.get(nodeName)?.status ?? {};
    if (!volumesInUse?.includes(unique))
      throw new MountError("Volume has not been added to the list of VolumesInUse in the node's volume status", {
        isSilent: true,
      });
    if (!volumesAttached?.some(({ name }) => name === unique) && clock.now() - since > attachLateMs)
      await rejectIfFull(volume, kind);
    if (!volumesAttached?.some(({ name }) => name === unique))
      throw new MountError("Volume not attached according to node status", { isSilent: true });
    waiting.delete(podUid);
    const isBlock = request.mode === "Block";
    const as = {
      operation: `${isBlock ? "MapVolume" : "MountVolume"}.WaitForAttach failed`,
      reason: isBlock ? ("FailedMapVolume" as const) : ("FailedMount" as const),
    };
    const attachment = await client
      .resource("storage.k8s.io/v1/volumeattachments")
      .get(attachmentId)
      .catch((error: Error) => {
        const what = `volume ${handle} has GET error for volume attachment ${attachmentId}: ${error.message}`;
        throw new MountError(what, as);
      });
    if (attachment.metadata.deletionTimestamp) throw new MountError("volume attachment is being deleted", as);
    if (attachment.status?.attached) return attachment;
    const why = attachment.status?.attachError?.message;
    throw new MountError(why ?? `volume ${handle} is not attached for volume attachment ${attachmentId}`, as);
  }

  /** A driver that tells its limit anew may have no room here, whatever the scheduler knew. */
  async function rejectIfFull({ driver, attachmentId, podUid, request }: CsiVolume, kind: DriverKind): Promise<void> {
    if (!kind?.nodeAllocatableUpdatePeriodSeconds) return;
    const attachment = await client.resource("storage.k8s.io/v1/volumeattachments").get(attachmentId);
    if (attachment.status?.attachError?.errorCode !== resourceExhausted) return;
    await drivers
      .refresh(driver)
      .catch((error: unknown) => log.warn("a CSI driver's limit is not known", { driver, error }));
    const names = `unmounted volumes=[${request.volume.name}], unattached volumes=[${request.volume.name}], failed to process volumes=[]`;
    const why = `Node has reached its volume attachment limit, rejecting pod. ${names}: context deadline exceeded`;
    host.reject(podUid, "VolumeAttachmentLimitExceeded", why);
  }

  async function setUpPersistent(volume: CsiVolume): Promise<PluginVolume> {
    const { request, podUid, unique, driver, handle, name } = volume;
    const { mode, persistent } = request;
    const isBlock = mode === "Block";
    const used = useOf(uses, { driverName: driver, volumeHandle: handle }, { name, mode });
    const mayBeElsewhere = [...used.pods].some(([uid, isPublished]) => isPublished && uid !== podUid);
    if (!used.pods.has(podUid)) used.pods.set(podUid, false);
    forgetRelease(unique);
    if (mayBeElsewhere && same(persistent?.spec?.accessModes, ["ReadWriteOncePod"]))
      throw new MountError("volume uses the ReadWriteOncePod access mode and is already in use by another pod", {
        ...(isBlock ? { operation: "MapVolume.SetUpDevice failed", reason: "FailedMapVolume" } : {}),
      });
    const attachment = await attached(volume, used);
    if (!used.isStaged) await (isBlock ? stageDevice : stage)(tools, volume, attachment);
    used.isStaged = true;
    // From here on it may be there, whatever is answered.
    used.pods.set(podUid, true);
    const kind = await drivers.kind(driver);
    const result = await (isBlock ? publishDevice : publish)(tools, volume, { kind, attachment, again: false });
    if (!persistent) return result;
    const path = isBlock ? join(paths.device(name).publish, podUid) : result.path;
    const operation = isBlock
      ? "MapVolume.MarkVolumeAsMounted failed while expanding volume"
      : "MountVolume.Setup failed while expanding volume";
    const reason = isBlock ? "FailedMapVolume" : "FailedMount";
    memory.inUse.delete(unique);
    used.size = await expand(volume, path, undefined).catch((error: Error) => {
      throw new MountError(error.message, { operation, reason });
    });
    return result;
  }

  function expand(volume: CsiVolume, path: string, oldSize: string | undefined): Promise<string | undefined> {
    const { persistent, pod, mode, readOnly } = volume.request;
    if (!persistent) return Promise.resolve(undefined);
    const stagingPath =
      mode === "Block" ? paths.device(volume.name).staging : paths.globalMount(volume.driver, volume.handle);
    const expansion = { pod, persistent, mode, readOnly, path, stagingPath, oldSize };
    return expandOnNode({ ...tools, memory }, volume.unique, expansion);
  }

  /** Nobody uses it: given back, also when that has to be tried again. */
  function release(unique: string): void {
    const state = releases.get(unique) ?? { failures: 0, cancel: () => undefined };
    releases.set(unique, state);
    state.cancel();
    const work = async () => {
      const used = uses.get(unique);
      if (!used || used.pods.size > 0 || releases.get(unique) !== state) return;
      try {
        await (used.mode === "Block" ? unstageDevice(tools, used.data, used.name) : unstage(tools, used.data));
        forgetRelease(unique);
        uses.delete(unique);
        memory.failed.delete(unique);
        host.statusChanged();
      } catch (error) {
        used.isStaged = false;
        if (signal.aborted) return;
        log.warn("a volume could not be unmounted from the node", { volume: unique, error });
        state.cancel = clock.after(backoffMs(++state.failures, releaseRetry), () => release(unique));
      }
    };
    void inTurn(unique, work);
  }
  function forgetRelease(unique: string): void {
    releases.get(unique)?.cancel();
    releases.delete(unique);
  }

  /** Pods that share it may go on; the last one gives it back. */
  function leave(unique: string, uid: string): void {
    const used = uses.get(unique);
    if (used?.pods.delete(uid) && used.pods.size === 0) release(unique);
  }

  // What no event tells: claims that grew, and drivers that want to publish again from time to time.
  let cancelLook = (): void => undefined;
  let isLooking = false;
  function lookLater(): void {
    if (isLooking || published.size === 0 || signal.aborted) return;
    isLooking = true;
    cancelLook = clock.after(host.syncMs, () => {
      void Promise.all([...published.values()].map(look)).finally(() => {
        isLooking = false;
        lookLater();
      });
    });
  }
  async function look({ volume, result }: Published): Promise<void> {
    const { request, unique } = volume;
    const tell = (reason: string, what: string) => (error: Error) => {
      if (!signal.aborted)
        host.event(
          request.pod,
          "Warning",
          reason,
          `${what} for volume ${JSON.stringify(volume.name)} : ${error.message}`,
        );
    };
    await inTurn(unique, async () => {
      if (!published.has(keyOf(volume))) return;
      const kind = await drivers.kind(volume.driver);
      if (kind?.requiresRepublish && request.mode === "Filesystem")
        await publishAgain(volume).catch(tell("FailedMount", "MountVolume.SetUp failed"));
      const used = uses.get(unique);
      if (volume.isEphemeral || request.readOnly || !used || memory.inUse.has(unique)) return;
      const persistent = await client.resource("v1/persistentvolumes").get(volume.name);
      const grown = { ...volume, request: { ...request, persistent } };
      const path = result.isBlock ? join(paths.device(volume.name).publish, volume.podUid) : result.path;
      const failed = "NodeExpandVolume.NodeExpandVolume failed";
      used.size = (await expand(grown, path, used.size).catch(tell("VolumeResizeFailed", failed))) ?? used.size;
    }).catch((error: unknown) => log.debug("a volume could not be looked at", { volume: unique, error }));
  }
  async function publishAgain(volume: CsiVolume): Promise<void> {
    const { request, attachmentId, isEphemeral } = volume;
    const kind = await drivers.kind(volume.driver);
    const isFree = isEphemeral || kind?.attachRequired === false;
    const attachment = isFree
      ? undefined
      : await client.resource("storage.k8s.io/v1/volumeattachments").get(attachmentId);
    const { path, ownsFiles } = await publish(tools, volume, { kind, attachment, again: true });
    const { fsGroup: gid, pod } = request;
    const onlyIfNeeded = pod.spec?.securityContext?.fsGroupChangePolicy === "OnRootMismatch";
    if (ownsFiles && gid !== undefined) await setGroup(path, { gid, readOnly: false, onlyIfNeeded });
  }

  return {
    registration: {
      validate: (plugin) => drivers.validate(plugin),
      async register(plugin) {
        await drivers.register(plugin);
        for (const unique of [...releases.keys()]) release(unique);
      },
      deregister: (plugin) => drivers.deregister(plugin),
    },

    async setUp(request) {
      const volume = csiVolume(request, nodeName);
      if (!volume.driver) throw new Error(said("volume source not found in volume.Spec"));
      return inTurn(volume.unique, async () => {
        const known = published.get(keyOf(volume));
        if (known) return known.result;
        const { driver, isEphemeral } = volume;
        const result = isEphemeral
          ? await publish(tools, volume, { kind: await drivers.kind(driver), attachment: undefined, again: false })
          : await setUpPersistent(volume);
        published.set(keyOf(volume), { volume, result });
        lookLater();
        return result;
      });
    },

    async tearDown(podUid) {
      waiting.delete(podUid);
      for (const { folder, data } of await publishedFolders(layout, podUid))
        if (!data) await removeMountPoint(join(folder, "mount"));
        else
          await inTurn(uniqueName(data.driverName, data.volumeHandle), async () => {
            await unpublish(tools, data, folder);
            published.delete(`${podUid}/${data.specVolID}`);
          });
      const links = await mappedDevices(deviceMap(tools, "", podUid).podFolder);
      for (const [unique, { data, name, mode, pods }] of uses)
        if (mode === "Block" && (pods.get(podUid) || links.includes(name)))
          await inTurn(unique, async () => {
            await unpublishDevice(tools, data, { name, podUid });
            published.delete(`${podUid}/${name}`);
          });
      for (const unique of [...uses.keys()]) leave(unique, podUid);
    },

    volumesInUse: (status) =>
      [...uses]
        .filter(
          ([unique, { data, isAttached }]) =>
            drivers.attaches(data.driverName) && (isAttached || listed(status, unique)),
        )
        .map(([unique]) => unique)
        .sort(),

    async stats(podUid, volumeName) {
      const found = [...published.values()].find(
        ({ volume }) => volume.podUid === podUid && volume.request.volume.name === volumeName,
      );
      return found && readStats(drivers, found.volume, found.result, paths.device(found.volume.name).map);
    },

    async close() {
      follow();
      cancelLook();
      drivers.close();
      for (const { cancel } of releases.values()) cancel();
      await Promise.allSettled(turns.values());
    },
  };
}
