/** A request in a priority level: it waits, runs, or is done. */
import { assert, type Clock } from "#base";
import type { Digest } from "./classify.ts";
import type { Level, Schema } from "./levels.ts";
import type { Queue, QueuedRequest, Work } from "./queue-set.ts";
import type { RequestKinds } from "./request-kinds.ts";
import { isReadOnly, type Passage, type TooManyRequests, type Visit } from "./visit.ts";

/** As upstream: nobody waits longer. */
const waitMsMax = 60_000;

/** Told by its requests. */
export interface RequestOwner {
  readonly kinds: RequestKinds;
  readonly clock: Clock;
  readonly precise: () => number;
  /** It gave up waiting. */
  left(request: FlowRequest, nowMs: number): void;
  /** It no longer waits, for it runs. */
  started(): void;
  /** Seats became free. */
  freed(level: Level, nowMs: number): void;
  refuseAfterWaiting(schema: Schema): TooManyRequests;
}

export class FlowRequest implements QueuedRequest, Passage {
  readonly schema: Schema;
  readonly digest: Digest;
  readonly work: Work;
  readonly seats: number;
  readonly arrivedMs: number;
  distinguisher = "";
  queue: Queue | undefined = undefined;
  next: QueuedRequest | undefined = undefined;
  previous: QueuedRequest | undefined = undefined;
  arrivedR = 0;
  startedMs = 0;
  waitedMs = 0;
  readonly #control: RequestOwner;
  #proceed: ((nowMs: number) => void) | undefined;
  #over = false;

  constructor(control: RequestOwner, { visit, schema, work }: { visit: Visit; schema: Schema; work: Work }) {
    this.#control = control;
    this.schema = schema;
    this.digest = visit;
    this.work = work;
    this.seats = Math.max(work.initialSeats, work.finalSeats);
    this.arrivedMs = visit.arrivedMs;
    schema.series.estimatedSeats.observe(this.seats);
  }

  get flow() {
    return this.schema.flow;
  }

  noteQueueLength(): void {
    if (this.queue) this.schema.series.queueLength.observe(this.queue.waiting.length || 1);
  }

  /** It starts, at once or after waiting. */
  run(nowMs: number): void {
    const { series, level } = this.schema;
    if (!level.exempt) {
      this.waitedMs = nowMs - this.arrivedMs;
      series.waited.observe(this.waitedMs / 1000);
    }
    series.dispatched.inc();
    series.executing.add(1);
    series.executingSeats.add(this.seats);
    this.#control.kinds.executing(isReadOnly(this.digest.verb), 1, nowMs);
  }

  start(nowMs: number): void {
    assert(this.#proceed, "only who waits is started");
    this.#control.started();
    this.#proceed(nowMs);
  }

  wait(visit: Visit): Promise<Passage> {
    const { waitMs, verb } = visit;
    const { series } = this.schema;
    const control = this.#control;
    const readOnly = isReadOnly(verb);
    this.noteQueueLength();
    series.waiting.add(1);
    series.waitingSeats.add(this.seats);
    control.kinds.waiting(readOnly, 1, this.arrivedMs);
    return new Promise((resolve, reject) => {
      const aborts = visit.signal?.();
      const done = (nowMs: number) => {
        cancel();
        aborts?.removeEventListener("abort", give);
        this.#proceed = undefined;
        series.waiting.add(-1);
        series.waitingSeats.add(-this.seats);
        control.kinds.waiting(readOnly, -1, nowMs);
      };
      const give = () => {
        const nowMs = control.precise();
        done(nowMs);
        control.left(this, nowMs);
        series.waitedInVain().observe((nowMs - this.arrivedMs) / 1000);
        reject(control.refuseAfterWaiting(this.schema));
      };
      this.#proceed = (nowMs) => {
        done(nowMs);
        this.run(nowMs);
        resolve(this);
      };
      const cancel = control.clock.after(Math.min(waitMs, waitMsMax), give);
      if (aborts?.aborted) give();
      else aborts?.addEventListener("abort", give, { once: true });
    });
  }

  finish(nowMs: number): void {
    if (this.#over) return;
    this.#over = true;
    const { series, level } = this.schema;
    const isWatch = this.digest.verb === "watch";
    (isWatch ? series.watchStart() : series.execution).observe((nowMs - this.startedMs) / 1000);
    series.executing.add(-1);
    this.#control.kinds.executing(isReadOnly(this.digest.verb), -1, nowMs);
    level.queues.finish(this, nowMs);
    if (this.work.extraMs === 0) this.#release(nowMs);
    // The client has its answer; the watchers are still being told.
    else this.#control.clock.after(this.work.extraMs, () => this.#release(this.#control.precise()));
  }

  #release(nowMs: number): void {
    const { level, series } = this.schema;
    series.executingSeats.add(-this.seats);
    level.queues.release(this, nowMs);
    this.#control.freed(level, nowMs);
  }
}
