/** What one pod has on disk: volumes, logs, what its containers wrote elsewhere. Files are counted, the runtime is asked for layers. */
import { readdir, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { PodView, RuntimeContainer } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import { type FolderSize, folderSize } from "./folder-size.ts";

export interface PodDisk {
  readonly volumes: readonly VolumeUsage[];
  /** By id. */
  readonly containers: ReadonlyMap<string, { readonly rootfs: LayerUsage | undefined; readonly logs: FolderSize }>;
  /** On the node's disks, all together. */
  readonly ephemeral: FolderSize;
}

export interface VolumeUsage {
  readonly name: string;
  readonly path: string;
  readonly used: FolderSize;
  /** Counts against the pod's limits. */
  readonly ephemeral: boolean;
  readonly claim: string | undefined;
}

export interface LayerUsage extends FolderSize {
  readonly mountpoint: string;
  readonly timeMs: number;
}

export interface PodDiskOptions {
  readonly layout: NodeLayout;
  /** Where volumes of this pod are that other parts made. */
  mounted(podUid: string): ReadonlyMap<string, { readonly path: string; readonly isBlock?: boolean | undefined }>;
}

export interface DiskRequest {
  readonly containers: readonly RuntimeContainer[];
  readonly layers: ReadonlyMap<string, LayerUsage>;
  /** See `folderSize`. */
  readonly entriesMax?: number;
}

export async function readPodDisk(pod: PodView, request: DiskRequest, options: PodDiskOptions): Promise<PodDisk> {
  const { uid = "", namespace = "", name = "" } = pod.metadata;
  const { layout } = options;
  const [volumes, etcHosts, ofPod] = await Promise.all([
    readVolumes(pod, request, options),
    sizeOfFile(layout.pod(uid).etcHosts),
    sizeOfFiles(layout.podLogs({ namespace, name, uid })),
  ]);
  const containers = new Map<string, { rootfs: LayerUsage | undefined; logs: FolderSize }>();
  for (const container of request.containers)
    containers.set(container.id, { rootfs: request.layers.get(container.id), logs: await readLogs(container) });
  const parts = [
    etcHosts,
    ofPod,
    ...[...containers.values()].flatMap(({ rootfs, logs }) => [rootfs ?? nothing, logs]),
    ...volumes.filter(({ ephemeral }) => ephemeral).map(({ used }) => used),
  ];
  return { volumes, containers, ephemeral: parts.reduce(plus, nothing) };
}

/** Of containers that run, by id: the runtime measures them itself now and then. */
export async function readLayers({ runtime }: CriClient, podSandboxId?: string): Promise<Map<string, LayerUsage>> {
  const { stats } = await runtime.listContainerStats(podSandboxId === undefined ? {} : { filter: { podSandboxId } });
  return new Map(
    stats.flatMap(({ attributes, writableLayer: layer }) => {
      if (!attributes || !layer) return [];
      const usage: LayerUsage = {
        bytes: layer.usedBytes?.value ?? 0,
        inodes: layer.inodesUsed?.value ?? 0,
        mountpoint: layer.fsId?.mountpoint ?? "",
        timeMs: Math.floor(layer.timestamp / 1e6),
      };
      return [[attributes.id, usage] as const];
    }),
  );
}

/** Of one container, those that were rotated too. */
export const readLogs = async ({ logPath }: RuntimeContainer): Promise<FolderSize> =>
  logPath === "" ? nothing : sizeOfFiles(dirname(logPath));

const nothing: FolderSize = { bytes: 0, inodes: 0 };
const plus = (a: FolderSize, b: FolderSize): FolderSize => ({ bytes: a.bytes + b.bytes, inodes: a.inodes + b.inodes });
const blockBytes = 512;

async function sizeOfFile(path: string): Promise<FolderSize> {
  const found = await stat(path).catch(gone);
  return found ? { bytes: found.blocks * blockBytes, inodes: 1 } : nothing;
}

/** Of the files in a folder, not of folders below. */
async function sizeOfFiles(folder: string): Promise<FolderSize> {
  const entries = (await readdir(folder, { withFileTypes: true }).catch(gone)) ?? [];
  const files = entries.filter((entry) => !entry.isDirectory());
  return (await Promise.all(files.map(({ name }) => sizeOfFile(join(folder, name))))).reduce(plus, nothing);
}

function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

/** As volumes/ names their folders. */
const written = [
  ["emptyDir", "empty-dir"],
  ["configMap", "configmap"],
  ["secret", "secret"],
  ["downwardAPI", "downward-api"],
  ["projected", "projected"],
] as const;

async function readVolumes(pod: PodView, { entriesMax }: DiskRequest, { layout, mounted }: PodDiskOptions) {
  const uid = pod.metadata.uid ?? "";
  const places = layout.pod(uid);
  const others = mounted(uid);
  const found = await Promise.all(
    (pod.spec?.volumes ?? []).map(async (volume): Promise<VolumeUsage | undefined> => {
      const { name, emptyDir, configMap, gitRepo } = volume;
      const folder = written.find(([field]) => volume[field] !== undefined)?.[1];
      if (folder !== undefined) {
        const ephemeral = Boolean(configMap ?? gitRepo) || (emptyDir !== undefined && !emptyDir.medium);
        for (const path of [places.volume(folder, name), places.memoryVolume(folder, name)]) {
          const used = await folderSize(path, entriesMax);
          if (used) return { name, path, used, ephemeral, claim: undefined };
        }
        return undefined;
      }
      return readMounted(pod, volume, others);
    }),
  );
  return found.filter((each) => each !== undefined);
}

type Volume = NonNullable<NonNullable<PodView["spec"]>["volumes"]>[number];
type Mounted = ReturnType<PodDiskOptions["mounted"]>;

/** A file system of its own knows how full it is. Upstream doesn't measure folders of the machine. */
async function readMounted(pod: PodView, volume: Volume, mounted: Mounted): Promise<VolumeUsage | undefined> {
  const { name, hostPath, persistentVolumeClaim, ephemeral: made } = volume;
  const { path, isBlock } = (hostPath ? undefined : mounted.get(name)) ?? {};
  if (path === undefined || isBlock) return undefined;
  const claim = persistentVolumeClaim?.claimName ?? (made ? `${pod.metadata.name}-${name}` : undefined);
  const disk = await statfs(path).catch(() => undefined);
  if (!disk || disk.blocks === 0) return undefined;
  const used = { bytes: (disk.blocks - disk.bfree) * disk.bsize, inodes: disk.files - disk.ffree };
  return { name, path, used, ephemeral: false, claim };
}

/** Volumes of this pod that somebody claimed. */
export async function readClaimed(pod: PodView, { mounted }: PodDiskOptions): Promise<VolumeUsage[]> {
  const claims = (pod.spec?.volumes ?? []).filter((volume) => volume.persistentVolumeClaim ?? volume.ephemeral);
  const places = mounted(pod.metadata.uid ?? "");
  const found = await Promise.all(claims.map((volume) => readMounted(pod, volume, places)));
  return found.filter((each) => each !== undefined);
}
