/**
 * Reads a container's log file as `kubectl logs` shows it. Upstream's ways: only the current file is read, not the rotated ones; a reader that
 * follows goes on in the new file when the log is rotated, and ends when the container has.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Clock } from "#base";
import { LogFormatter } from "./formatter.ts";
import { type LogWatch, watchLog } from "./follow.ts";
import type { LogOptions } from "./options.ts";
import { tailOffset } from "./tail.ts";

const chunkBytes = 64 * 1024;

export interface LogReader {
  readonly path: string;
  readonly options: LogOptions;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Resolves when there is room for more. */
  write(bytes: Buffer): Promise<void> | undefined;
  /** Asked before each look at the file: what a container that has ended wrote is all there. */
  isRunning(): boolean;
  readonly onContainer?: (listener: () => void) => () => void;
}

/** A log file that is open; `read` may be called once. */
export interface OpenLog {
  read(): Promise<void>;
}

/** Rejects with the error of the file system. */
export async function openLog(reader: LogReader): Promise<OpenLog> {
  const file = await open(reader.path);
  return {
    async read() {
      const reading = new Reading(reader, file);
      try {
        await reading.run();
      } finally {
        await reading.close();
      }
    },
  };
}

class Reading {
  readonly #reader: LogReader;
  readonly #formatter: LogFormatter;
  readonly #chunk = Buffer.allocUnsafe(chunkBytes);
  #file: FileHandle;
  #position = 0;
  #watch: LogWatch | undefined;

  constructor(reader: LogReader, file: FileHandle) {
    const { options } = reader;
    this.#reader = reader;
    this.#file = file;
    const entriesMax = options.follow ? Number.POSITIVE_INFINITY : (options.tailLines ?? Number.POSITIVE_INFINITY);
    this.#formatter = new LogFormatter({ ...options, entriesMax });
  }

  async run(): Promise<void> {
    const { options, signal, isRunning } = this.#reader;
    if (options.tailLines !== undefined) {
      const { size } = await this.#file.stat();
      this.#position = await tailOffset(this.#file, { size, lines: options.tailLines });
    }
    while (!signal.aborted) {
      const running = options.follow && isRunning();
      // From before the file is read, or what happens meanwhile would be missed.
      if (running) this.#watch ??= this.#startWatch();
      await this.#toEnd();
      if (this.#formatter.done || signal.aborted) return;
      if (!running) {
        await this.#write(this.#formatter.flush());
        return;
      }
      await this.#watch?.changed();
      await this.#followRotation();
    }
  }

  async close(): Promise<void> {
    this.#watch?.close();
    await this.#file.close();
  }

  #startWatch(): LogWatch {
    const { path, clock, signal, onContainer } = this.#reader;
    return watchLog({ path, clock, signal, onContainer });
  }

  async #toEnd(): Promise<void> {
    while (!this.#formatter.done && !this.#reader.signal.aborted) {
      const { bytesRead } = await this.#file.read(this.#chunk, 0, chunkBytes, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      await this.#write(this.#formatter.push(this.#chunk.subarray(0, bytesRead)));
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    if (bytes.length > 0) await this.#reader.write(bytes);
  }

  /** The path may name another file by now, or the same one cut short. */
  async #followRotation(): Promise<void> {
    const [now, ours] = await Promise.all([stat(this.#reader.path).catch(missing), this.#file.stat()]);
    if (!now) return;
    if (now.ino === ours.ino && now.dev === ours.dev) {
      if (now.size < this.#position) this.#position = 0;
      return;
    }
    await this.#toEnd();
    const next = await open(this.#reader.path).catch(missing);
    if (!next) return;
    await this.#file.close();
    this.#file = next;
    this.#position = 0;
    this.#formatter.reset();
  }
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}
