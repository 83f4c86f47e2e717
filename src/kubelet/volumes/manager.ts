/**
 * The volumes of the pods on this node: set up before containers start, kept in step with their sources while they run, taken down after.
 * Setting up is idempotent and keeps no state of its own beyond what is on disk, so it works the same after a restart of the node.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, normalize } from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import type { DownwardContext } from "../core/downward.ts";
import { allContainers, type PodView } from "../core/types.ts";
import { writePayload } from "./atomic-writer.ts";
import { ClaimError, claimedVolume, folderOf } from "./claims.ts";
import { setUpEmptyDir } from "./empty-dir.ts";
import { checkHostPath } from "./host-path.ts";
import type { ImageVolumes } from "./image-volumes.ts";
import type { NodeLayout } from "./layout.ts";
import { mountMemory, mountsUnder, unmount } from "./mount-table.ts";
import { configMapData, type ObjectCache, secretData } from "./object-cache.ts";
import { type GroupOptions, setGroup } from "./ownership.ts";
import { type VolumeView, volumePayload } from "./payload.ts";
import { type FindVolumePlugin, MountError, type PluginVolume, type VolumePlugin } from "./plugin.ts";
import type { TokenSource } from "./tokens.ts";

export interface MountedVolume {
  readonly path: string;
  /** Whatever the container asks for. */
  readonly readOnly: boolean;
  /** A link to a device, for `volumeDevices`. */
  readonly isBlock?: boolean | undefined;
  /** Of an event: it is used otherwise than this pod wants. */
  readonly warning?: string | undefined;
}

export interface VolumeFailure {
  readonly volume: string;
  readonly message: string;
  /** It isn't even known what to mount. */
  readonly isUnprocessed?: boolean;
  /** To be told; undefined: it is only waited for, or unprocessed. */
  readonly event?: { readonly reason: string; readonly message: string } | undefined;
}

/** One or more volumes can't be set up (yet). */
export class VolumeError extends Error {
  override name = "VolumeError";
  readonly failures: readonly VolumeFailure[];

  constructor(failures: readonly VolumeFailure[]) {
    super(failures.map(({ volume, message }) => `${volume}: ${message}`).join("; "));
    this.failures = failures;
  }
}

export interface VolumeManager {
  /** By volume name. Rejects with VolumeError. */
  setUp(pod: PodView, context: DownwardContext): Promise<ReadonlyMap<string, MountedVolume>>;
  /** Rewrites what follows other objects; answers when that was possible for all. */
  refresh(pod: PodView, context: DownwardContext): Promise<void>;
  /** Set up for this pod by now. */
  mounted(podUid: string): ReadonlyMap<string, MountedVolume>;
  /** Unmounts and deletes the volumes; what containers wrote elsewhere stays. */
  tearDown(podUid: string): Promise<void>;
  /** Deletes the pod's folder, after its volumes. */
  remove(podUid: string): Promise<void>;
  /** Pods that have a folder here. */
  leftovers(): Promise<string[]>;
  /** Before the first pod: memory for secrets. */
  prepare(): Promise<void>;
  /** After the last pod. */
  close(): Promise<void>;
}

export interface VolumeManagerOptions {
  readonly client: Client;
  readonly layout: NodeLayout;
  /** Holds the volumes that the cluster makes on this node. */
  readonly localFolder: string;
  readonly objects: ObjectCache;
  readonly tokens: TokenSource;
  /** For all pods together, the bound of volumes in memory. */
  readonly memoryBytes: number;
  readonly images: Pick<ImageVolumes, "tearDown" | "close">;
  /** For every source that isn't a folder or files. */
  readonly plugin: FindVolumePlugin;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of a pod: something takes long. */
  event(pod: PodView, event: { type: "Warning"; reason: string; message: string }): void;
}

export function createVolumeManager(options: VolumeManagerOptions): VolumeManager {
  const { layout, objects, tokens, memoryBytes, log } = options;

  async function setUpOne(pod: PodView, volume: VolumeView, context: DownwardContext): Promise<MountedVolume> {
    const at = layout.pod(pod.metadata.uid ?? "");
    const group = pod.spec?.securityContext?.fsGroup;
    // Only before its containers run, not again when the node restarts: they could lead us elsewhere with links, and others may have
    // the volume's group by then.
    const grouped = at.grouped(volume.name);
    const onlyIfNeeded = pod.spec?.securityContext?.fsGroupChangePolicy === "OnRootMismatch";
    if (volume.hostPath) {
      await checkHostPath(volume.hostPath.path, volume.hostPath.type);
      return { path: volume.hostPath.path, readOnly: false };
    }
    if (volume.gitRepo)
      throw new Error(
        "git-repo volume plugin has been disabled; if necessary, it may be re-enabled by enabling the feature-gate `GitRepoVolumeDriver`",
      );
    // Its files come with the container that mounts it, when the image is here.
    if (volume.image) return { path: "", readOnly: true };
    if (volume.emptyDir) {
      const path = at.volume("empty-dir", volume.name);
      const isNew = await setUpEmptyDir(pod, volume.emptyDir, { path, memoryBytes });
      if (group !== undefined && (isNew || !existsSync(grouped))) {
        await setGroup(path, { gid: group, readOnly: false, late: late(pod, path) });
        await mkdir(grouped, { recursive: true });
      }
      return { path, readOnly: false };
    }
    const path = await writeFiles(pod, volume, context);
    if (path) return { path, readOnly: true };
    const { name, ownsFiles, ...mounted } = await setUpSource(pod, volume);
    if (mounted.isBlock) return mounted;
    const isShared = share(mounted.path, pod.metadata.uid ?? "");
    if (group === undefined || !ownsFiles) return mounted;
    // Those who came first keep the group that they set.
    const warning = isShared ? await otherGroup(mounted.path, group, name) : undefined;
    if (!isShared && !mounted.readOnly && !existsSync(grouped))
      await setGroup(mounted.path, {
        gid: group,
        readOnly: false,
        onlyIfNeeded,
        late: late(pod, at.volume("local-volume", name)),
      });
    await mkdir(grouped, { recursive: true });
    return { ...mounted, warning };
  }

  /** Says that giving many files to a group takes its time; `path`: where upstream has the volume. */
  const late = (pod: PodView, path: string): GroupOptions["late"] => ({
    clock: options.clock,
    tell(files) {
      const place = path.slice(Math.max(0, path.indexOf(pod.metadata.uid ?? "")));
      const message =
        files === undefined
          ? `Setting volume ownership for ${place} is taking longer than expected, consider using OnRootMismatch - https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods`
          : `Setting volume ownership for ${place}, processed ${files} files.`;
      options.event(pod, { type: "Warning", reason: "VolumePermissionChangeInProgress", message });
    },
  });

  /** A claim's volume, or one that a plugin makes. `name` is that of the persistent volume, if there is one. */
  async function setUpSource(pod: PodView, volume: VolumeView): Promise<PluginVolume & { name: string }> {
    const isClaim = Boolean(volume.persistentVolumeClaim ?? volume.ephemeral);
    const claimed = isClaim ? await claimedVolume(pod, volume, options.client) : undefined;
    const readOnly = volume.persistentVolumeClaim?.readOnly ?? false;
    const { persistent, claim, mode = "Filesystem" } = claimed ?? {};
    const name = persistent?.metadata.name ?? volume.name;
    try {
      return { ...(await setUpFound()), name };
    } catch (error) {
      throw new SourceError(name, error);
    }
    async function setUpFound(): Promise<PluginVolume> {
      const folder = persistent && mode === "Filesystem" && (await folderOf(persistent, options.localFolder));
      if (folder) return { ...folder, readOnly };
      const fields = Object.keys(persistent?.spec ?? volume);
      const source = fields.find((field) => options.plugin(field) !== undefined);
      const plugin = source && (await options.plugin(source));
      if (!plugin) throw new Error("no volume plugin matched");
      plugins.add(plugin);
      return plugin.setUp({
        pod,
        volume,
        persistent,
        claim,
        readOnly: isClaim ? readOnly : inlineReadOnly(volume),
        mode,
        path: layout.pod(pod.metadata.uid ?? "").volume(source, name),
        fsGroup: pod.spec?.securityContext?.fsGroup,
      });
    }
  }
  const plugins = new Set<VolumePlugin>();

  /** Pods by the path of a claimed volume. */
  const users = new Map<string, Set<string>>();
  /** Whether other pods use it as well. */
  function share(path: string, uid: string): boolean {
    const known = users.get(path) ?? new Set();
    users.set(path, known.add(uid));
    return known.size > 1;
  }
  function leave(uid: string): void {
    for (const [path, known] of users) if (known.delete(uid) && known.size === 0) users.delete(path);
  }

  /** Undefined: not a volume of files that we write. */
  async function writeFiles(pod: PodView, volume: VolumeView, context: DownwardContext): Promise<string | undefined> {
    const path = filesPath(layout, pod, volume);
    if (!path) return undefined;
    const namespace = pod.metadata.namespace ?? "";
    const payload = await volumePayload(pod, volume, {
      ...context,
      configMap: async (name) => {
        const object = await objects.configMap({ namespace, name });
        return object && configMapData(object);
      },
      secret: async (name) => {
        const object = await objects.secret({ namespace, name });
        return object && secretData(object);
      },
      token: (request) => tokens.token(pod, request),
    });
    if (!payload) return undefined;
    // As upstream's: an emptyDir on a disk, or a tmpfs of its own.
    if (await mkdir(path, { recursive: true })) await chmod(path, volume.configMap ? 0o777 : 0o1777);
    await makeNestedMountPoints(path, pod, volume.name);
    const gid = pod.spec?.securityContext?.fsGroup;
    await writePayload(path, payload, async () => {
      if (gid !== undefined) await setGroup(path, { gid, readOnly: true });
    });
    return path;
  }

  /** One thing at a time for a pod: files still being written would come back after its volumes were deleted. */
  const turns = new Map<string, Promise<unknown>>();
  function inTurn<T>(uid: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(uid) ?? Promise.resolve()).then(work, work);
    turns.set(uid, turn);
    const done = () => {
      if (turns.get(uid) === turn) turns.delete(uid);
    };
    turn.then(done, done);
    return turn;
  }

  const ready = new Map<string, ReadonlyMap<string, MountedVolume>>();
  const manager: VolumeManager = {
    async setUp(pod, context) {
      const volumes = usedVolumes(pod);
      const mounted = new Map<string, MountedVolume>();
      const failures: VolumeFailure[] = [];
      await Promise.all(
        volumes.map(async (volume) => {
          try {
            mounted.set(volume.name, await setUpOne(pod, volume, context));
          } catch (error) {
            failures.push(failureOf(volume.name, error));
          }
        }),
      );
      if (failures.length > 0) throw new VolumeError(failures);
      ready.set(pod.metadata.uid ?? "", mounted);
      return mounted;
    },
    mounted: (podUid) => ready.get(podUid) ?? new Map(),

    async refresh(pod, context) {
      const failures: { volume: string; message: string }[] = [];
      for (const volume of usedVolumes(pod)) {
        // A source that went away leaves the files as they are.
        await writeFiles(pod, volume, context).catch((error: unknown) => {
          failures.push({ volume: volume.name, message: error instanceof Error ? error.message : String(error) });
        });
      }
      if (failures.length > 0) throw new VolumeError(failures);
    },

    async tearDown(podUid) {
      ready.delete(podUid);
      const { volumes, volumeDevices, subPaths, memory } = layout.pod(podUid);
      if ((await mountsUnder(subPaths)).length > 0) await clear(subPaths);
      await options.images.tearDown(podUid);
      // Those that have begun with it, and those of pods from before this process.
      const concerned = new Set(plugins);
      for (const source of [...(await list(volumes)), ...(await list(volumeDevices))]) {
        const plugin = await options.plugin(source.replace(/^kubernetes\.io~/, ""));
        if (plugin) concerned.add(plugin);
      }
      for (const plugin of concerned) await plugin.tearDown(podUid);
      for (const path of [subPaths, volumes, volumeDevices, memory]) await clear(path);
      leave(podUid);
    },

    remove: (podUid) => clear(layout.pod(podUid).root),
    leftovers: async () => [...new Set([...(await list(layout.pods)), ...(await list(layout.memory))])],

    async prepare() {
      await mkdir(layout.pods, { recursive: true, mode: 0o750 });
      await mkdir(layout.memory, { recursive: true, mode: 0o750 });
      if ((await mountsUnder(layout.memory)).includes(layout.memory)) return;
      const size = memoryBytes > 0 ? [`size=${memoryBytes}`] : [];
      await mountMemory(layout.memory, size).catch((error: unknown) =>
        log.warn("secrets and tokens are kept on disk, since no tmpfs can be mounted", { path: layout.memory, error }),
      );
      await chmod(layout.memory, 0o750);
    },

    async close() {
      options.images.close();
      await clear(dirname(layout.pods));
    },
  };
  return {
    ...manager,
    setUp: (pod, context) => inTurn(pod.metadata.uid ?? "", () => manager.setUp(pod, context)),
    refresh: (pod, context) => inTurn(pod.metadata.uid ?? "", () => manager.refresh(pod, context)),
    tearDown: (podUid) => inTurn(podUid, () => manager.tearDown(podUid)),
  };
}

/** Names the volume that failed, as events do: a claim's by the persistent volume. */
class SourceError extends Error {
  readonly subject: string;

  constructor(subject: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.subject = subject;
  }
}

function failureOf(volume: string, error: unknown): VolumeFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ClaimError) return { volume, message, isUnprocessed: true };
  const subject = error instanceof SourceError ? error.subject : volume;
  const cause = error instanceof SourceError ? error.cause : error;
  const { operation, reason, isSilent } = cause instanceof MountError ? cause : new MountError(message);
  const text = `${operation} for volume ${JSON.stringify(subject)} : ${message}`;
  return { volume, message, event: isSilent ? undefined : { reason, message: text } };
}

/** What the source in a pod says itself. */
const inlineReadOnly = (volume: VolumeView): boolean =>
  Object.values(volume).some((source) => (source as { readOnly?: boolean } | undefined)?.readOnly === true); // sources are objects

/** Deletes a folder, but never through a mount: those are somebody else's files. */
async function clear(path: string): Promise<void> {
  for (const point of await mountsUnder(path)) await unmount(point, { lazy: true });
  const left = await mountsUnder(path);
  if (left.length > 0) throw new Error(`still mounted: ${left.join(", ")}`);
  await rm(path, { recursive: true, force: true });
}

const list = (path: string): Promise<string[]> =>
  readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });

async function otherGroup(path: string, wanted: number, name: string): Promise<string | undefined> {
  const { gid } = await stat(path);
  if (gid === wanted) return undefined;
  return `The requested fsGroup is ${wanted}, but the volume ${name} has GID ${gid}. The volume may not be shareable.`;
}

/** Volumes that some container mounts; others are never set up, so a broken one that nobody uses harms nobody. */
function usedVolumes(pod: PodView): VolumeView[] {
  const used = new Set(
    allContainers(pod).flatMap(({ volumeMounts = [], volumeDevices = [] }) =>
      [...volumeMounts, ...volumeDevices].map(({ name }) => name),
    ),
  );
  return (pod.spec?.volumes ?? []).filter(({ name }) => used.has(name));
}

function filesPath(layout: NodeLayout, pod: PodView, volume: VolumeView): string | undefined {
  const at = layout.pod(pod.metadata.uid ?? "");
  if (volume.configMap) return at.volume("configmap", volume.name);
  if (volume.secret) return at.memoryVolume("secret", volume.name);
  if (volume.downwardAPI) return at.memoryVolume("downward-api", volume.name);
  return volume.projected ? at.memoryVolume("projected", volume.name) : undefined;
}

/** A volume mounted inside this one needs a directory to be mounted on, and this one is read-only later. */
async function makeNestedMountPoints(path: string, pod: PodView, name: string): Promise<void> {
  for (const { volumeMounts = [] } of allContainers(pod)) {
    const cleaned = ({ mountPath }: { mountPath: string }) => normalize(mountPath).replace(/(?<=.)\/$/, "");
    const points = volumeMounts.map(cleaned).sort();
    for (const outer of volumeMounts.filter((mount) => mount.name === name && !mount.subPath).map(cleaned)) {
      // A container must not make folders of the machine.
      if (outer.startsWith("../")) throw new Error(`invalid container mount point ${outer}`);
      const made: string[] = [];
      for (const point of points) {
        // What is inside of another one is that one's matter.
        if (!point.startsWith(`${outer}/`) || made.some((inner) => point.startsWith(`${inner}/`))) continue;
        made.push(point);
        await mkdir(`${path}/${point.slice(outer.length + 1)}`, { recursive: true, mode: 0o755 });
      }
    }
  }
}
