/** Durations as Go writes them: `1h30m`, `.5s`, `-2us`. Ours are milliseconds. */
const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** What Go says is wrong with a text; "" for nothing. */
export function durationProblem(text: string): string {
  const read = readDuration(text);
  return typeof read === "string" ? read : "";
}

/** Milliseconds; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  const read = readDuration(text);
  return typeof read === "string" ? undefined : read;
}

function readDuration(text: string): number | string {
  const invalid = `time: invalid duration ${JSON.stringify(text)}`;
  const digits = text.replace(/^[+-]/, "");
  if (digits === "0") return 0;
  if (digits === "") return invalid;
  // From where the last one ended: cutting off the start each time would take quadratic time.
  const part = /([0-9]+\.?[0-9]*|\.[0-9]+)([^.0-9]*)/suy;
  let total = 0;
  while (part.lastIndex < digits.length) {
    const [, number = "", unit = ""] = part.exec(digits) ?? [];
    if (number === "") return invalid;
    if (unit === "") return `time: missing unit in duration ${JSON.stringify(text)}`;
    const scale = Object.hasOwn(unitMs, unit) ? unitMs[unit] : undefined;
    if (scale === undefined) return `time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`;
    total += Number(number) * scale;
  }
  return text.startsWith("-") ? -total : total;
}

/** `1.5s`, `350ms`, `2m3s`. */
export function printDuration(ms: number): string {
  if (ms < 0) return `-${printDuration(-ms)}`;
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = (ms % 60_000) / 1000;
  return `${hours ? `${hours}h` : ""}${hours || minutes ? `${minutes}m` : ""}${seconds}s`;
}
