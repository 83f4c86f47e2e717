/**
 * Whether the event loop has time for another request in this turn. Most requests here are done before the next one is even read, so
 * seats alone would never run out and a flood would wait in the sockets, where nobody is fair. When a turn has served requests for a
 * few milliseconds, those that come wait in their queues, and the next turn takes them in fair order. Upstream needs no such
 * thing: its requests run on all processors at once.
 */
export interface TurnGate {
  open(nowMs: number): boolean;
  /** Once, in the next turn. */
  next(run: () => void): void;
}

/** Nobody waits longer for others' requests of one turn than this and one more request. */
const turnMs = 5;

export function createTurnGate(): TurnGate {
  let startedMs = 0;
  let inTurn = false;
  let waiting: (() => void) | undefined;
  const end = () => {
    inTurn = false;
    const run = waiting;
    waiting = undefined;
    run?.();
  };
  const begin = () => {
    inTurn = true;
    setImmediate(end);
  };
  return {
    open(nowMs) {
      if (!inTurn) {
        begin();
        startedMs = nowMs;
      }
      return nowMs - startedMs < turnMs;
    },
    next(run) {
      waiting = run;
      if (!inTurn) begin();
    },
  };
}
