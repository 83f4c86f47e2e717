/**
 * The queues of one priority level: which of the waiting requests starts next. Fair queuing for requests whose cost is known only when
 * they are done: a queue's turn is where it would stand if all busy queues had been served evenly ("R", seat-seconds for each queue);
 * a request is charged an estimate when it starts, and the difference when it ends. Follows upstream's fairqueuing/queueset.
 *
 * The difference to upstream is what a request costs that needn't wait: it never enters a queue, and the sums that upstream makes by
 * walking all queues are kept. Pure: the time comes with each call; who is started learns it by `start`.
 */
import { assert, type Histogram } from "#base";
import { DemandIntegrator, type DemandPeriod } from "./demand.ts";
import { type Listed, RequestList } from "./request-list.ts";

/** What a request is assumed to take until it is done, as upstream. */
const estimateSeconds = 0.003;

export interface Queuing {
  readonly queues: number;
  readonly lengthMax: number;
}

/** "exempt" and "reject" have no queues: the one never waits, the other is refused when all seats are taken. */
export type Response = "exempt" | "reject" | Queuing;

export interface Work {
  readonly initialSeats: number;
  /** Taken for `extraMs` after the answer, by the events that a write causes. */
  readonly finalSeats: number;
  readonly extraMs: number;
}

export interface QueuedRequest extends Listed<QueuedRequest> {
  readonly work: Work;
  /** The more of both kinds of seats: taken from start to end. */
  readonly seats: number;
  queue: Queue | undefined;
  arrivedR: number;
  startedMs: number;
  /** It stops waiting and runs. */
  start(nowMs: number): void;
}

/** Weighted by nanoseconds, as upstream's timing histograms. */
export interface RatioHistograms {
  readonly seats: Histogram;
  readonly executing: Histogram;
  readonly waiting: Histogram;
  readonly demand: Histogram;
}

export class Queue {
  readonly waiting = new RequestList<QueuedRequest>();
  /** R at which its next request would start if all were served evenly. */
  nextR = 0;
  executing = 0;
  seatsInUse = 0;
  /** Of those that wait, in seat-seconds and seats. */
  work = 0;
  waitingSeats = 0;
  initialSeats = 0;

  get idle(): boolean {
    return this.executing === 0 && this.waiting.length === 0;
  }
}

const workOf = ({ initialSeats, finalSeats, extraMs }: Work): number =>
  initialSeats * estimateSeconds + (finalSeats * extraMs) / 1000;

export class QueueSet {
  readonly executing = new RequestList<QueuedRequest>();
  readonly queues: Queue[] = [];
  waiting = 0;
  seatsInUse = 0;
  seatsWaiting = 0;
  /** Refused, and of these the ones that waited in vain. */
  rejected = 0;
  cancelled = 0;
  dispatched = 0;
  r = 0;
  readonly #histograms: RatioHistograms;
  readonly #demand = new DemandIntegrator();
  #response: Response = "reject";
  #limit = 0;
  #denominator = 1;
  #atMs: number;
  /** Queues with requests; the rest stands still. */
  #busy = 0;
  #dealt = 0;
  #robin = 0;

  constructor(histograms: RatioHistograms, nowMs: number) {
    this.#histograms = histograms;
    this.#atMs = nowMs;
  }

  get limit(): number {
    return this.#limit;
  }

  get idle(): boolean {
    return this.waiting === 0 && this.executing.length === 0;
  }

  configure(response: Response, nowMs: number): void {
    this.sync(nowMs);
    this.#response = response;
    if (typeof response === "string") return;
    while (this.queues.length < response.queues) this.queues.push(new Queue());
    // Those too many go when they are empty.
    for (let at = this.queues.length - 1; at >= response.queues; at--) this.#removeIfIdle(this.queues[at]);
  }

  setLimit({ limit, denominator }: { limit: number; denominator: number }, nowMs: number): void {
    this.sync(nowMs);
    this.#limit = limit;
    this.#denominator = denominator;
  }

  /** The demand since the last time. */
  endPeriod(nowMs: number): DemandPeriod {
    this.sync(nowMs);
    return this.#demand.reset(this.seatsInUse + this.seatsWaiting);
  }

  /**
   * Takes the request in: it runs already, it waits, or it is refused. `mayStart`: whether the server has time for it just now.
   * Its queue is the least loaded of `hand`.
   */
  arrive(
    request: QueuedRequest,
    { hand, mayStart, nowMs }: { hand: readonly number[]; mayStart: boolean; nowMs: number },
  ): "runs" | "waits" | "concurrency-limit" | "queue-full" {
    this.sync(nowMs);
    const response = this.#response;
    if (typeof response === "string") {
      if (response !== "exempt" && !this.#fits(request.seats)) {
        this.rejected++;
        return "concurrency-limit";
      }
      this.#run(request, nowMs);
      return "runs";
    }
    const at = this.#choose(hand);
    const queue = this.queues[at]!; // chosen from them
    if (queue.waiting.length >= response.lengthMax && (!mayStart || this.seatsInUse >= this.#limit)) {
      this.rejected++;
      return "queue-full";
    }
    if (queue.idle) queue.nextR = this.r;
    request.queue = queue;
    request.arrivedR = this.r;
    if (mayStart && this.waiting === 0 && this.seatsInUse < this.#limit && this.#fits(request.seats)) {
      if (queue.nextR < this.r) queue.nextR = this.r;
      this.#robin = at;
      this.#run(request, nowMs);
      return "runs";
    }
    if (queue.idle) this.#busy++;
    queue.waiting.add(request);
    queue.work += workOf(request.work);
    queue.waitingSeats += request.seats;
    queue.initialSeats += request.work.initialSeats;
    this.waiting++;
    this.seatsWaiting += request.seats;
    this.#bound(queue);
    this.#demand.note(this.seatsInUse + this.seatsWaiting);
    return "waits";
  }

  /** Starts the request whose turn it is; false: nobody waits, or there aren't the seats for it. */
  startNext(nowMs: number): boolean {
    if (this.waiting === 0 || this.seatsInUse >= this.#limit) return false;
    this.sync(nowMs);
    const at = this.#nextQueue();
    const queue = this.queues[at];
    const request = queue?.waiting.first;
    assert(queue && request, "somebody waits");
    if (!this.#fits(request.seats)) return false;
    this.#robin = at;
    this.#unqueue(request, queue);
    if (queue.idle) this.#busy--;
    this.#run(request, nowMs);
    this.#bound(queue);
    request.start(nowMs);
    return true;
  }

  /** It gave up waiting. */
  cancel(request: QueuedRequest, nowMs: number): void {
    this.sync(nowMs);
    const { queue } = request;
    assert(queue, "who waits has a queue");
    this.#unqueue(request, queue);
    if (queue.idle) this.#busy--;
    this.#bound(queue);
    this.rejected++;
    this.cancelled++;
    this.#removeIfIdle(queue);
  }

  /** It was answered. Its seats are free when `release` is called, at once or after `extraMs`. */
  finish(request: QueuedRequest, nowMs: number): void {
    this.sync(nowMs);
    this.executing.remove(request);
    const { queue, work, startedMs } = request;
    if (!queue) return;
    queue.executing--;
    if (queue.idle) this.#busy--;
    // The estimate was charged when it started.
    queue.nextR -= work.initialSeats * (estimateSeconds - (nowMs - startedMs) / 1000);
    this.#bound(queue);
  }

  release({ queue, seats }: QueuedRequest, nowMs: number): void {
    this.sync(nowMs);
    this.seatsInUse -= seats;
    if (!queue) return;
    queue.seatsInUse -= seats;
    this.#removeIfIdle(queue);
  }

  /** Accounts for the time since the last change. */
  sync(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    this.#atMs = nowMs;
    const demand = this.seatsInUse + this.seatsWaiting;
    const seconds = elapsedMs / 1000;
    if (this.#busy > 0) this.r += (seconds * Math.min(demand, this.#limit)) / this.#busy;
    this.#demand.add(demand, seconds);
    const times = Math.round(elapsedMs * 1e6);
    const { seats, executing, waiting, demand: wanted } = this.#histograms;
    seats.observe(this.seatsInUse / this.#denominator, times);
    executing.observe(this.executing.length / this.#denominator, times);
    waiting.observe(this.waiting / this.#capacity(), times);
    wanted.observe(demand / this.#denominator, times);
  }

  #capacity(): number {
    const response = this.#response;
    return typeof response === "string" ? 1 : response.queues * response.lengthMax;
  }

  #fits(seats: number): boolean {
    // Wider than the level: alone it may run.
    if (seats > this.#limit) return this.executing.length === 0;
    return this.seatsInUse + seats <= this.#limit;
  }

  #choose(hand: readonly number[]): number {
    // Not always the first of the hand: flows with overlapping hands would meet there.
    const offset = this.#dealt++ % hand.length;
    let best = -1;
    let leastWork = Number.POSITIVE_INFINITY;
    for (let i = 0; i < hand.length && leastWork > 0; i++) {
      const at = hand[(offset + i) % hand.length]!; // at is inside
      const { work } = this.queues[at]!; // hands are dealt from the queues there are
      if (work >= leastWork) continue;
      leastWork = work;
      best = at;
    }
    assert(best >= 0, "a hand isn't empty");
    return best;
  }

  #run(request: QueuedRequest, nowMs: number): void {
    const { queue, seats, work } = request;
    request.startedMs = nowMs;
    this.executing.add(request);
    this.seatsInUse += seats;
    this.dispatched++;
    if (queue) {
      if (queue.idle) this.#busy++;
      queue.executing++;
      queue.seatsInUse += seats;
      queue.nextR += workOf(work);
    }
    this.#demand.note(this.seatsInUse + this.seatsWaiting);
  }

  /** The queue whose first request would be done first; of equals the one that was longest not served. */
  #nextQueue(): number {
    const count = this.queues.length;
    let best = -1;
    let bestR = Number.POSITIVE_INFINITY;
    for (let i = 1; i <= count; i++) {
      const at = (this.#robin + i) % count;
      const queue = this.queues[at]!; // at is inside
      const first = queue.waiting.first;
      if (!first) continue;
      const finishR = queue.nextR + workOf(first.work);
      if (finishR < bestR) {
        bestR = finishR;
        best = at;
      }
    }
    return best;
  }

  /** A queue that never empties would save up turns it didn't take: none counts from before its first request came. */
  #bound(queue: Queue): void {
    const first = queue.waiting.first;
    if (first && queue.nextR < first.arrivedR) queue.nextR = first.arrivedR;
  }

  /** Leaves the queue's activity as it is. */
  #unqueue(request: QueuedRequest, queue: Queue): void {
    queue.waiting.remove(request);
    queue.waitingSeats -= request.seats;
    queue.initialSeats -= request.work.initialSeats;
    // No dust of adding and subtracting fractions.
    queue.work = queue.waiting.length === 0 ? 0 : queue.work - workOf(request.work);
    this.waiting--;
    this.seatsWaiting -= request.seats;
  }

  #removeIfIdle(queue: Queue | undefined): void {
    const response = this.#response;
    const wanted = typeof response === "string" ? 0 : response.queues;
    if (!queue?.idle || queue.seatsInUse > 0 || this.queues.length <= wanted) return;
    const at = this.queues.indexOf(queue);
    if (at < 0) return;
    this.queues.splice(at, 1);
    if (this.#robin >= at) this.#robin--;
  }
}
