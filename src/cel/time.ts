/** Durations and timestamps with nanoseconds: Go's texts, arithmetic with overflow, calendar fields in time zones. */

import { int64Max, int64Min, plainNumber } from "./go-numbers.ts";
import { CelError, Duration, Timestamp } from "./values.ts";

const second = 1_000_000_000n;
const unitNanoseconds: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: second,
  m: 60n * second,
  h: 3600n * second,
};
/** 0001-01-01T00:00:00Z */
export const minTime = -62_135_596_800;
/** 9999-12-31T23:59:59Z */
export const maxTime = 253_402_300_799;
const timestampOverflow = new CelError("timestamp overflow");
const integerOverflow = new CelError("integer overflow");

/** time.ParseDuration; undefined when it fails. */
export function parseDuration(text: string): Duration | undefined {
  const body = text.replace(/^[+-]/, "");
  if (body === "0") return new Duration(0n);
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of body.matchAll(/(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const scale = unitNanoseconds[unit] ?? 0n;
    total += BigInt(whole || "0") * scale;
    // Beyond 18 digits nothing is left of any unit.
    const digits = fraction.slice(0, 18);
    if (digits !== "") total += (BigInt(digits) * scale) / 10n ** BigInt(digits.length);
    if (total > int64Max + 1n) return undefined;
  }
  const value = text.startsWith("-") ? -total : total;
  return value > int64Max || value < int64Min ? undefined : new Duration(value);
}

/** Seconds with as many decimals as there are: `3600s`, `0.5s`. */
export function printDuration({ nanoseconds }: Duration): string {
  return `${plainNumber(Number(nanoseconds / second) + Number(nanoseconds % second) / 1e9)}s`;
}

/** time.Duration's own text: `1h0m0.5s`. */
export function goDuration({ nanoseconds: value }: Duration): string {
  const size = value < 0n ? -value : value;
  const sign = value < 0n ? "-" : "";
  if (size === 0n) return "0s";
  if (size < second) {
    const unit = size < 1000n ? "ns" : size < 1_000_000n ? "µs" : "ms";
    return sign + decimal(size, unitNanoseconds[unit] ?? 1n) + unit;
  }
  const minutes = size / (60n * second);
  const seconds = `${decimal(size % (60n * second), second)}s`;
  if (minutes === 0n) return sign + seconds;
  return `${sign}${minutes >= 60n ? `${minutes / 60n}h` : ""}${minutes % 60n}m${seconds}`;
}

function decimal(value: bigint, unit: bigint): string {
  const fraction = String(value % unit)
    .padStart(String(unit).length - 1, "0")
    .replace(/0+$/, "");
  return `${value / unit}${fraction && unit > 1n ? `.${fraction}` : ""}`;
}

const timePattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;
const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** time.Parse(RFC3339): undefined when it is none. */
export function parseTime(text: string): Timestamp | CelError | undefined {
  const match = timePattern.exec(text);
  if (!match) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, seconds = 0] = match.slice(1, 7).map(Number);
  const leapDay = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  if (month < 1 || day < 1 || day > (daysInMonth[month - 1] ?? 0) + leapDay) return undefined;
  if (hour > 23 || minute > 59 || seconds > 59) return undefined;
  const [zoneHour, zoneMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (zoneHour > 24 || zoneMinute > 60) return undefined;
  const offset = (match[8] === "-" ? -1 : 1) * (zoneHour * 3600 + zoneMinute * 60);
  const nanoseconds = Number((match[7] ?? "").slice(0, 9).padEnd(9, "0"));
  return timestampOf(
    epochSeconds(year, month, day) + hour * 3600 + minute * 60 + seconds - offset,
    nanoseconds,
    offset,
  );
}

/** Seconds of a day's start. Years below 100 are those of the first century. */
function epochSeconds(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month - 1, day) / 1000;
}

export function parseDate(text: string): Timestamp | undefined {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? parseTime(`${text}T00:00:00Z`) : undefined;
  return time instanceof Timestamp ? time : undefined;
}

export function timestampOf(seconds: number, nanoseconds = 0, offsetSeconds = 0): Timestamp | CelError {
  if (seconds < minTime || seconds > maxTime) return timestampOverflow;
  return new Timestamp(seconds, nanoseconds, offsetSeconds);
}

/** RFC 3339 with as many decimals as there are, in the offset that it was written with. */
export function printTime({ seconds, nanoseconds, offsetSeconds }: Timestamp): string {
  const date = new Date((seconds + offsetSeconds) * 1000);
  // Years outside 0000-9999 (an offset at the edge) print with a sign and six digits.
  const text = date.toISOString().replace(/\.000Z$/, "");
  const fraction = nanoseconds ? `.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}` : "";
  if (offsetSeconds === 0) return `${text}${fraction}Z`;
  const minutes = Math.floor(Math.abs(offsetSeconds) / 60);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${text}${fraction}${offsetSeconds < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

export function durationOf(nanoseconds: bigint): Duration | CelError {
  return nanoseconds > int64Max || nanoseconds < int64Min ? integerOverflow : new Duration(nanoseconds);
}

export function addDuration(time: Timestamp, { nanoseconds }: Duration): Timestamp | CelError {
  const total = BigInt(time.seconds) * second + BigInt(time.nanoseconds) + nanoseconds;
  const rest = ((total % second) + second) % second;
  return timestampOf(Number((total - rest) / second), Number(rest), time.offsetSeconds);
}

export function timeBetween(a: Timestamp, b: Timestamp): Duration | CelError {
  return durationOf(BigInt(a.seconds - b.seconds) * second + BigInt(a.nanoseconds - b.nanoseconds));
}

export const compareTimes = (a: Timestamp, b: Timestamp): number =>
  a.seconds - b.seconds || a.nanoseconds - b.nanoseconds;

export type CalendarField =
  | "getFullYear"
  | "getMonth"
  | "getDayOfYear"
  | "getDayOfMonth"
  | "getDate"
  | "getDayOfWeek"
  | "getHours"
  | "getMinutes"
  | "getSeconds"
  | "getMilliseconds";

const dayMs = 86_400_000;

const calendar: Readonly<Record<CalendarField, (local: Date, time: Timestamp) => number>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDayOfYear: (local) => Math.floor(local.getTime() / dayMs) - epochSeconds(local.getUTCFullYear(), 1, 1) / 86_400,
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDate: (local) => local.getUTCDate(),
  getDayOfWeek: (local) => local.getUTCDay(),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (_, time) => Math.floor(time.nanoseconds / 1e6),
};

/** Zones whose rules are kept: making them is slow, expressions may ask for any number of them. */
const zonesMax = 16;

/** Calendar fields; keeps the rules of the zones that were asked for. */
export function createCalendar(): (field: CalendarField, time: Timestamp, zone?: string) => bigint | CelError {
  const zones = new Map<string, Intl.DateTimeFormat>();
  const offsetIn = (zone: string, seconds: number): number | CelError => {
    if (zone === "" || zone === "UTC") return 0;
    const colon = zone.indexOf(":");
    if (colon >= 0) return fixedOffset(zone, colon);
    let format = zones.get(zone);
    if (!format) {
      try {
        const timeZone = zone === "Local" ? undefined : zone;
        format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset", year: "numeric" });
      } catch {
        return new CelError(`unknown time zone ${zone}`);
      }
      if (zones.size >= zonesMax) zones.clear();
      zones.set(zone, format);
    }
    const name = format.formatToParts(seconds * 1000).find((part) => part.type === "timeZoneName")?.value ?? "";
    const [, sign, hours = 0, minutes = 0, rest = 0] = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(name) ?? [];
    return (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(rest));
  };
  return (field, time, zone = "UTC") => {
    const offset = offsetIn(zone, time.seconds);
    if (offset instanceof CelError) return offset;
    return BigInt(calendar[field](new Date((time.seconds + offset) * 1000), time));
  };
}

/** `[+-]hh:mm`, read as loosely as cel-go does. */
function fixedOffset(zone: string, colon: number): number | CelError {
  const texts = [zone.slice(0, colon), zone.slice(colon + 1)];
  for (const text of texts)
    if (!/^[+-]?\d+$/.test(text)) return new CelError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  const [hours = 0, minutes = 0] = texts.map(Number);
  return (zone.startsWith("-") ? hours * 60 - minutes : hours * 60 + minutes) * 60;
}
