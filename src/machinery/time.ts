/**
 * Times on the wire: RFC 3339 in UTC, whole seconds (`metav1.Time`) or six digits of a second (`metav1.MicroTime`),
 * and ages and durations as people read them. Parse errors are those of Go's time package, because clients see them.
 */

/** `2026-01-02T03:04:05Z`, the fraction cut off. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** `2026-01-02T03:04:05.678000Z`; the clock has milliseconds, so the last three digits are zero. */
export function formatMicroTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}

/** Milliseconds since the epoch of a time that the API holds; NaN when absent or no time. */
export function timeMs(time: string | null | undefined): number {
  return time ? Date.parse(time) : Number.NaN;
}

/** The same of a text that anybody may have written, by Go's rules, to the second. */
export function writtenTimeMs(text: string): number {
  try {
    return timeMs(canonicalTimeText(text));
  } catch (error) {
    if (error instanceof TimeError) return Number.NaN;
    throw error;
  }
}

/** A text that is no time; the message is Go's. */
export class TimeError extends Error {
  override name = "TimeError";
}

const canonicalTime =
  /^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;
const layoutSeconds = "2006-01-02T15:04:05Z07:00";
const layoutMicro = "2006-01-02T15:04:05.000000Z07:00";
/** Go's zero time, which the API shows as null. */
const zeroTime = "0001-01-01T00:00:00";

/** A time as the API shows it: UTC, whole seconds; null for Go's zero time. Throws TimeError. */
export function canonicalTimeText(text: string): string | null {
  if (canonicalTime.test(text)) return text.startsWith(zeroTime) ? null : text;
  const { ms } = new TimeReader(text, layoutSeconds).read();
  const printed = new Date(ms).toISOString().slice(0, 19);
  return printed === zeroTime ? null : `${printed}Z`;
}

/** A micro time as the API shows it. Six digits of a second must be there. Throws TimeError. */
export function canonicalMicroTimeText(text: string): string | null {
  const { ms, fraction } = new TimeReader(text, layoutMicro).read();
  const printed = new Date(ms).toISOString().slice(0, 19);
  const micros = fraction.padEnd(6, "0").slice(0, 6);
  return printed === zeroTime && micros === "000000" ? null : `${printed}.${micros}Z`;
}

/** Reads one text by Go's rules, part by part, so that its complaint names the part that Go would name. */
class TimeReader {
  readonly #text: string;
  readonly #layout: string;
  #rest: string;

  constructor(text: string, layout: string) {
    this.#text = text;
    this.#layout = layout;
    this.#rest = text;
  }

  read(): { ms: number; fraction: string } {
    const year = this.#digits("2006", 4);
    this.#literal("-");
    const month = this.#digits("01", 2);
    if (month < 1 || month > 12) throw this.#outOfRange("month");
    this.#literal("-");
    const day = this.#digits("02", 2);
    this.#literal("T");
    const hour = this.#digits("15", 2);
    if (hour > 23) throw this.#outOfRange("hour");
    this.#literal(":");
    const minute = this.#digits("04", 2);
    if (minute > 59) throw this.#outOfRange("minute");
    this.#literal(":");
    const second = this.#digits("05", 2);
    if (second > 59) throw this.#outOfRange("second");
    const fraction = this.#fraction();
    const offsetMinutes = this.#zone();
    if (this.#rest !== "") throw this.#error(`: extra text: ${quote(this.#rest)}`);
    const time = new Date(0);
    time.setUTCFullYear(year, month - 1, day);
    if (day < 1 || time.getUTCMonth() !== month - 1) throw this.#outOfRange("day");
    time.setUTCHours(hour, minute - offsetMinutes, second);
    return { ms: time.getTime(), fraction };
  }

  #digits(element: string, count: number): number {
    const digits = this.#rest.slice(0, count);
    if (digits.length < count || !/^[0-9]+$/.test(digits)) throw this.#cannotParse(this.#rest, element);
    this.#rest = this.#rest.slice(count);
    return Number(digits);
  }

  #literal(character: string): void {
    if (!this.#rest.startsWith(character)) throw this.#cannotParse(this.#rest, character);
    this.#rest = this.#rest.slice(1);
  }

  #fraction(): string {
    const micro = this.#layout === layoutMicro;
    const match = (micro ? /^[.,]([0-9]{6})/ : /^[.,]([0-9]+)/).exec(this.#rest);
    if (!match) {
      if (micro) throw this.#cannotParse(this.#rest, ".000000");
      return "";
    }
    this.#rest = this.#rest.slice(match[0].length);
    return match[1] ?? "";
  }

  #zone(): number {
    if (this.#rest.startsWith("Z")) {
      this.#rest = this.#rest.slice(1);
      return 0;
    }
    const match = /^([+-])([0-9]{2}):([0-9]{2})/.exec(this.#rest);
    if (!match) throw this.#cannotParse(this.#rest, "Z07:00");
    const [whole, sign, hours, minutes] = match;
    if (Number(hours) > 24) throw this.#outOfRange("time zone offset hour");
    if (Number(minutes) > 60) throw this.#outOfRange("time zone offset minute");
    this.#rest = this.#rest.slice(whole.length);
    return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  }

  #cannotParse(value: string, element: string): TimeError {
    return this.#error(` as ${quote(this.#layout)}: cannot parse ${quote(value)} as ${quote(element)}`);
  }

  #outOfRange(what: string): TimeError {
    return this.#error(`: ${what} out of range`);
  }

  #error(rest: string): TimeError {
    return new TimeError(`parsing time ${quote(this.#text)}${rest}`);
  }
}

/** The time package's own quoting: everything but printable ASCII as bytes. */
function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replace(/[^ -~]/gu, hexBytes)}"`;
}

function hexBytes(character: string): string {
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** An age as `kubectl get` shows it: two units while young, one later. Negative beyond clock skew is `<invalid>`. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 10) return twoUnits(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.trunc(minutes / 60);
  if (hours < 8) return twoUnits(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(hours / 24);
  if (hours < 24 * 8) return twoUnits(days, "d", hours % 24, "h");
  if (hours < 24 * 365 * 2) return `${days}d`;
  const years = Math.trunc(days / 365);
  if (hours < 24 * 365 * 8) return twoUnits(years, "y", days % 365, "d");
  return `${years}y`;
}

function twoUnits(...[large, largeUnit, small, smallUnit]: [number, string, number, string]): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

/** An age in one unit. */
export function shortHumanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.trunc(seconds / 60)}m`;
  const hours = Math.trunc(seconds / 3600);
  if (hours < 24) return `${hours}h`;
  return hours < 24 * 365 ? `${Math.trunc(hours / 24)}d` : `${Math.trunc(hours / 24 / 365)}y`;
}
