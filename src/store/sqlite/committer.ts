import { Worker } from "node:worker_threads";
import type { CommitEngine, CommitJob } from "./commit-engine.ts";
import { BatchPacker, type CommitReply } from "./commit-message.ts";
import { type SqliteFailure, sqliteFailure } from "./errors.ts";

/** `more`: the job did one bounded step, call it again. */
export type CommitDone = (failure: SqliteFailure | undefined, more: boolean) => void;

/** Where commits run. One job at a time: the caller (`commit-queue.ts`) waits for `done`. */
export interface Committer {
  submit(job: CommitJob, done: CommitDone): void;
  close(): Promise<void>;
}

/** In the caller's thread: for ":memory:", which one connection only can see, and where nothing blocks. */
export function inlineCommitter(engine: CommitEngine): Committer {
  return {
    submit(job, done) {
      let more = false;
      let failure: SqliteFailure | undefined;
      try {
        more = engine.run(job);
      } catch (error) {
        failure = sqliteFailure(error);
      }
      setImmediate(done, failure, more); // Never from within `submit`, as with the thread.
    },
    async close() {
      engine.close();
    },
  };
}

/**
 * In a thread of its own. Measured with commits in the main thread: the event loop stood still for 20 to 100 ms in checkpoints
 * and fsyncs, on a fast disk. The thread costs 10 MB, and about 50 microseconds of CPU for each batch.
 * When it ends unasked (it should not: out of memory, say), what became of its batch is unknown, so every later write fails too, until
 * the process starts again and reads what is on disk.
 */
export function workerCommitter(path: string, onWarning: (message: string) => void): Committer {
  // Bundled, the thread's program is a file of its own beside the bundle.
  const program = import.meta.url.endsWith(".ts") ? "./commit-worker.ts" : "./store-commit-worker.js";
  const worker = new Worker(new URL(program, import.meta.url), {
    name: "store-commit",
    workerData: { path },
    execArgv: [], // Not the main thread's --test or --import.
    // It only keeps prepared statements; the default young generation alone would be 16 MB.
    resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 },
  });
  worker.unref(); // An idle store does not keep the process alive; a commit under way does.
  const packer = new BatchPacker();
  let waiting: CommitDone | undefined;
  let stopped: SqliteFailure | undefined;

  const answer = (failure: SqliteFailure | undefined, more: boolean) => {
    const done = waiting;
    waiting = undefined;
    worker.unref();
    done?.(failure, more);
  };
  worker.on("message", (reply: CommitReply) => {
    if (reply.kind === "warning") onWarning(reply.message);
    else answer(reply.failure, reply.more);
  });
  worker.on("error", (error) => {
    stopped = sqliteFailure(error);
  });
  worker.on("exit", () => {
    stopped ??= { errcode: undefined, message: "the commit thread ended" };
    answer(stopped, false);
  });

  return {
    submit(job, done) {
      waiting = done;
      if (stopped) {
        answer(stopped, false);
        return;
      }
      worker.ref();
      worker.postMessage(job.kind === "write" ? packer.pack(job.rows, job.leases) : job);
    },
    close() {
      if (stopped) return Promise.resolve();
      return new Promise((resolve) => {
        worker.ref();
        worker.once("exit", () => resolve());
        worker.postMessage({ kind: "close" });
      });
    },
  };
}
