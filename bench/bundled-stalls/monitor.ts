/**
 * Loaded into a server before its program (`--import`): tells its parent how long the event loop was held at a stretch. What counts is the main
 * thread's processor time between two turns of a timer, so that other programs on the machine, which stop this one as well, don't.
 */
import { isMainThread } from "node:worker_threads";

export interface Held {
  /** The longest time between two turns. */
  readonly longestMs: number;
}

const periodMs = 1;

if (isMainThread && process.send) {
  const cpuUs = () => {
    const { user, system } = process.threadCpuUsage();
    return user + system;
  };
  let last = cpuUs();
  let longest = 0;
  setInterval(() => {
    const now = cpuUs();
    longest = Math.max(longest, now - last);
    last = now;
  }, periodMs).unref();
  process.on("message", () => {
    process.send?.({ longestMs: longest / 1000 } satisfies Held);
    longest = 0;
  });
  process.channel?.unref();
}
