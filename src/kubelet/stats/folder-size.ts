/** What a folder takes on its disk, as `du` counts: blocks, links once, other file systems not. */
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";

export interface FolderSize {
  readonly bytes: number;
  readonly inodes: number;
}

/** Whoever asks for statistics mustn't keep the disk busy for minutes; more than this isn't counted. */
const entriesMaxUsual = 50_000;
const blockBytes = 512;

/** Undefined: not there, or too much to count. */
export async function folderSize(root: string, entriesMax = entriesMaxUsual): Promise<FolderSize | undefined> {
  const seen = new Set<number>();
  let bytes = 0;
  let device: number | undefined;
  const waiting = [root];
  try {
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      const found = await lstat(path).catch(path === root ? undefined : gone);
      if (!found) continue;
      device ??= found.dev;
      if (found.dev !== device || seen.has(found.ino)) continue;
      seen.add(found.ino);
      if (seen.size > entriesMax) return undefined;
      bytes += found.blocks * blockBytes;
      if (!found.isDirectory()) continue;
      const folder = await opendir(path).catch(gone);
      if (folder) for await (const { name } of folder) waiting.push(join(path, name));
    }
  } catch (error) {
    return gone(error as NodeJS.ErrnoException);
  }
  return { bytes, inodes: seen.size };
}

function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}
