/** Imports the archives of a folder: those that are there, and those that appear. A file counts when it stops growing. */
import { watch } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { type ImageStore, importImage } from "../image/import.ts";

export interface ImageFolderOptions {
  readonly folder: string;
  readonly store: ImageStore;
  /** Remembers what was imported, so that a start with the same archives does nothing. */
  readonly marksFile: string;
  readonly clock: Clock;
  readonly log: Logger;
  onImport(names: readonly string[]): void;
}

const settleMs = 300;

/** Resolves when the signal aborts. */
export async function watchImageFolder(
  { folder, store, marksFile, clock, log, onImport }: ImageFolderOptions,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const done = new Map(Object.entries(await readMarks(marksFile)));
  let settles = false;
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
    // What is there at the start is complete; what appears later may still grow.
    for (const name of await readdir(folder)) {
      if (signal.aborted || !/\.tar(\.gz|\.zst)?$/.test(name)) continue;
      const path = join(folder, name);
      const before = await mark(path);
      if (!before || done.get(name) === before) continue;
      if (settles) await delay(clock, settleMs, signal);
      if ((await mark(path)) !== before) {
        wanted = true;
        continue;
      }
      done.set(name, before);
      await importImage(store, path).then(
        async (names) => {
          await writeFile(marksFile, JSON.stringify(Object.fromEntries(done)));
          log.info("imported an image archive", { path, images: names.join(" ") });
          onImport(names);
        },
        (error: unknown) => log.warn("an image archive could not be imported", { path, error }),
      );
    }
    settles = true;
  }
}

const readMarks = (path: string): Promise<Record<string, string>> =>
  readFile(path, "utf8").then(JSON.parse, (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return {};
    throw error;
  });

/** Changes with the file. */
const mark = (path: string): Promise<string | undefined> =>
  stat(path).then(
    ({ size, mtimeMs }) => `${size}-${mtimeMs}`,
    () => undefined,
  );
