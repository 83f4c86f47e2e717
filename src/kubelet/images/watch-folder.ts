/** Imports the archives of a folder: those that are there, and those that appear. A file counts when it stops growing. */
import { watch } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { type ImageStore, importImage } from "../image/import.ts";

export interface ImageFolderOptions {
  readonly folder: string;
  readonly store: ImageStore;
  readonly clock: Clock;
  readonly log: Logger;
  onImport(names: readonly string[]): void;
}

const settleMs = 300;

/** Resolves when the signal aborts. */
export async function watchImageFolder(
  { folder, store, clock, log, onImport }: ImageFolderOptions,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const done = new Map<string, string>();
  let wanted = true;
  let poke = (): void => undefined;
  const watcher = watch(folder, () => {
    wanted = true;
    poke();
  });
  const stop = (): void => {
    watcher.close();
    poke();
  };
  signal.addEventListener("abort", stop, { once: true });
  while (!signal.aborted) {
    if (!wanted) await new Promise<void>((resolve) => (poke = resolve));
    wanted = false;
    for (const name of await readdir(folder)) {
      if (signal.aborted || !/\.tar(\.gz|\.zst)?$/.test(name)) continue;
      const path = join(folder, name);
      const before = await mark(path);
      if (!before || done.get(name) === before) continue;
      if (done.size > 0 || signal.aborted) await delay(clock, settleMs, signal);
      if ((await mark(path)) !== before) {
        wanted = true;
        continue;
      }
      done.set(name, before);
      await importImage(store, path).then(
        (names) => {
          log.info("imported an image archive", { path, images: names.join(" ") });
          onImport(names);
        },
        (error: unknown) => log.warn("an image archive could not be imported", { path, error }),
      );
    }
  }
}

/** Changes with the file. */
const mark = (path: string): Promise<string | undefined> =>
  stat(path).then(
    ({ size, mtimeMs }) => `${size}-${mtimeMs}`,
    () => undefined,
  );
