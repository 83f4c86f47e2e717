/**
 * When a cron job runs: five fields as in crontab, or a shorthand like `@daily` or `@every 90m`.
 * Reads and refuses what github.com/robfig/cron/v3's standard parser does, in its words, because clients see them.
 */
import { durationProblem, parseDuration } from "#base";
import { goQuote } from "#machinery";
import { isTimeZone } from "./time-zone.ts";

export class ScheduleError extends Error {
  override name = "ScheduleError";
}

interface Field {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Minute, hour, day of the month, month, day of the week. */
const fields: readonly Field[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: months },
  { min: 0, max: 6, names: days },
];

const shorthands: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const every = "@every ";

interface FieldValues {
  readonly values: ReadonlySet<number>;
  /** Written with a star: of the two fields for days then both must fit, else either. */
  readonly any: boolean;
}

export interface ScheduleText {
  /** Written in front of it. */
  readonly zone?: string;
  /** Of `@every`; at least a second, in whole ones. */
  readonly everyMs?: number;
  /** Minute, hour, day of the month, month, day of the week; none with `everyMs`. */
  readonly fields: readonly FieldValues[];
}

/** Throws a ScheduleError. */
export function readSchedule(schedule: string): ScheduleText {
  const { text, zone } = splitZone(schedule);
  const inZone = zone === undefined ? {} : { zone };
  const everyMs = text.startsWith("@") ? readEvery(text) : undefined;
  if (everyMs !== undefined) return { ...inZone, everyMs, fields: [] };
  const parts = (shorthands[text] ?? text).split(/\s+/u).filter((part) => part !== "");
  if (parts.length !== fields.length) {
    throw new ScheduleError(`expected exactly ${fields.length} fields, found ${parts.length}: [${parts.join(" ")}]`);
  }
  return { ...inZone, fields: fields.map((field, i) => readField(parts[i] ?? "", field)) };
}

/** The zone in front, as `TZ=Europe/Berlin`, is only found in objects older than the field for it. */
function splitZone(schedule: string): { text: string; zone?: string } {
  if (!schedule.startsWith("TZ=") && !schedule.startsWith("CRON_TZ=")) return { text: schedule };
  const end = schedule.includes(" ") ? schedule.indexOf(" ") : schedule.length;
  const zone = schedule.slice(schedule.indexOf("=") + 1, end);
  if (zone !== "" && !isTimeZone(zone)) {
    throw new ScheduleError(`provided bad location ${zone}: unknown time zone ${zone}`);
  }
  return { text: schedule.slice(end).trim(), zone: zone || "UTC" };
}

/** Undefined for the other shorthands. */
function readEvery(text: string): number | undefined {
  if (Object.hasOwn(shorthands, text)) return undefined;
  if (!text.startsWith(every)) throw new ScheduleError(`unrecognized descriptor: ${text}`);
  const duration = text.slice(every.length);
  const problem = durationProblem(duration);
  if (problem !== "") throw new ScheduleError(`failed to parse duration ${text}: ${problem}`);
  return Math.max(1, Math.floor((parseDuration(duration) ?? 0) / 1000)) * 1000;
}

function readField(text: string, field: Field): FieldValues {
  const values = new Set<number>();
  let any = false;
  for (const part of text.split(",")) if (part !== "") any = readRange(part, field, values) || any;
  return { values, any };
}

/** Adds its values; answers whether it means any. */
function readRange(text: string, { min, max, names }: Field, values: Set<number>): boolean {
  const [range = "", step, ...moreSteps] = text.split("/");
  const [low = "", high, ...moreEnds] = range.split("-");
  const isAny = low === "*" || low === "?";
  let start = min;
  let end = max;
  if (!isAny) {
    start = readNumber(low, { min, names });
    if (moreEnds.length > 0) throw new ScheduleError(`too many hyphens: ${text}`);
    end = high === undefined ? start : readNumber(high, { min, names });
  }
  if (moreSteps.length > 0) throw new ScheduleError(`too many slashes: ${text}`);
  const stride = step === undefined ? 1 : readNumber(step, { min });
  // `5/10` goes to the end.
  if (step !== undefined && high === undefined) end = max;
  if (start < min) throw new ScheduleError(`beginning of range (${start}) below minimum (${min}): ${text}`);
  if (end > max) throw new ScheduleError(`end of range (${end}) above maximum (${max}): ${text}`);
  if (start > end) throw new ScheduleError(`beginning of range (${start}) beyond end of range (${end}): ${text}`);
  if (stride === 0) throw new ScheduleError(`step of range should be a positive number: ${text}`);
  for (let value = start; value <= end; value += stride) values.add(value);
  return isAny && stride === 1;
}

function readNumber(text: string, { min, names = [] }: { min: number; names?: readonly string[] | undefined }): number {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return named + min;
  const failed = (why: string) =>
    new ScheduleError(`failed to parse int from ${text}: strconv.Atoi: parsing ${goQuote(text)}: ${why}`);
  if (!/^[+-]?[0-9]+$/.test(text)) throw failed("invalid syntax");
  const number = BigInt(text.startsWith("+") ? text.slice(1) : text);
  if (number !== BigInt.asIntN(64, number)) throw failed("value out of range");
  if (number < 0n) throw new ScheduleError(`negative number (${number}) not allowed: ${text}`);
  return Number(number);
}
