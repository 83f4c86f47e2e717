/**
 * When a schedule comes next. It is walked as robfig/cron walks it, which upstream uses, so that the same is done when clocks change:
 * times that are left out are left out, times that come twice come twice. The text is read where it is validated.
 */
import { readSchedule, ScheduleError } from "#api";

export interface Schedule {
  /** The first time after this one, in ms; undefined when there is none within five years. */
  next(afterMs: number): number | undefined;
}

const secondMs = 1000;
const minuteMs = 60_000;
const hourMs = 3_600_000;
const yearsMax = 5;

/** Throws ScheduleError. Without a zone the machine's counts; one in the text counts more than the other. */
export function parseSchedule(text: string, timeZone?: string): Schedule {
  if (text === "" && timeZone === undefined) throw new ScheduleError("empty spec string");
  const { zone: ownZone, everyMs, fields } = readSchedule(text);
  if (everyMs !== undefined) return { next: (afterMs) => afterMs - (afterMs % secondMs) + everyMs };
  const [minutes, hours, monthDays, months, weekDays] = fields;
  if (!minutes || !hours || !monthDays || !months || !weekDays) throw new ScheduleError("empty spec string");
  const clock = createWallClock(ownZone ?? timeZone);
  const fitsDay = (wall: Date): boolean => {
    const monthDay = monthDays.values.has(wall.getUTCDate());
    const weekDay = weekDays.values.has(wall.getUTCDay());
    return monthDays.any || weekDays.any ? monthDay && weekDay : monthDay || weekDay;
  };
  return {
    next(afterMs) {
      let at = afterMs - (afterMs % secondMs) + secondMs;
      let wall = clock.wall(at);
      const lastYear = wall.getUTCFullYear() + yearsMax;
      const to = (ms: number) => {
        at = ms;
        wall = clock.wall(ms);
      };
      /** Whether smaller parts have been set to their beginning, which is done once. */
      let isCut = false;
      const cut = (ms: () => number) => {
        if (!isCut) to(ms());
        isCut = true;
      };
      /** Years, months and days of the wall clock; the time of day stays unless it is given. */
      const date = (monthsOn: number, day: number, timeMs = wall.getTime() % (24 * hourMs)) =>
        clock.instant(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + monthsOn, day) + timeMs);
      search: while (wall.getUTCFullYear() <= lastYear) {
        while (!months.values.has(wall.getUTCMonth() + 1)) {
          cut(() => date(0, 1, 0));
          to(date(1, wall.getUTCDate()));
          if (wall.getUTCMonth() === 0) continue search;
        }
        while (!fitsDay(wall)) {
          cut(() => date(0, wall.getUTCDate(), 0));
          to(date(0, wall.getUTCDate() + 1));
          // Where clocks change at midnight.
          const hour = wall.getUTCHours();
          if (hour !== 0) to(at + (hour > 12 ? 24 - hour : -hour) * hourMs);
          if (wall.getUTCDate() === 1) continue search;
        }
        while (!hours.values.has(wall.getUTCHours())) {
          cut(() => date(0, wall.getUTCDate(), wall.getUTCHours() * hourMs));
          to(at + hourMs);
          if (wall.getUTCHours() === 0) continue search;
        }
        while (!minutes.values.has(wall.getUTCMinutes())) {
          cut(() => at - (at % minuteMs));
          to(at + minuteMs);
          if (wall.getUTCMinutes() === 0) continue search;
        }
        const seconds = wall.getUTCSeconds();
        if (seconds === 0) return at;
        isCut = true;
        to(at + minuteMs - seconds * secondMs);
      }
      return undefined;
    },
  };
}

interface WallClock {
  /** What the clocks there show, as if it were UTC. */
  wall(instantMs: number): Date;
  /** When the clocks there show this; when they never do, Go's choice of a time nearby. */
  instant(wallMs: number): number;
}

function createWallClock(timeZone: string | undefined): WallClock {
  if (timeZone === "UTC") return { wall: (ms) => new Date(ms), instant: (ms) => ms };
  const formatter = new Intl.DateTimeFormat("en-US", {
    ...(timeZone && timeZone !== "Local" ? { timeZone } : {}),
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
  const offsetMs = (instantMs: number) => wallMs(instantMs) - Math.floor(instantMs / secondMs) * secondMs;
  return {
    wall: (instantMs) => new Date(wallMs(instantMs)),
    instant: (wall) => wall - offsetMs(wall - offsetMs(wall)),
  };
}

/** As RFC 3339 writes it there: `2026-03-01T02:00:00+01:00`. */
export function timeInZone(instantMs: number, timeZone: string): string {
  const wall = createWallClock(timeZone).wall(instantMs);
  const offsetMinutes = Math.round((wall.getTime() - instantMs) / minuteMs);
  const text = wall.toISOString().slice(0, 19);
  if (offsetMinutes === 0) return `${text}Z`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const size = Math.abs(offsetMinutes);
  return `${text}${offsetMinutes < 0 ? "-" : "+"}${two(size / 60)}:${two(size % 60)}`;
}
