/** Two byte streams become one: what comes from either goes to the other, with back-pressure, until one of them ends. */
import type { Duplex } from "node:stream";

/**
 * How long a peer may take to read what is left and to close, once the other side is gone. Closing at once would reset the
 * connection as soon as the peer sends another byte, and a slow reader would lose the end of its output. Upstream waits as long.
 */
export const lingerMs = 15 * 60_000;

/** Resolves when both are closed, and never rejects: whatever ends or breaks first ends the other one. */
export async function splice(a: Duplex, b: Duplex): Promise<void> {
  a.pipe(b);
  b.pipe(a);
  await Promise.all([endWith(a, b), endWith(b, a)]);
}

/** `follower` ends when `leader` is over, after what it still has to write. */
function endWith(leader: Duplex, follower: Duplex): Promise<void> {
  // An upgraded connection is over as soon as one side says so: nobody waits for a second end of file.
  leader.once("end", () => leader.end());
  leader.on("error", () => leader.destroy());
  return new Promise((resolve) => {
    const over = (): void => {
      leader.unpipe(follower);
      follower.unpipe(leader);
      follower.end();
      // What the peer still says has nowhere to go, but must be read for its end to be seen.
      follower.resume();
      const timer = setTimeout(() => follower.destroy(), lingerMs);
      timer.unref();
      if (follower.destroyed) clearTimeout(timer);
      follower.once("close", () => clearTimeout(timer));
      resolve();
    };
    if (leader.destroyed) over();
    else leader.once("close", over);
  });
}
