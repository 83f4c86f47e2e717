/**
 * The audit log as a file, written at once so that an answer never leaves before its entry, and turned over when it is full. Old files keep
 * their time in their name and go by number and by age. Names and rules are those of the library that upstream uses (lumberjack), so that
 * tools which collect such logs find them.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import type { Clock, Logger } from "#base";

export interface LogFileOptions {
  readonly file: string;
  /** 0: grows for ever. */
  readonly bytesMax: number;
  /** 0: any number. */
  readonly backupsMax: number;
  /** 0: any age. */
  readonly ageMsMax: number;
  readonly compress: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LogWriter {
  /** Throws when the disk does. */
  write(text: string): void;
  close(): Promise<void>;
}

/** Throws when the file can't be opened. */
export function openLogFile(options: LogFileOptions): LogWriter {
  const { file, bytesMax, log } = options;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  let descriptor = openSync(file, "a", 0o600);
  let bytes = fstatSync(descriptor).size;
  let tidying: Promise<void> = Promise.resolve();
  const tidy = () => {
    tidying = tidying
      .then(() => tidyBackups(options))
      .catch((error: unknown) => log.error("old audit logs could not be tidied", { file, error }));
  };
  const turnOver = () => {
    closeSync(descriptor);
    renameSync(file, backupName(file, options.clock.now()));
    descriptor = openSync(file, "a", 0o600);
    bytes = 0;
    tidy();
  };
  if (bytesMax > 0) tidy();
  return {
    write(text) {
      const buffer = Buffer.from(text);
      if (bytesMax > 0 && bytes > 0 && bytes + buffer.length > bytesMax) turnOver();
      let written = 0;
      while (written < buffer.length) written += writeSync(descriptor, buffer, written);
      bytes += buffer.length;
    },
    async close() {
      closeSync(descriptor);
      await tidying;
    },
  };
}

function backupName(file: string, now: number): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}-${new Date(now).toISOString().slice(0, -1).replaceAll(":", "-")}${ext}`);
}

interface Backup {
  readonly file: string;
  /** Without `.gz`: a file half compressed is there twice. */
  readonly plain: string;
  readonly time: number;
}

async function tidyBackups({ file, backupsMax, ageMsMax, compress, clock }: LogFileOptions): Promise<void> {
  const backups = await listBackups(file);
  const kept = new Set([...new Set(backups.map(({ plain }) => plain))].slice(0, backupsMax || undefined));
  const oldest = ageMsMax > 0 ? clock.now() - ageMsMax : Number.NEGATIVE_INFINITY;
  for (const backup of backups) {
    const isKept = kept.has(backup.plain) && backup.time >= oldest;
    if (!isKept) await rm(backup.file, { force: true });
    else if (compress && backup.file === backup.plain) await compressFile(backup.file);
  }
}

/** The newest first. */
async function listBackups(file: string): Promise<Backup[]> {
  const { dir, name, ext } = path.parse(file);
  const found: Backup[] = [];
  for (const entry of await readdir(dir)) {
    const plain = entry.endsWith(".gz") ? entry.slice(0, -3) : entry;
    if (!plain.startsWith(`${name}-`) || !plain.endsWith(ext)) continue;
    const stamp = plain.slice(name.length + 1, plain.length - ext.length);
    const time = Date.parse(`${stamp.replace(/T(\d\d)-(\d\d)-(\d\d\.\d{3})$/, "T$1:$2:$3")}Z`);
    if (Number.isNaN(time)) continue;
    found.push({ file: path.join(dir, entry), plain: path.join(dir, plain), time });
  }
  return found.sort((a, b) => b.time - a.time);
}

async function compressFile(file: string): Promise<void> {
  const { createGzip } = await import("node:zlib");
  await pipeline(createReadStream(file), createGzip(), createWriteStream(`${file}.gz`, { mode: 0o600 }));
  await rm(file);
}
