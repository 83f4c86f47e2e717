/**
 * Keeps container logs from filling the disk: a log above the limit is renamed, the runtime opens a new one, older ones are compressed, the
 * oldest are deleted. Names are upstream's: `0.log`, `0.log.20260131-120000`, `0.log.20260131-110000.gz`.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

export interface RotateOptions {
  readonly bytesMax: number;
  /** With the one that is written to. */
  readonly filesMax: number;
  readonly now: number;
  /** Makes the runtime write to a new file. */
  reopen(): Promise<void>;
}

/** Answers whether the log was rotated. */
export async function rotateLog(path: string, { bytesMax, filesMax, now, reopen }: RotateOptions): Promise<boolean> {
  const about = await stat(path).catch(missing);
  if (!about || about.size < bytesMax) return false;
  const folder = dirname(path);
  const name = basename(path);
  const older = (await readdir(folder))
    .filter((one) => one.startsWith(`${name}.`) && !one.endsWith(".tmp"))
    .sort()
    .reverse();
  // One becomes the newest of the older ones now.
  for (const one of older.slice(Math.max(0, filesMax - 2))) await rm(join(folder, one), { force: true });
  for (const one of older.slice(0, Math.max(0, filesMax - 2)))
    if (!one.endsWith(".gz")) await compress(join(folder, one));
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
  await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.tmp`));
  await rename(`${path}.tmp`, `${path}.gz`);
  await rm(path);
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}
