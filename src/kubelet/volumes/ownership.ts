/** A pod's fsGroup: everything in its volumes belongs to that group, new files included. */
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

export async function setGroup(
  root: string,
  { gid, readOnly, onlyIfNeeded = false }: { gid: number; readOnly: boolean; onlyIfNeeded?: boolean },
): Promise<void> {
  if (onlyIfNeeded) {
    const about = await lstat(root);
    const wanted = modeFor(about.mode, { directory: true, readOnly });
    if (about.gid === gid && (about.mode & wanted) === wanted) return;
  }
  await own(root, { gid, readOnly });
}

async function own(path: string, options: { gid: number; readOnly: boolean }): Promise<void> {
  const about = await lstat(path);
  await lchown(path, about.uid, options.gid);
  if (about.isSymbolicLink()) return;
  const directory = about.isDirectory();
  // After chown, which clears the set-group bit.
  await chmod(path, modeFor(about.mode, { directory, readOnly: options.readOnly }) & 0o7777);
  if (directory) for (const name of await readdir(path)) await own(join(path, name), options);
}

function modeFor(mode: number, { directory, readOnly }: { directory: boolean; readOnly: boolean }): number {
  const access = readOnly ? 0o440 : 0o660;
  return mode | access | (directory ? 0o2110 : 0);
}
