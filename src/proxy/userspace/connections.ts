/**
 * How many sockets a proxy may hold: each connection through it takes two file descriptors, and a process without any can't even log.
 * What is beyond is refused, with a word in the log now and then.
 */
import { readFileSync } from "node:fs";
import type { Clock, Logger } from "#base";

/** For everything else in the process. */
const reserved = 512;
const wordMs = 10_000;

export interface Connections {
  /** False: full. The caller refuses. */
  take(count: number): boolean;
  give(count: number): void;
  readonly taken: number;
}

export function createConnections(max: number, { clock, log }: { clock: Clock; log: Logger }): Connections {
  let taken = 0;
  let refused = 0;
  let saidAt = Number.NEGATIVE_INFINITY;
  return {
    get taken() {
      return taken;
    },
    take(count) {
      if (taken + count <= max) {
        taken += count;
        return true;
      }
      refused++;
      if (clock.now() - saidAt >= wordMs) {
        saidAt = clock.now();
        log.warn(
          "too many connections through the user-space proxy: new ones are refused (raise the limit of open files)",
          {
            descriptorsMax: max,
            refused,
          },
        );
        refused = 0;
      }
      return false;
    },
    give(count) {
      taken -= count;
    },
  };
}

/** Node.js has raised the soft limit to the hard one when it started. */
export function descriptorsMax(): number {
  const [, soft = "1024"] = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  const limit = soft === "unlimited" ? 1_048_576 : Number(soft);
  return Math.max(64, limit - reserved);
}
