/** Where the node keeps what it knows of CSI volumes: upstream's layout and file, so that a node can change hands either way. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mountsUnder } from "../mount-table.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Of the VolumeAttachment. */
export const attachmentName = (handle: string, driver: string, node: string): string =>
  `csi-${sha256(handle + driver + node)}`;
/** Of a volume that is written in its pod. */
export const ephemeralHandle = (podUid: string, volume: string): string => `csi-${sha256(podUid + volume)}`;
/** As the status of a node lists it. */
export const uniqueName = (driver: string, handle: string): string => `kubernetes.io/csi/${driver}^${handle}`;

export interface CsiPaths {
  readonly root: string;
  globalMount(driver: string, handle: string): string;
  /** Of raw block volumes, by the name of the persistent volume. */
  readonly devices: string;
  device(name: string): { root: string; map: string; data: string; staging: string; publish: string };
}

export function csiPaths(kubeletFolder: string): CsiPaths {
  const root = join(kubeletFolder, "plugins/kubernetes.io/csi");
  const devices = join(root, "volumeDevices");
  return {
    root,
    devices,
    globalMount: (driver, handle) => join(root, driver, sha256(handle), "globalmount"),
    device: (name) => ({
      root: join(devices, name),
      map: join(devices, name, "dev"),
      data: join(devices, name, "data"),
      staging: join(devices, "staging", name),
      publish: join(devices, "publish", name),
    }),
  };
}

/** `vol_data.json`: what is needed to take a volume down, after a restart too. */
export interface VolumeData {
  readonly driverName: string;
  readonly volumeHandle: string;
  readonly specVolID?: string;
  readonly nodeName?: string;
  readonly attachmentID?: string;
  readonly volumeLifecycleMode?: string;
}

const dataFile = "vol_data.json";

export async function saveVolumeData(folder: string, data: VolumeData): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  await writeFile(join(folder, dataFile), `${JSON.stringify(data)}\n`);
}

/** Undefined: there is none, or only the beginning of one. */
export async function loadVolumeData(folder: string): Promise<VolumeData | undefined> {
  const text = await readFile(join(folder, dataFile), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return "";
    throw error;
  });
  try {
    const { driverName, volumeHandle, ...rest } = JSON.parse(text) as VolumeData; // ours or upstream's
    return driverName && volumeHandle ? { driverName, volumeHandle, ...rest } : undefined;
  } catch {
    return undefined;
  }
}

/** Removes a mount point that the driver left, and what was kept about it; nothing while it is mounted. */
export async function removeMountPoint(path: string): Promise<void> {
  if ((await mountsUnder(path)).includes(path)) return;
  await removeEmpty(path);
  await rm(join(dirname(path), dataFile), { force: true });
  await removeEmpty(dirname(path));
}

export const removeEmpty = (path: string): Promise<void> =>
  rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
