/**
 * Static pods of a folder, or of one file. Changes are told by the kernel; every `fileCheckFrequency` everything is looked at anyway. A file
 * that can't be read any more (an editor has written half of it) keeps its pod until that look, as upstream; a file that is gone doesn't.
 */
import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Pod } from "#api";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { decodeManifest, ManifestError, manifestBytesMax } from "./decode.ts";

export interface SourceOptions {
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** All pods of the source, whenever they changed, and the first time. */
  readonly onPods: (pods: readonly Pod[]) => void;
}

export interface FileSourceOptions extends SourceOptions {
  readonly path: string;
  readonly checkMs: number;
}

/** Editors write in several steps. */
const settleMs = 30;
/** Upstream's, while there is no folder to watch. */
const missingLookMs = 1000;

interface KnownFile {
  /** Of what was read: size, times, inode. */
  readonly mark: string;
  readonly pod: Pod | undefined;
}

export async function followFiles(options: FileSourceOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, nodeName, checkMs } = options;
  const path = options.path.replace(/(.)\/+$/, "$1");
  const files = new Map<string, KnownFile>();
  const complaints = new Map<string, string>();
  let told: string | undefined;

  const complain = (about: string, message: string, fields: Record<string, unknown> = {}): void => {
    if (complaints.get(about) !== message) log.warn(message, { path: about, ...fields });
    complaints.set(about, message);
  };

  async function readOne(file: string, isPeriodic: boolean): Promise<void> {
    const info = await stat(file).catch(() => undefined);
    if (!info) return void files.delete(file);
    if (info.isDirectory()) {
      if (file !== path) complain(file, "a folder among manifests isn't looked into");
      return;
    }
    if (!info.isFile()) return complain(file, "a manifest is not a regular file");
    const mark = `${info.size} ${info.mtimeMs} ${info.ctimeMs} ${info.ino}`;
    const known = files.get(file);
    if (known?.mark === mark && (known.pod || !isPeriodic)) return;
    try {
      if (info.size > manifestBytesMax) throw new ManifestError(`${file}: larger than ${manifestBytesMax} bytes`);
      const [pod] = await decodeManifest(await readFile(file, "utf8"), { kind: "file", name: file }, nodeName);
      files.set(file, { mark, pod });
      complaints.delete(file);
    } catch (error) {
      if (!(error instanceof ManifestError) && !(error as NodeJS.ErrnoException).code) throw error; // a bug, not the file
      complain(file, "a manifest can't be used", { error: error instanceof Error ? error.message : error });
      files.set(file, { mark, pod: isPeriodic ? undefined : known?.pod });
    }
  }

  async function look(isPeriodic: boolean): Promise<void> {
    const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
      complain(path, "the place of static pods can't be read", { error: error.message });
      // Anything else than its absence may pass.
      return error.code === "ENOENT" ? undefined : null;
    });
    if (info === null) return;
    if (info) complaints.delete(path);
    const names = !info
      ? []
      : info.isDirectory()
        ? (await readdir(path)).filter((name) => !name.startsWith("."))
        : [""];
    const found = names.sort().map((name) => (name ? join(path, name) : path));
    for (const file of files.keys()) if (!found.includes(file)) files.delete(file);
    for (const file of found) await readOne(file, isPeriodic);
    const pods = found.flatMap((file) => files.get(file)?.pod ?? []);
    const text = pods.map(({ metadata }) => metadata.uid).join(" ");
    if (text !== told) options.onPods(pods);
    told = text;
  }

  let poke = (): void => undefined;
  let isPoked = false;
  let watcher: FSWatcher | undefined;
  let watched = "";
  const changed = (): void => {
    isPoked = true;
    poke();
  };
  const unwatch = (): void => {
    watcher?.close();
    watcher = undefined;
    watched = "";
  };
  /** A single file is watched through its folder, since writers replace it; so is a folder that isn't there yet. */
  async function keepWatching(): Promise<void> {
    const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
    const target = isFolder ? path : dirname(path);
    // By inode: another folder of the same name may be there now.
    const mark = `${target} ${(await stat(target).catch(() => undefined))?.ino}`;
    if (watched === mark) return;
    unwatch();
    try {
      watcher = watch(target, { persistent: false }, (_, name) => {
        if (isFolder ? !name?.startsWith(".") : name === basename(path)) changed();
      });
      watched = mark;
      watcher.on("error", () => {
        unwatch();
        changed();
      });
      // What came before the watch.
      isPoked = true;
    } catch (error) {
      log.debug("static pods can't be watched", { path, error });
    }
  }

  let checkAt = clock.now() + checkMs;
  await look(true);
  while (!signal.aborted) {
    await keepWatching();
    const woken = new Promise<void>((resolve) => {
      poke = resolve;
    });
    const untilMs = watcher ? checkAt - clock.now() : Math.min(missingLookMs, checkAt - clock.now());
    if (!isPoked) await waitFor(clock, { woken, untilMs, signal });
    if (signal.aborted) break;
    if (isPoked) await delay(clock, settleMs, signal);
    isPoked = false;
    const isDue = clock.now() >= checkAt;
    if (isDue) {
      checkAt = clock.now() + checkMs;
      // A folder that was replaced is another one to the kernel.
      unwatch();
    }
    await look(isDue).catch((error: unknown) => log.warn("static pods could not be read", { path, error }));
  }
  unwatch();
}

async function waitFor(
  clock: Clock,
  { woken, untilMs, signal }: { woken: Promise<void>; untilMs: number; signal: AbortSignal },
): Promise<void> {
  const stop = new AbortController();
  await Promise.race([woken, delay(clock, Math.max(0, untilMs), AbortSignal.any([signal, stop.signal]))]);
  stop.abort();
}
