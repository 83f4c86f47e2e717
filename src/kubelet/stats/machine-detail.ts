/** The machine's disks and processors as cadvisor tells of them. */
import { readdirSync, statfsSync } from "node:fs";
import { cpus } from "node:os";
import { readKernelFile } from "./kernel-file.ts";

export interface FileSystem {
  /** `/dev/sda1`; a tmpfs is named after its place. */
  readonly device: string;
  readonly major: number;
  readonly minor: number;
  readonly mountpoint: string;
  readonly type: string;
  readonly capacityBytes: number;
  readonly freeBytes: number;
  readonly availableBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
  /** The numbers of /proc/diskstats; undefined: not a disk. */
  readonly counters: readonly number[] | undefined;
}

/** What holds files; pods' own mounts show the same disks once more, or memory that is theirs. */
const kept = new Set(["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "vfat", "nfs", "nfs4", "f2fs"]);

/** Each device once, at the first place where it is mounted. */
export function readFileSystems(): FileSystem[] {
  const counters = new Map(
    (readKernelFile("/proc/diskstats") ?? "").split("\n").map((line) => {
      const [major, minor, , ...numbers] = line.trim().split(/\s+/);
      return [`${major}:${minor}` as string, numbers.map(Number)] as const; // any text may be looked up
    }),
  );
  const seen = new Set<string>();
  return (readKernelFile("/proc/self/mountinfo") ?? "").split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , device = "", , mountpoint = ""] = left.split(" ");
    const [type = "", source = ""] = right.split(" ");
    // Of file systems in memory only the machine's own.
    const isShared = type === "tmpfs" && mountpoint === "/dev/shm";
    const name = isShared ? mountpoint : source;
    if ((!kept.has(type) && !isShared) || seen.has(device) || seen.has(name)) return [];
    seen.add(device).add(name);
    const [major = 0, minor = 0] = device.split(":").map(Number);
    const place = mountpoint.replace(/\\040/g, " ");
    const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(place);
    return [
      {
        device: isShared ? place : source,
        major,
        minor,
        mountpoint: place,
        type,
        capacityBytes: blocks * bsize,
        freeBytes: bfree * bsize,
        availableBytes: bavail * bsize,
        inodes: files,
        inodesFree: ffree,
        counters: counters.get(device),
      },
    ];
  });
}

/** By `major:minor`. */
export function readDiskNames(): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const line of (readKernelFile("/proc/diskstats") ?? "").split("\n")) {
    const [major, minor, name] = line.trim().split(/\s+/);
    if (name) names.set(`${major}:${minor}`, `/dev/${name}`);
  }
  return names;
}

export interface Processors {
  readonly cores: number;
  readonly physicalCores: number;
  readonly sockets: number;
}

/** From what the kernel says of each thread. */
export function readProcessors(): Processors {
  const places = listFolders("/sys/devices/system/cpu").flatMap((name) => {
    const at = `/sys/devices/system/cpu/${name}/topology`;
    const socket = readKernelFile(`${at}/physical_package_id`)?.trim();
    return socket === undefined ? [] : [{ socket, core: readKernelFile(`${at}/core_id`)?.trim() ?? "" }];
  });
  const count = (texts: readonly string[]) => new Set(texts).size;
  return {
    cores: cpus().length,
    physicalCores: count(places.map(({ socket, core }) => `${socket}/${core}`)) || cpus().length,
    sockets: count(places.map(({ socket }) => socket)) || 1,
  };
}

const listFolders = (path: string): string[] => {
  try {
    return readdirSync(path).filter((name) => /^cpu\d+$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
};
