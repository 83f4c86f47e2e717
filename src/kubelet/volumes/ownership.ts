/** A pod's fsGroup: everything in its volumes belongs to that group, new files included. */
import type { Stats } from "node:fs";
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#base";

export interface GroupOptions {
  readonly gid: number;
  readonly readOnly: boolean;
  readonly onlyIfNeeded?: boolean;
  /** Told when it takes long: undefined the first time, then how many files are done. */
  readonly late?: { readonly clock: Clock; readonly tell: (files: number | undefined) => void };
}

const firstWordMs = 30_000;
const nextWordMs = 60_000;

export async function setGroup(
  root: string,
  { gid, readOnly, onlyIfNeeded = false, late }: GroupOptions,
): Promise<void> {
  if (onlyIfNeeded) {
    const about = await lstat(root);
    const wanted = modeFor(about, readOnly);
    if (about.gid === gid && (about.mode & wanted) === wanted) return;
  }
  let files = 0;
  let cancel: (() => void) | undefined;
  const wait = (ms: number, word: () => number | undefined) => {
    cancel = late?.clock.after(ms, () => {
      late.tell(word());
      wait(nextWordMs, () => files);
    });
  };
  wait(firstWordMs, () => undefined);
  try {
    await own(root);
  } finally {
    cancel?.();
  }

  /** A file that can't be changed, or that is gone by now, is left as it is, as upstream does. */
  async function own(path: string): Promise<void> {
    const about = await lstat(path).catch(() => undefined);
    if (!about) return;
    files++;
    if (about.isDirectory()) for (const name of await readdir(path).catch(() => [])) await own(join(path, name));
    await lchown(path, about.uid, gid).catch(() => undefined);
    if (about.isSymbolicLink()) return;
    // After chown, which clears the set-group bit.
    await chmod(path, modeFor(about, readOnly) & 0o7777).catch(() => undefined);
  }
}

function modeFor(about: Stats, readOnly: boolean): number {
  const access = readOnly ? 0o440 : 0o660;
  return about.mode | access | (about.isDirectory() ? 0o2110 : 0);
}
