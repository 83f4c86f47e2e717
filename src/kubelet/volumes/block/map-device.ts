/**
 * Raw block volumes, in upstream's places: the device is bind-mounted below its plugin for each pod, a link in the pod's folder leads to it,
 * and a loop device over the mount holds it open, so that another one can't come under its name while a container has it.
 */
import { execFile } from "node:child_process";
import { lstat, mkdir, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { bindMount, mountsUnder, unmount } from "../mount-table.ts";

const run = promisify(execFile);

export interface DeviceMap {
  /** Of the plugin; has an entry for each pod. */
  readonly globalFolder: string;
  /** `pods/UID/volumeDevices/PLUGIN`. */
  readonly podFolder: string;
  readonly name: string;
  readonly podUid: string;
}

/** Answers the link. Idempotent; rejects with the text of the event. */
export async function mapDevice(device: string, { globalFolder, podFolder, name, podUid }: DeviceMap): Promise<string> {
  const target = join(globalFolder, podUid);
  const link = join(podFolder, name);
  const fail = (what: string) => (error: Error) => {
    throw new Error(`${what}: ${error.message}`);
  };
  const mapping = (folder: string, entry: string, isBind: boolean) =>
    fail(
      `blkUtil.MapDevice failed. devicePath: ${device}, ${isBind ? `globalMapPath:${folder}, podUID` : `podVolumeMapPath:${folder}, volumeMapName`}: ${entry}, bindMount: ${isBind}`,
    );
  const bind = async () => {
    await mkdir(globalFolder, { recursive: true, mode: 0o750 });
    if (await isDevice(target)) return;
    await writeFile(target, "", { flag: "a", mode: 0o750 });
    await bindMount(device, target);
  };
  await bind().catch(mapping(globalFolder, podUid, true));
  const relink = async () => {
    await mkdir(podFolder, { recursive: true, mode: 0o750 });
    // One from before a restart of the machine leads elsewhere.
    await rm(link, { force: true });
    await symlink(device, link);
  };
  await relink().catch(mapping(podFolder, name, false));
  if (!(await loopDevice(target)))
    await run("losetup", ["-f", target]).catch(
      fail(`blkUtil.AttachFileDevice failed. globalMapPath:${globalFolder}, podUID: ${podUid}`),
    );
  return link;
}

/** Also what is only half there. */
export async function unmapDevice({ globalFolder, podFolder, name, podUid }: DeviceMap): Promise<void> {
  const target = join(globalFolder, podUid);
  const loop = await loopDevice(target);
  if (loop) await run("losetup", ["-d", loop]);
  await rm(join(podFolder, name), { force: true });
  if ((await mountsUnder(target)).includes(target)) await unmount(target);
  await rm(target, { force: true });
}

/** The loop device over a file or device, if there is one. */
export async function loopDevice(path: string): Promise<string | undefined> {
  const real = await realpath(path).catch(() => path);
  for (const name of await readdir("/sys/block")) {
    if (!name.startsWith("loop")) continue;
    const backing = await readFile(`/sys/block/${name}/loop/backing_file`, "utf8").catch(() => "");
    const file = backing.trim().replace(/ ?\(deleted\)$/, "");
    if (file !== "" && (file === path || file === real)) return `/dev/${name}`;
  }
  return undefined;
}

export const isDevice = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isBlockDevice(),
    () => false,
  );

/** The links in a pod's folder of a plugin. */
export async function mappedDevices(podFolder: string): Promise<string[]> {
  const names = await readdir(podFolder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const links = await Promise.all(names.map(async (name) => (await lstat(join(podFolder, name))).isSymbolicLink()));
  return names.filter((_, at) => links[at]);
}
