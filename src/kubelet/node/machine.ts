/** What this machine is and has: read once, and again where it changes. */
import { readdir, readFile, statfs } from "node:fs/promises";
import { arch, cpus, hostname, release } from "node:os";

export interface MachineFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  /** By page size as in resource names: `2Mi`. */
  readonly hugepageBytes: Readonly<Record<string, number>>;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly kernelVersion: string;
  readonly osImage: string;
  /** Go's name: amd64. */
  readonly architecture: string;
  readonly hostname: string;
}

const architectures: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

export async function readMachine(): Promise<MachineFacts> {
  const [memory, machineId, systemUuid, bootId, release_, hugepageBytes] = await Promise.all([
    readMemory(),
    firstOf(["/etc/machine-id", "/var/lib/dbus/machine-id"]),
    firstOf(["/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid", "/etc/machine-id"]),
    firstOf(["/proc/sys/kernel/random/boot_id"]),
    firstOf(["/etc/os-release", "/usr/lib/os-release"]),
    readHugepages(),
  ]);
  return {
    cpus: cpus().length,
    memoryBytes: memory.totalBytes,
    swapBytes: memory.swapBytes,
    hugepageBytes,
    machineId,
    systemUuid,
    bootId,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(release_)?.[1] ?? "Linux",
    architecture: architectures[arch()] ?? arch(),
    hostname: hostname(),
  };
}

export async function readMemory(): Promise<{ totalBytes: number; availableBytes: number; swapBytes: number }> {
  const text = await readFile("/proc/meminfo", "utf8");
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  return { totalBytes: bytes("MemTotal"), availableBytes: bytes("MemAvailable"), swapBytes: bytes("SwapTotal") };
}

export interface DiskSpace {
  readonly capacityBytes: number;
  readonly availableBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

/** `usedBytes`: without what only root may use, which is neither used nor available. */
export async function readDisk(path: string): Promise<DiskSpace & { readonly usedBytes: number }> {
  const { bsize, blocks, bavail, bfree, files, ffree } = await statfs(path);
  return {
    capacityBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesFree: ffree,
  };
}

/** Process numbers in use and the most there can be. */
export async function readProcesses(): Promise<{ running: number; max: number }> {
  const [load, max, threads] = await Promise.all([
    firstOf(["/proc/loadavg"]),
    firstOf(["/proc/sys/kernel/pid_max"]),
    firstOf(["/proc/sys/kernel/threads-max"]),
  ]);
  return { running: Number(load.split(" ")[3]?.split("/")[1] ?? 0), max: Math.min(Number(max), Number(threads)) };
}

async function readHugepages(): Promise<Record<string, number>> {
  const folder = "/sys/kernel/mm/hugepages";
  const found: Record<string, number> = {};
  for (const name of await readdir(folder).catch(() => [])) {
    const kilobytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    const count = Number(await firstOf([`${folder}/${name}/nr_hugepages`]));
    const size =
      kilobytes >= 2 ** 20
        ? `${kilobytes / 2 ** 20}Gi`
        : kilobytes >= 1024
          ? `${kilobytes / 1024}Mi`
          : `${kilobytes}Ki`;
    found[size] = count * kilobytes * 1024;
  }
  return found;
}

/** The first of these files that can be read; "" when none can. */
async function firstOf(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text !== undefined) return text.trim();
  }
  return "";
}
