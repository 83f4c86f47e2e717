/**
 * An image as a block device of this machine, in whichever way it can: by the kernel (module rbd), by `rbd-nbd` (module nbd), or by
 * `rbd-fuse`, which shows it as a file, and a loop device. All outlive this process and are found again by what the kernel says of them.
 */
import { mkdir, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { accessArguments, type CephAccess, imageArguments, ProgramError, type RbdImage, runProgram } from "#base";
import { mountsUnder, unmount } from "../mount-table.ts";

export interface MapRequest extends RbdImage {
  readonly access: CephAccess;
  /** Holds the key, in memory. */
  readonly keyFile: string;
  readonly readOnly: boolean;
  /** The image keeps other writers away by itself. */
  readonly exclusive: boolean;
  /** Of this image and mode only, on any disk: where `rbd-fuse` shows it. */
  readonly folder: string;
}

type Found = Pick<MapRequest, "pool" | "image" | "readOnly" | "folder">;

interface Driver {
  /** Undefined: it can; else why not. */
  problem(): Promise<string | undefined>;
  /** Answers the device. */
  map(request: MapRequest): Promise<string>;
  find(image: Found): Promise<string | undefined>;
  unmap(device: string | undefined, image: Found): Promise<void>;
}

const read = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined, // of what the kernel shows, anything may go at any time
  );
const list = (path: string): Promise<string[]> => readdir(path).catch(() => []);

/** Loads a module where it isn't part of the kernel. */
async function hasModule(shown: string, module: string): Promise<boolean> {
  if ((await list(shown)).length > 0) return true;
  await runProgram("modprobe", [module]).catch(() => undefined); // what counts is whether it is there then
  return (await list(shown)).length > 0;
}
const hasProgram = (name: string): Promise<boolean> =>
  runProgram("sh", ["-c", `command -v ${name}`]).then(
    () => true,
    () => false,
  );
const missing = async (...names: string[]): Promise<string | undefined> => {
  for (const name of names) if (!(await hasProgram(name))) return `executable file not found in $PATH: ${name}`;
  return undefined;
};

const kernel: Driver = {
  problem: async () => ((await hasModule("/sys/bus/rbd", "rbd")) ? missing("rbd") : "the kernel has no module rbd"),
  map: async ({ access, keyFile, readOnly, exclusive, ...image }) => {
    const mode = readOnly ? ["--read-only"] : exclusive ? ["--exclusive"] : [];
    // Nothing is waited for that only udev would do: the kernel makes the device's node, and not every machine has udev.
    const args = ["map", "--options=noudev", ...imageArguments(image), ...mode];
    return runProgram("rbd", [...args, ...accessArguments(access, keyFile)]);
  },
  async find({ pool, image, readOnly }) {
    const devices = "/sys/bus/rbd/devices";
    for (const id of await list(devices)) {
      const [ofPool, name, ro] = await Promise.all([
        read(join(devices, id, "pool")),
        read(join(devices, id, "name")),
        read(`/sys/block/rbd${id}/ro`),
      ]);
      if (ofPool === pool && name === image && (ro === "1") === readOnly) return `/dev/rbd${id}`;
    }
    return undefined;
  },
  unmap: async (device) => {
    if (device) await runProgram("rbd", ["unmap", "--options=noudev", device]);
  },
};

const network: Driver = {
  problem: async () =>
    (await hasModule("/sys/module/nbd", "nbd")) ? missing("rbd-nbd") : "the kernel has no module nbd",
  map: async ({ access, keyFile, readOnly, exclusive, pool, image }) => {
    const mode = readOnly ? ["--read-only"] : exclusive ? ["--exclusive"] : [];
    // Its second word is what it is found by.
    return runProgram("rbd-nbd", ["map", `${pool}/${image}`, ...mode, ...accessArguments(access, keyFile)]);
  },
  async find({ pool, image, readOnly }) {
    for (const name of (await list("/sys/block")).filter((each) => /^nbd\d+$/.test(each))) {
      const pid = await read(`/sys/block/${name}/pid`);
      const words = pid && (await read(`/proc/${pid}/cmdline`))?.split("\0");
      if (!words?.[0]?.endsWith("rbd-nbd") || words[1] !== "map" || words[2] !== `${pool}/${image}`) continue;
      if (words.includes("--read-only") === readOnly) return `/dev/${name}`;
    }
    return undefined;
  },
  unmap: async (device) => {
    if (device) await runProgram("rbd-nbd", ["unmap", device]);
  },
};

const fuse: Driver = {
  problem: async () =>
    (await list("/dev")).includes("fuse") ? missing("rbd-fuse", "losetup", "blockdev") : "there is no /dev/fuse",
  async map({ access, keyFile, pool, image, readOnly, folder }) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if ((await fuseProcess(folder)) === undefined) {
      // Of one that was killed.
      if ((await mountsUnder(folder)).length > 0) await unmount(folder, { lazy: true });
      // It has no options for these, and is told here what it can't be told otherwise. It goes into a session of its own.
      const env = { CEPH_ARGS: accessArguments(access, keyFile).join(" ") };
      await runProgram("rbd-fuse", ["-p", pool, "-r", image, folder], { env });
    }
    const file = join(folder, image);
    // The first look opens the image; one that can't be opened isn't there.
    return runProgram("losetup", ["--find", "--show", ...(readOnly ? ["--read-only"] : []), file]);
  },
  async find({ image, folder }) {
    if ((await fuseProcess(folder)) === undefined) return undefined;
    return loopOf(join(folder, image));
  },
  async unmap(device, { image, folder }) {
    const loop = device ?? (await loopOf(join(folder, image)));
    if (loop) await runProgram("losetup", ["--detach", loop]);
    const pid = await fuseProcess(folder);
    // Without its process nobody answers: only the mount is left.
    if ((await mountsUnder(folder)).includes(folder)) await unmount(folder, { lazy: pid === undefined });
    if (pid !== undefined) await ended(pid);
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  },
};

async function loopOf(file: string): Promise<string | undefined> {
  for (const name of (await list("/sys/block")).filter((each) => each.startsWith("loop")))
    if ((await read(`/sys/block/${name}/loop/backing_file`)) === file) return `/dev/${name}`;
  return undefined;
}

async function fuseProcess(folder: string): Promise<number | undefined> {
  for (const pid of (await list("/proc")).filter((each) => /^\d+$/.test(each))) {
    const words = (await read(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
    if (words[0]?.endsWith("rbd-fuse") && words.includes(folder)) return Number(pid);
  }
  return undefined;
}

const lookMs = 10;
const endMsMax = 30_000;
/** Until then it holds the image. Nothing tells of the end of a process that isn't a child, least of all after a restart. */
async function ended(pid: number): Promise<void> {
  const until = Date.now() + endMsMax;
  for (;;) {
    const state = (await read(`/proc/${pid}/stat`))?.replace(/^.*\) /s, "")[0];
    if (state === undefined || state === "Z") return;
    if (Date.now() > until) throw new Error(`rbd-fuse (process ${pid}) doesn't end`);
    await new Promise((next) => setTimeout(next, lookMs));
  }
}

export type DriverName = "kernel" | "nbd" | "fuse";
const drivers: Readonly<Record<DriverName, Driver>> = { kernel, nbd: network, fuse };
/** In the order in which they are tried. */
export const driverNames: readonly DriverName[] = ["kernel", "nbd", "fuse"];

/** Tries the ways of this machine one after the other, as upstream does with the first two. */
export async function mapDevice(request: MapRequest): Promise<{ driver: DriverName; device: string }> {
  const failures: string[] = [];
  const said: string[] = [];
  for (const name of driverNames) {
    const driver = drivers[name];
    const problem = await driver.problem();
    if (problem) {
      failures.push(problem);
      continue;
    }
    try {
      const device = (await driver.map(request)).trim();
      if (device.startsWith("/dev/")) return { driver: name, device };
      throw new Error(`could not map image ${request.pool}/${request.image}`);
    } catch (error) {
      // A program that was killed may have done half of it; a writer's is ours, since we hold the lock.
      const half = request.readOnly ? undefined : await driver.find(request);
      await driver.unmap(half, request).catch(() => undefined); // what is told is why it couldn't be mapped
      failures.push(error instanceof ProgramError ? error.status : (error as Error).message);
      if (error instanceof ProgramError) said.push(error.output);
    }
  }
  throw new Error(`rbd: map failed [${failures.join(", ")}], rbd output: ${said.join("\n")}`);
}

export const findDevice = (driver: DriverName, image: Found): Promise<string | undefined> =>
  drivers[driver].find(image);

/** Idempotent: what isn't there (any more) is no error. */
export async function unmapDevice(driver: DriverName, image: Found): Promise<void> {
  const device = await drivers[driver].find(image);
  await drivers[driver].unmap(device, image).catch((error) => {
    if (!(error instanceof ProgramError)) throw error;
    const { status, output } = error;
    throw new Error(`rbd: failed to unmap device ${device}, error ${status}, rbd output: ${output}`);
  });
}

/** The device as large as the image is now. */
export async function refreshSize(driver: DriverName, device: string, file: string): Promise<void> {
  if (driver !== "fuse") return;
  // A look at the file makes the kernel ask for its size.
  await runProgram("stat", [file]);
  await runProgram("losetup", ["--set-capacity", device]);
}
