/**
 * From the bytes of a log file to what the reader sees: chosen stream, since when, with or without times, so many bytes.
 * Chunks come as the file was read, output is one buffer for each.
 */
import { printTime, readLine, TimeReader } from "./line.ts";
import type { LogOptions } from "./options.ts";

export type FormatOptions = Pick<LogOptions, "timestamps" | "limitBytes" | "sinceMs" | "stream"> & {
  /** Entries to show at most. */
  readonly entriesMax: number;
};

const newLine = 0x0a;
/** Runtimes cut lines at 16 KiB. What is longer comes from elsewhere and is passed on as it is read, never held as a whole. */
const lineBytesMax = 256 * 1024;
/** Longest time with its space: what a line may get longer by when its time is printed. */
const timeGrowthBytesMax = 12;

export class LogFormatter {
  readonly #options: FormatOptions;
  readonly #times = new TimeReader();
  /** A line that the chunk cut off. */
  #pending: Buffer = Buffer.alloc(0);
  /** In the middle of a line that is too long to hold; whether it is shown, and whether its end is. */
  #long: { readonly shown: boolean; readonly partial: boolean } | undefined;
  #entriesLeft: number;
  #bytesLeft: number;
  /** The next text starts a line of the program's output. */
  #lineStarts = true;

  constructor(options: FormatOptions) {
    this.#options = options;
    this.#entriesLeft = options.entriesMax;
    this.#bytesLeft = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Everything that was asked for has been given. */
  get done(): boolean {
    return this.#entriesLeft <= 0 || this.#bytesLeft <= 0;
  }

  /** Bytes that wait for the end of their line. */
  get pendingBytes(): number {
    return this.#pending.length;
  }

  push(chunk: Buffer): Buffer {
    if (this.#long) return this.#goOn(chunk, this.#long);
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const last = bytes.lastIndexOf(newLine);
    const whole = this.#format(bytes.subarray(0, last + 1));
    const rest = bytes.subarray(last + 1);
    // Copied: the caller uses its buffer again.
    this.#pending = rest.length > lineBytesMax ? Buffer.alloc(0) : Buffer.from(rest);
    return rest.length > lineBytesMax ? Buffer.concat([whole, this.#begin(rest)]) : whole;
  }

  /** The first part of a line whose end is far. */
  #begin(bytes: Buffer): Buffer {
    if (this.done) return Buffer.alloc(0);
    const text = this.#format(bytes);
    this.#long = { shown: text.length > 0, partial: readLine(bytes)?.partial ?? false };
    return text;
  }

  #goOn(chunk: Buffer, { shown, partial }: { shown: boolean; partial: boolean }): Buffer {
    const end = chunk.indexOf(newLine);
    const textEnd = end < 0 ? chunk.length : partial ? end : end + 1;
    // Copied: the caller uses its buffer again.
    const text = Buffer.from(chunk.subarray(0, shown ? Math.min(textEnd, this.#bytesLeft) : 0));
    this.#bytesLeft -= text.length;
    if (end < 0) return text;
    this.#long = undefined;
    this.#lineStarts = !partial;
    return Buffer.concat([text, this.push(chunk.subarray(end + 1))]);
  }

  /** The file ended: a line without an end is one. */
  flush(): Buffer {
    const rest = this.#pending;
    this.#pending = Buffer.alloc(0);
    return this.#format(rest);
  }

  /** Another file follows: what was cut off has no rest. */
  reset(): void {
    this.#pending = Buffer.alloc(0);
    this.#long = undefined;
  }

  #format(bytes: Buffer): Buffer {
    const { timestamps } = this.#options;
    const out = Buffer.allocUnsafe(timestamps ? grownLength(bytes) : bytes.length);
    let length = 0;
    for (let at = 0; at < bytes.length && !this.done; ) {
      const end = bytes.indexOf(newLine, at);
      const next = end < 0 ? bytes.length : end + 1;
      length = this.#entry(bytes.subarray(at, next), out, length);
      at = next;
    }
    return out.subarray(0, length);
  }

  /** Writes one entry at `at`; answers where it ends. */
  #entry(line: Buffer, out: Buffer, at: number): number {
    const { timestamps, sinceMs, stream } = this.#options;
    const found = readLine(line);
    // Something that no runtime wrote: upstream leaves such lines out, too.
    if (!found) return at;
    this.#entriesLeft--;
    const { timeEnd, stderr, textStart, partial } = found;
    const textEnd = partial && line[line.length - 1] === newLine ? line.length - 1 : line.length;
    const starts = this.#lineStarts;
    this.#lineStarts = textEnd <= textStart || line[textEnd - 1] === newLine;
    if (stream !== "All" && stderr !== (stream === "Stderr")) return at;
    if (sinceMs !== undefined && this.#times.read(line.toString("latin1", 0, timeEnd)) < sinceMs) return at;
    let to = at;
    if (timestamps && starts) to += out.write(`${printTime(line.toString("latin1", 0, timeEnd))} `, to, "latin1");
    to += line.copy(out, to, textStart, textEnd);
    const room = at + this.#bytesLeft;
    const shown = Math.min(to, room);
    this.#bytesLeft -= shown - at;
    return shown;
  }
}

function grownLength(bytes: Buffer): number {
  let lines = 1;
  for (let at = bytes.indexOf(newLine); at >= 0; at = bytes.indexOf(newLine, at + 1)) lines++;
  return bytes.length + lines * timeGrowthBytesMax;
}
