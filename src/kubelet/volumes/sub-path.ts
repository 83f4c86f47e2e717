/**
 * subPath: a part of a volume. The volume's content belongs to containers, which may put a symbolic link anywhere at any moment, so the
 * path is walked one open directory at a time without following links, and what was opened is bind-mounted by its descriptor.
 */
import { constants } from "node:fs";
import { chmod, type FileHandle, mkdir, open, realpath, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bindMount, mountsUnder } from "./mount-table.ts";

/** Linux's O_PATH, which node has no name for: a descriptor to name a file with, not to read it. */
const openPath = 0o10000000;

/** Mounts `subPath` of the volume at `target`, making directories that aren't there. Rejects when it leads out of the volume. */
export async function mountSubPath(volume: string, subPath: string, target: string): Promise<void> {
  if ((await mountsUnder(target)).includes(target)) return;
  const root = await realpath(volume);
  const { mode } = await stat(root);
  // Links that are there now are followed once (a configMap's files are links); afterwards none is.
  const resolved = await realpath(join(root, subPath)).catch(() => join(root, subPath));
  if (resolved !== root && !resolved.startsWith(`${root}/`))
    throw new Error(`subpath ${JSON.stringify(subPath)} not within volume path ${JSON.stringify(volume)}`);
  const handle = await openBelow(
    root,
    resolved
      .slice(root.length + 1)
      .split("/")
      .filter(Boolean),
    mode & 0o7777,
  );
  try {
    const source = `/proc/${process.pid}/fd/${handle.fd}`;
    const isDirectory = (await handle.stat()).isDirectory();
    await mkdir(isDirectory ? target : dirname(target), { recursive: true, mode: 0o750 });
    if (!isDirectory) await writeFile(target, "", { flag: "a", mode: 0o640 });
    await bindMount(source, target);
  } finally {
    await handle.close();
  }
}

async function openBelow(root: string, names: readonly string[], mode: number): Promise<FileHandle> {
  let at = await open(root, openPath | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  for (const name of names) {
    const path = `/proc/self/fd/${at.fd}/${name}`;
    const previous = at;
    try {
      at = await open(path, openPath | constants.O_NOFOLLOW).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
        await mkdir(path, { mode });
        await chmod(path, mode);
        return open(path, openPath | constants.O_NOFOLLOW);
      });
    } finally {
      await previous.close();
    }
    if ((await at.stat()).isSymbolicLink()) {
      await at.close();
      throw new Error(`unexpected symlink found ${JSON.stringify(name)} in subpath`);
    }
  }
  return at;
}
