/**
 * One line of a log in CRI's format: `<time> <stdout|stderr> <tags> <text>`. Found by position, nothing is decoded: logs are read in
 * megabytes, and most readers want only what is behind the third space.
 */

export interface LogLine {
  /** Positions in the line; the time starts at 0. */
  readonly timeEnd: number;
  readonly stderr: boolean;
  /** The program's line went on in the next entry: there is no line break at the end of this one. */
  readonly partial: boolean;
  readonly textStart: number;
}

const space = 0x20;
const [o, e, d, r] = [..."oedr"].map((letter) => letter.charCodeAt(0));

/** Undefined: no line of a log. */
export function readLine(line: Buffer): LogLine | undefined {
  const timeEnd = line.indexOf(space);
  if (timeEnd < 20) return undefined;
  // "stdout" or "stderr", then a space.
  const stream = timeEnd + 1;
  if (line[stream + 6] !== space || line[stream + 2] !== d) return undefined;
  const stderr = line[stream + 3] === e;
  if (!stderr && line[stream + 3] !== o) return undefined;
  if (stderr && line[stream + 4] !== r) return undefined;
  const tags = stream + 7;
  const tagsEnd = line.indexOf(space, tags);
  if (tagsEnd < 0) return undefined;
  // Tags are separated by colons, the first says whether the line is whole.
  const partial = line[tags] === 0x50 && (tagsEnd === tags + 1 || line[tags + 1] === 0x3a);
  return { timeEnd, stderr, partial, textStart: tagsEnd + 1 };
}

/** A time as the API shows it: always nine digits of a second. Runtimes leave out zeros at the end. */
export function printTime(time: string): string {
  const match = /^(.{19})(?:\.(\d{1,9}))?(.*)$/.exec(time);
  if (!match) return time;
  const [, seconds, fraction = "", zone] = match;
  return `${seconds}.${fraction.padEnd(9, "0")}${zone}`;
}

/** Milliseconds of a line's time. Most lines are of the same second as the one before: that much is remembered. */
export class TimeReader {
  #second = "";
  #ms = Number.NaN;

  /** NaN: no time. */
  read(time: string): number {
    const zone = time.search(/[Z+]|-\d\d:\d\d$/);
    const second = time.slice(0, 19) + time.slice(zone);
    if (second !== this.#second) {
      this.#second = second;
      this.#ms = Date.parse(second);
    }
    const fraction = zone > 20 ? time.slice(20, Math.min(zone, 23)) : "";
    return this.#ms + (fraction ? Number(fraction.padEnd(3, "0")) : 0);
  }
}
