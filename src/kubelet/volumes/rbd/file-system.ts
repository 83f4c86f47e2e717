/** A file system on a block device: made when the device is blank, checked, mounted, grown. Upstream's SafeFormatAndMount. */
import { mkdir } from "node:fs/promises";
import { type Logger, ProgramError, runProgram } from "#base";
import { mountsUnder } from "../mount-table.ts";

/** Of a large device, to be made or checked. */
const msMax = 10 * 60_000;
const partitioned = "unknown data, probably partitions";

/** "": there is nothing on it. What `blkid` can't tell is never taken for nothing. */
export async function diskFormat(device: string): Promise<string> {
  let said: string;
  try {
    said = await runProgram("blkid", ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device]);
  } catch (error) {
    if (error instanceof ProgramError && error.exitCode === 2) return "";
    throw new Error(`failed to get disk format of disk ${device}: ${(error as Error).message}`); // all are
  }
  const found = new Map(said.split("\n").map((line) => line.split("=") as [string, string]));
  return found.has("PTTYPE") ? partitioned : (found.get("TYPE") ?? "");
}

const formatArguments: Readonly<Record<string, readonly string[]>> = {
  ext4: ["-F", "-m0"],
  ext3: ["-F", "-m0"],
  xfs: ["-f"],
};

export interface MountDevice {
  readonly device: string;
  readonly target: string;
  readonly fsType: string;
  readonly readOnly: boolean;
  readonly options: readonly string[];
  /** The device is larger than it was. */
  readonly grow: boolean;
  readonly log: Logger;
}

/** Idempotent. */
export async function formatAndMount({
  device,
  target,
  fsType,
  readOnly,
  options,
  grow,
  log,
}: MountDevice): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o750 });
  if ((await mountsUnder(target)).includes(target)) return grow ? growFileSystem(device, target) : undefined;
  const found = await diskFormat(device);
  if (found === "") {
    if (readOnly)
      throw new Error(`cannot mount unformatted disk ${device} as we are manipulating it in read-only mode`);
    log.info("a blank image is formatted", { device, fsType });
    await runProgram(`mkfs.${fsType}`, [...(formatArguments[fsType] ?? []), device], { msMax }).catch((error) => {
      const { status, output } = asProgramError(error);
      const about = `type:(${JSON.stringify(fsType)}) target:(${JSON.stringify(target)}) options:("${options.join(",")}")`;
      throw new Error(`format of disk "${device}" failed: ${about} errcode:(${status}) output:(${output}) `);
    });
  } else {
    if (found !== fsType) log.warn("an image has another file system than its volume says", { device, found, fsType });
    if (!readOnly) await check(device, log);
    if (grow && found.startsWith("ext")) await growUnmounted(device);
  }
  const all = [...(readOnly ? ["ro"] : []), ...options, "defaults"].join(",");
  await runProgram("mount", ["-t", fsType, "-o", all, device, target]).catch((error) => {
    const { status, output } = asProgramError(error);
    const what = `mount failed: ${status}\nMounting command: mount\nMounting arguments: -t ${fsType} -o ${all} ${device} ${target}\nOutput: ${output}`;
    throw new Error(`rbd: failed to mount device ${device} at ${target} (fstype: ${fsType}), error ${what}`);
  });
}

/** What is mounted grows only for who has CAP_SYS_RESOURCE, which nodes in containers and small machines may lack. */
async function growUnmounted(device: string): Promise<void> {
  await runProgram("e2fsck", ["-f", "-p", device], { msMax }).catch((error) => {
    const { exitCode, status, output } = asProgramError(error);
    if (exitCode !== 1) throw new Error(`resize of device ${device} failed: ${status}. e2fsck output: ${output}`);
  });
  await grown(device, ["resize2fs", device]);
}

/** What can be repaired is; only what can't be stops the mount. */
async function check(device: string, log: Logger): Promise<void> {
  await runProgram("fsck", ["-a", device], { msMax }).catch((error) => {
    const { exitCode, output } = asProgramError(error);
    if (exitCode === 4)
      throw new Error(`'fsck' found errors on device ${device} but could not correct them: ${output}`);
    log.info("fsck had something to say", { device, exitCode, output });
  });
}

/** Fills the device, which has grown; not an error where there is nothing to grow. */
export async function growFileSystem(device: string, mounted: string): Promise<void> {
  if ((await runProgram("blockdev", ["--getro", device])).trim() === "1") return;
  const format = await diskFormat(device);
  if (format === "") return;
  const command = growers(device, mounted)[format];
  if (!command)
    throw new Error(
      `could not parse fs info of given filesystem format: ${format}. Supported fs types are: xfs, ext3, ext4`,
    );
  await grown(device, command);
}

const growers = (device: string, mounted: string): Readonly<Record<string, readonly string[]>> => ({
  ext3: ["resize2fs", device],
  ext4: ["resize2fs", device],
  xfs: ["xfs_growfs", "-d", mounted],
  btrfs: ["btrfs", "filesystem", "resize", "max", mounted],
});

async function grown(device: string, [program = "", ...args]: readonly string[]): Promise<void> {
  await runProgram(program, args, { msMax }).catch((error) => {
    const { status, output } = asProgramError(error);
    throw new Error(`resize of device ${device} failed: ${status}. ${program} output: ${output}`);
  });
}

const asProgramError = (error: unknown): ProgramError => {
  if (error instanceof ProgramError) return error;
  throw error;
};
