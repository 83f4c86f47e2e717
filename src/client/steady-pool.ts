/**
 * Connections of who must not live in the past: a node's proxy sends packets where it last heard that an endpoint was. A server that
 * vanished says nothing, and after a cut of the network TCP waits longer with each packet it sends again, so that what happened meanwhile
 * would come late by as long as the cut was. So silence is answered with a PING after a second; when that stays unanswered for another,
 * new connections are tried, one each 300 ms and to each server in turn, until one stands: then the old one is given up, and watches go
 * on over the new one. A server that is merely busy answers both late, and keeps the old one.
 */
import type { Clock } from "#base";
import { connect } from "./connect.ts";
import { type Connection, ConnectionError, codeOf, type Endpoint } from "./connection.ts";
import { delay } from "./delay.ts";

export interface PoolWait {
  readonly signal: AbortSignal | undefined;
  /** For a connection; for ever without it. */
  readonly waitMs: number | undefined;
}

export interface Pool {
  get(wait: PoolWait): Promise<Connection>;
  close(): void;
}

export interface SteadyOptions {
  /** Of the same cluster, beside the first. */
  readonly servers?: readonly string[];
  /** Called when nobody can be reached, with why, and with undefined when somebody is again. */
  readonly onReach?: (failure: Error | undefined) => void;
}

const silentMs = 1_000;
const answerMs = 1_000;
const attemptEveryMs = 300;
const attemptMsMax = 5_000;
/** Failures in a row before it is told: a server that starts again is away for a moment. */
const toldFailures = 5;

export function createSteadyPool(
  endpoints: readonly Endpoint[],
  { clock, onReach }: SteadyOptions & { readonly clock: Clock },
): Pool {
  let connections: Connection[] = [];
  let finding: Promise<Connection> | undefined;
  let waiting = 0;
  let at = 0;
  let failure: Error | undefined;
  let isTold = false;
  const closing = new AbortController();

  const vigil = {
    ...{ silentMs, answerMs },
    async onSilent() {
      const connection = await wanted(find);
      return () => connection.close();
    },
  };

  /** Counts who waits: nobody is called for nobody. */
  async function wanted<T>(work: () => Promise<T>): Promise<T> {
    waiting++;
    try {
      return await work();
    } finally {
      waiting--;
    }
  }

  function find(): Promise<Connection> {
    finding ??= race().finally(() => {
      finding = undefined;
    });
    finding.catch(() => undefined); // who waits hears of it
    return finding;
  }

  async function race(): Promise<Connection> {
    const found = Promise.withResolvers<Connection>();
    let isDone = false;
    let failures = 0;
    const attempt = async (index: number) => {
      const endpoint = endpoints[index % endpoints.length];
      if (!endpoint) return;
      try {
        const connection = await connect(endpoint, { clock, timeoutMs: attemptMsMax, vigil });
        if (isDone || closing.signal.aborted) return connection.close();
        isDone = true;
        at = index;
        // The newest first: the others may be silent.
        connections = [connection, ...connections];
        found.resolve(connection);
      } catch (error) {
        failure = error as Error; // connect rejects with Errors only
        if (++failures === toldFailures && !isDone && !isTold) {
          isTold = true;
          onReach?.(failure);
        }
      }
    };
    const stop = new AbortController();
    const life = AbortSignal.any([stop.signal, closing.signal]);
    void found.promise.then(() => stop.abort());
    for (let index = at; !isDone && waiting > 0 && !life.aborted; index++) {
      void attempt(index);
      await delay(clock, attemptEveryMs, life);
    }
    if (!isDone) {
      isDone = true;
      throw new ConnectionError("the transport is closed", { code: "ECLOSED" });
    }
    if (isTold) onReach?.(undefined);
    isTold = false;
    return found.promise;
  }

  async function get({ signal, waitMs }: PoolWait): Promise<Connection> {
    for (;;) {
      if (closing.signal.aborted) throw new ConnectionError("the transport is closed", { code: "ECLOSED" });
      connections = connections.filter((connection) => !connection.closed);
      const available = connections.find((connection) => connection.available);
      if (available) return available;
      const stop = new AbortController();
      const life = AbortSignal.any([stop.signal, closing.signal, ...(signal ? [signal] : [])]);
      const late = delay(clock, waitMs ?? foreverMs, life).then(() => {
        signal?.throwIfAborted();
        const { message, cause } = failure ?? new Error("no server answers");
        throw new ConnectionError(message, { code: codeOf(failure ?? cause), isUnprocessed: false });
      });
      try {
        await wanted(() => Promise.race([find(), late]));
      } finally {
        stop.abort();
        late.catch(() => undefined); // it lost
      }
    }
  }

  return {
    get,
    close() {
      closing.abort();
      for (const connection of connections) connection.close();
      connections = [];
    },
  };
}

/** As long as timers can wait. */
const foreverMs = 2 ** 31 - 1;
