/** Gathers what the preflight judges. Reads only; each fact that can't be had is reported as missing. */
import { execFile } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statfsSync,
} from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { MachineFacts } from "#cli";
import { forwardDrops } from "./forward-drops.ts";

const cniDirectories = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
const programDirectories = ["/usr/sbin", "/sbin", "/usr/local/sbin"];
const capSysResource = 24;

export async function gatherMachineFacts(options: {
  dataDirectory: string;
  port: number;
  /** Look at rules for packets too, which only costs time where nobody reads of them. */
  rules?: boolean;
}): Promise<MachineFacts> {
  const programs = Object.fromEntries(
    ["containerd", "runc", "nft", "ip", "catatonit", "kubectl"].map((name) => [name, findProgram(name)]),
  );
  const containerd = programs.containerd ? await containerdVersion(programs.containerd) : {};
  const cniDirectory = cniDirectories.find((directory) => existsSync(path.join(directory, "bridge")));
  return {
    ...(options.rules && { forwardDrops: await forwardDrops(findProgram) }),
    platform: process.platform,
    nodeVersion: process.version,
    userId: process.getuid?.() ?? 0,
    programs,
    containerdVersion: containerd.version,
    containerdFailure: containerd.failure,
    cniDirectory,
    cniPlugins: cniDirectory ? readdirSync(cniDirectory) : [],
    ...cgroups(),
    filesystems: lines("/proc/filesystems").map((line) => line.split("\t").at(-1) ?? ""),
    canLowerOomScore: hasCapability(capSysResource),
    inotifyInstancesMax: Number(lines("/proc/sys/fs/inotify/max_user_instances")[0] ?? 0),
    freeBytes: freeBytes(options.dataDirectory),
    dataDirectory: options.dataDirectory,
    port: options.port,
    portHolder: portHolder(options.port),
  };
}

export function findProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? "").split(":"), ...programDirectories];
  return directories.map((directory) => path.join(directory, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // missing or not ours to run: the same to the caller
  }
}

async function containerdVersion(program: string): Promise<{ version?: string; failure?: string }> {
  try {
    const { stdout } = await promisify(execFile)(program, ["--version"], { timeout: 10_000 });
    return { version: stdout.trim().split(/\s+/)[2] ?? "of no version" };
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string }; // execFile rejects with these
    return { failure: stderr.trim().split("\n").at(-1) || message };
  }
}

function cgroups(): Pick<MachineFacts, "cgroups" | "cgroupControllers"> {
  const mounts = lines("/proc/mounts").map((line) => line.split(" "));
  const v1 = mounts.filter(([, , type]) => type === "cgroup").flatMap(([, , , options = ""]) => options.split(","));
  const v2 = mounts.find(([, , type]) => type === "cgroup2")?.[1];
  const unified = v2 ? (lines(path.join(v2, "cgroup.controllers"))[0] ?? "").split(" ").filter(Boolean) : [];
  const kind = v1.length > 0 ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none";
  return { cgroups: kind, cgroupControllers: [...new Set([...v1, ...unified])] };
}

/** A file's lines; none when it can't be read. */
function lines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").trim().split("\n");
  } catch {
    return []; // not on this kernel
  }
}

function hasCapability(bit: number): boolean {
  const effective = lines("/proc/self/status").find((line) => line.startsWith("CapEff:"));
  return effective !== undefined && ((BigInt(`0x${effective.split("\t")[1]}`) >> BigInt(bit)) & 1n) === 1n;
}

/** Free space where the folder is, or will be. */
function freeBytes(directory: string): number {
  let at = path.resolve(directory);
  while (!existsSync(at)) at = path.dirname(at);
  const { bavail, bsize } = statfsSync(at);
  return bavail * bsize;
}

/** `name (pid N)` of the process that listens on this TCP port in our network namespace. */
export function portHolder(port: number): string | undefined {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set(
    [...lines("/proc/net/tcp"), ...lines("/proc/net/tcp6")]
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => state === "0A" && local.endsWith(`:${wanted}`))
      .map((columns) => `socket:[${columns[9]}]`),
  );
  if (inodes.size === 0) return undefined;
  const pid = processWith((target) => inodes.has(target));
  return pid ? `${lines(`/proc/${pid}/comm`)[0] ?? "?"} (pid ${pid})` : "a process of another user or namespace";
}

/** The process, other than this one, that has this file open. */
export function processWithFile(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const wanted = realpathSync(file);
  return processWith((target) => target === wanted, String(process.pid));
}

function processWith(isWanted: (target: string) => boolean, except?: string): number | undefined {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== except);
  const pid = pids.find((each) => openFiles(each).some(isWanted));
  return pid === undefined ? undefined : Number(pid);
}

function openFiles(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readlink(`/proc/${pid}/fd/${fd}`));
  } catch {
    return []; // ended meanwhile, or not ours to look into
  }
}

function readlink(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return ""; // closed meanwhile
  }
}
