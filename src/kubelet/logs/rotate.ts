/**
 * Keeps container logs from filling the disk: a log above the limit is renamed, the runtime opens a new one, older ones are compressed, the
 * oldest are deleted. Names are upstream's: `0.log`, `0.log.20260131-120000`, `0.log.20260131-110000.gz`.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { quantityValue } from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { PodRuntime } from "../core/types.ts";

export interface RotateOptions {
  readonly bytesMax: number;
  /** With the one that is written to. */
  readonly filesMax: number;
  readonly now: number;
  /** Makes the runtime write to a new file. */
  reopen(): Promise<void>;
}

export interface LogRotationOptions {
  readonly config: Pick<
    KubeletConfiguration,
    "containerLogMaxSize" | "containerLogMaxFiles" | "containerLogMaxWorkers" | "containerLogMonitorInterval"
  >;
  runtimes(): Iterable<PodRuntime>;
  reopen(containerId: string): Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Looks every few seconds: nothing tells how large a file is. Resolves when the signal aborts. */
export async function rotateLogs(options: LogRotationOptions, signal: AbortSignal): Promise<void> {
  const { config, clock, log } = options;
  const bytesMax = quantityValue(config.containerLogMaxSize);
  const filesMax = config.containerLogMaxFiles;
  if (bytesMax < 0) return;
  while (!signal.aborted) {
    await delay(clock, config.containerLogMonitorInterval, signal);
    if (signal.aborted) return;
    // What has ended writes no more.
    const written = [...options.runtimes()]
      .flatMap(({ containers }) => containers)
      .filter(({ state, logPath }) => state === "running" && logPath)
      .values();
    const work = async () => {
      for (const { id, logPath: path } of written)
        await rotateLog(path, { bytesMax, filesMax, now: clock.now(), reopen: () => options.reopen(id) }).catch(
          (error: unknown) => log.warn("a container's log could not be rotated", { path, error }),
        );
    };
    await Promise.all(Array.from({ length: config.containerLogMaxWorkers }, work));
  }
}

/** Answers whether the log was rotated. */
export async function rotateLog(path: string, { bytesMax, filesMax, now, reopen }: RotateOptions): Promise<boolean> {
  const about = await stat(path).catch(missing);
  if (!about) {
    // Somebody removed it: the runtime writes to nowhere until it opens the log again.
    await reopen();
    return false;
  }
  if (about.size < bytesMax) return false;
  const folder = dirname(path);
  const all = (await readdir(folder)).filter((one) => one.startsWith(`${basename(path)}.`));
  const isLeftOver = (name: string) => name.endsWith(".tmp") || (!name.endsWith(".gz") && all.includes(`${name}.gz`));
  const older = all.filter((name) => !isLeftOver(name)).sort();
  // The oldest go first, lest a reader loses what it is at. One more becomes the newest of the older ones now.
  const excess = older.splice(0, Math.max(0, older.length - Math.max(0, filesMax - 2)));
  for (const name of [...all.filter(isLeftOver), ...excess]) await rm(join(folder, name), { force: true });
  for (const name of older) if (!name.endsWith(".gz")) await compress(join(folder, name));
  const rotated = `${path}.${stamp(now)}`;
  await rename(path, rotated);
  try {
    await reopen();
  } catch (error) {
    // The runtime still writes to the old file: give it back its name.
    await rename(rotated, path);
    throw error;
  }
  return true;
}

const stamp = (now: number): string => new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");

async function compress(path: string): Promise<void> {
  const { mode } = await stat(path);
  await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.tmp`, { mode: mode & 0o777 }));
  await rename(`${path}.tmp`, `${path}.gz`);
  await rm(path);
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}
