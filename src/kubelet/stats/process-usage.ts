/** What one process uses, from /proc: for parts of the node that have no group of their own. */
import { uptime } from "node:os";
import { readKernelFile } from "./kernel-file.ts";

export interface ProcessUsage {
  readonly cpuNanoSeconds: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly startedAgoMs: number;
}

/** The kernel tells times in hundredths of a second, whatever it counts in itself. */
const ticksPerSecond = 100;

/** Undefined: there is no such process. */
export function readProcessUsage(pid: number): ProcessUsage | undefined {
  const stat = readKernelFile(`/proc/${pid}/stat`);
  const status = readKernelFile(`/proc/${pid}/status`);
  if (stat === undefined || status === undefined) return undefined;
  // The name in brackets may hold anything; numbers are those of proc(5), from the third on.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3] ?? 0);
  return {
    cpuNanoSeconds: ((field(14) + field(15)) / ticksPerSecond) * 1e9,
    rssBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024,
    pageFaults: field(10),
    majorPageFaults: field(12),
    startedAgoMs: Math.max(0, (uptime() - field(22) / ticksPerSecond) * 1000),
  };
}
