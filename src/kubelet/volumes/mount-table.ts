/** Mounting, through the machine's own `mount` and `umount`, and what is mounted now. */
import { execFile } from "node:child_process";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export async function mountFileSystem(type: string, target: string, options: readonly string[]): Promise<void> {
  await mountSource({ type, source: type, target, options });
}

export interface MountRequest {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export async function mountSource({ type, source, target, options }: MountRequest): Promise<void> {
  await call("mount", ["-t", type, ...(options.length > 0 ? ["-o", options.join(",")] : []), source, target]);
}

/** Memory that is never swapped out, where the kernel can (6.4). */
export async function mountMemory(target: string, options: readonly string[]): Promise<void> {
  await mountFileSystem("tmpfs", target, [...options, "noswap"]).catch(() => mountFileSystem("tmpfs", target, options));
}

/** `source` is taken as it is: `/proc/<pid>/fd/<n>` must not be read as the path it had when it was opened. */
export async function bindMount(source: string, target: string): Promise<void> {
  await call("mount", ["--no-canonicalize", "--bind", source, target]);
}

/** No error when it isn't mounted. `lazy`: for what a dead container still holds. */
export async function unmount(target: string, { lazy = false }: { lazy?: boolean } = {}): Promise<void> {
  await call("umount", [...(lazy ? ["-l"] : []), "--no-canonicalize", target]).catch(async (error: unknown) => {
    if ((await mountsUnder(target)).includes(target)) throw error;
  });
}

/**
 * Mount points at or below a path, deepest first, as seen from there. The kernel's table knows no links: a data folder that is one would
 * seem to have no mounts, and what is mounted in it would be deleted through them.
 */
export async function mountsUnder(path: string): Promise<string[]> {
  const parent = await realpath(dirname(path)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (parent === undefined) return [];
  const real = join(parent, basename(path));
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table
    .split("\n")
    .map((line) => readOctal(line.split(" ")[4] ?? ""))
    .filter((point) => point === real || point.startsWith(`${real}/`))
    .map((point) => path + point.slice(real.length))
    .reverse();
}

/** The kernel writes blanks and the like as `\040`. */
const readOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

async function call(program: string, args: readonly string[]): Promise<void> {
  try {
    await run(program, args);
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim(); // what execFile rejects with
    throw new Error(`${program} ${args.join(" ")}: ${said || String(error)}`);
  }
}
