/**
 * Cron schedules: five fields, `@daily` and the like, `@every 90m`. Fields and their meaning follow robfig/cron, which upstream uses:
 * when both day fields are restricted either may match; times that a change of clocks leaves out are left out.
 */
import { parseDuration } from "#base";

export class ScheduleError extends Error {
  override name = "ScheduleError";
}

export interface Schedule {
  /** The first time after this one, in ms; undefined when there is none within five years. */
  next(afterMs: number): number | undefined;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const fields: readonly Field[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day of month", min: 1, max: 31 },
  { name: "month", min: 1, max: 12, names: months },
  { name: "day of week", min: 0, max: 6, names: days },
];

const descriptors: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const searchDaysMax = 5 * 366;
const dayMs = 86_400_000;

/** Throws ScheduleError; RangeError for an unknown time zone. Without a zone the machine's counts. */
export function parseSchedule(text: string, timeZone?: string): Schedule {
  const every = /^@every (.+)$/.exec(text);
  if (every) {
    const stepMs = Math.max(1000, Math.floor((parseDuration(every[1] ?? "") ?? Number.NaN) / 1000) * 1000);
    if (Number.isNaN(stepMs)) throw new ScheduleError(`failed to parse duration ${text}`);
    return { next: (afterMs) => Math.floor(afterMs / 1000) * 1000 + stepMs };
  }
  const line = text.startsWith("@") ? descriptors[text] : text;
  if (line === undefined) throw new ScheduleError(`unrecognized descriptor: ${text}`);
  const parts = line.trim().split(/\s+/).filter(Boolean);
  if (parts.length !== fields.length) {
    throw new ScheduleError(`expected exactly ${fields.length} fields, found ${parts.length}: [${parts.join(" ")}]`);
  }
  const [minutes, hours, monthDays, monthsOfYear, weekDays] = parts.map((part, index) =>
    parseField(part, fields[index] as Field),
  ); // as many as fields
  if (!minutes || !hours || !monthDays || !monthsOfYear || !weekDays) throw new ScheduleError("empty field");
  const zone = createZone(timeZone);
  const matchesDay = (date: Date): boolean => {
    if (!monthsOfYear.values.has(date.getUTCMonth() + 1)) return false;
    const monthDay = monthDays.values.has(date.getUTCDate());
    const weekDay = weekDays.values.has(date.getUTCDay());
    return monthDays.any || weekDays.any ? monthDay && weekDay : monthDay || weekDay;
  };
  const times = [...hours.values]
    .sort(ascending)
    .flatMap((hour) => [...minutes.values].sort(ascending).map((minute) => (hour * 60 + minute) * 60_000));
  return {
    next(afterMs) {
      const today = Math.floor(zone.wallMs(afterMs) / dayMs) * dayMs;
      // From yesterday on: clocks that were set back show some times twice.
      for (let day = -1; day < searchDaysMax; day++) {
        const midnight = today + day * dayMs;
        if (!matchesDay(new Date(midnight))) continue;
        for (const time of times) {
          const at = zone.instantMs(midnight + time);
          if (at !== undefined && at > afterMs) return at;
        }
      }
      return undefined;
    },
  };
}

const ascending = (a: number, b: number) => a - b;

interface Values {
  readonly values: ReadonlySet<number>;
  readonly any: boolean;
}

function parseField(text: string, field: Field): Values {
  const values = new Set<number>();
  let any = false;
  for (const part of text.split(",")) {
    const [range = "", stepText, ...rest] = part.split("/");
    if (rest.length > 0) throw new ScheduleError(`too many slashes: ${part}`);
    const isAny = range === "*" || range === "?";
    const [low = "", high, ...more] = isAny ? [""] : range.split("-");
    if (more.length > 0) throw new ScheduleError(`too many hyphens: ${part}`);
    const start = isAny ? field.min : number(low, field);
    const end = isAny
      ? field.max
      : high !== undefined
        ? number(high, field)
        : stepText === undefined
          ? start
          : field.max;
    const step = stepText === undefined ? 1 : number(stepText, { ...field, names: [] });
    if (isAny && stepText === undefined) any = true;
    if (start < field.min)
      throw new ScheduleError(`beginning of range (${start}) below minimum (${field.min}): ${part}`);
    if (end > field.max) throw new ScheduleError(`end of range (${end}) above maximum (${field.max}): ${part}`);
    if (start > end) throw new ScheduleError(`beginning of range (${start}) beyond end of range (${end}): ${part}`);
    if (step === 0) throw new ScheduleError(`step of range should be a positive number: ${part}`);
    for (let value = start; value <= end; value += step) values.add(value);
  }
  return { values, any };
}

function number(text: string, { names = [], min }: Field): number {
  const named = names.indexOf(text.toLowerCase());
  if (named >= 0) return named + min;
  if (!/^[0-9]+$/.test(text)) throw new ScheduleError(`failed to parse int from ${text}`);
  return Number(text);
}

interface Zone {
  /** What the clocks there show, as if it were UTC. */
  wallMs(instantMs: number): number;
  /** When the clocks there show this, the first time; undefined when they never do. */
  instantMs(wallMs: number): number | undefined;
}

function createZone(timeZone: string | undefined): Zone {
  const formatter = new Intl.DateTimeFormat("en-US", {
    ...(timeZone ? { timeZone } : {}),
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const wallMs = (instantMs: number) => {
    const parts: Record<string, number> = {};
    for (const { type, value } of formatter.formatToParts(instantMs)) parts[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
  const offsetMs = (instantMs: number) => wallMs(instantMs) - Math.floor(instantMs / 1000) * 1000;
  return {
    wallMs,
    instantMs(wall) {
      // Clocks change by hours at most, so the offset is that of a day before or of a day after.
      const candidates = [offsetMs(wall - dayMs), offsetMs(wall + dayMs)]
        .map((offset) => wall - offset)
        .sort(ascending);
      return candidates.find((candidate) => wallMs(candidate) === wall);
    },
  };
}
