/** What another process takes, as Linux tells it: processor time of all its threads, and resident memory. */
import { readFileSync } from "node:fs";

/** /proc counts in hundredths of a second on every Linux. */
const tickMs = 10;

/** Several processes count together. */
export const cpuMsOf = (...pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuMsOfOne(pid), 0);
export const residentMiB = (...pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + residentMiBOfOne(pid), 0);

function cpuMsOfOne(pid: number): number {
  // The name comes in parentheses and may hold anything.
  const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/\) (?=[^)]*$)/);
  const fields = rest.split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return (user + system) * tickMs;
}

function residentMiBOfOne(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1] ?? Number.NaN) / 1024;
}

export function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN;
}

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    process.stdout.write(`${cells.join("  ").trimEnd()}\n`);
  }
}
