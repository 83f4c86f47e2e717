/**
 * Tells when somebody else may have changed the way to other nodes: `ip monitor`, for as long as there are others. An interface that goes
 * down takes its routes along without a word to their owner, so links are listened to as well; most of what is heard is about pods.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Clock, Logger } from "#base";
import { bridgeName, routeProtocol } from "./names.ts";

export interface RouteMonitor {
  /** Idempotent. */
  start(): void;
  close(): Promise<void>;
}

/** A machine whose routes flap is looked at no more often than this; the first change is answered at once. */
const quietMs = 200;
const restartMs = 5000;

export function createRouteMonitor(options: {
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: () => void;
}): RouteMonitor {
  const { clock, log, onChange } = options;
  let child: ChildProcess | undefined;
  let isClosed = false;
  let isQuiet = false;
  let heard = false;
  const cancels = new Set<() => void>();
  const later = (delayMs: number, run: () => void) => {
    const cancel = clock.after(delayMs, () => {
      cancels.delete(cancel);
      run();
    });
    cancels.add(cancel);
  };

  function tell(): void {
    heard = isQuiet;
    if (isQuiet) return;
    isQuiet = true;
    later(quietMs, () => {
      isQuiet = false;
      if (heard) tell();
    });
    onChange();
  }

  function start(): void {
    if (child || isClosed) return;
    const running = spawn("ip", ["-oneline", "monitor", "link", "address", "route"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    child = running;
    createInterface({ input: running.stdout }).on("line", (line) => {
      if (concernsRoutes(line)) tell();
    });
    running.on("error", (error) => log.warn("routes can't be watched", { error }));
    running.on("close", (code) => {
      child = undefined;
      if (isClosed) return;
      log.warn("routes are watched no more; it is tried again", { code });
      later(restartMs, () => {
        start();
        tell();
      });
    });
  }

  return {
    start,
    async close() {
      isClosed = true;
      for (const cancel of cancels) cancel();
      if (!child) return;
      const ended = once(child, "close");
      child.kill();
      await ended;
    },
  };
}

/** Whether a line of `ip -oneline monitor` is about what may lead to another node. Pods' cables and what we do ourselves aren't. */
export function concernsRoutes(line: string): boolean {
  if (/\bfe80:|\bff00:|\btable local\b|^(Deleted )?(multicast|broadcast|anycast|local) /.test(line)) return false;
  const link = /^(?:Deleted )?\d+: ([^\s:@]+)/.exec(line)?.[1];
  const name = link ?? / dev (\S+)/.exec(line)?.[1] ?? "";
  if (name === bridgeName || /^veth[0-9a-f]{8}$/.test(name) || / master /.test(line)) return false;
  return line.startsWith("Deleted ") || !new RegExp(` proto ${routeProtocol.nodes}\\b`).test(line);
}
