/**
 * API priority and fairness: every request is put into a flow of a priority level, takes seats there or waits for them, and what waits
 * is started in an order in which no flow can starve another. Follows upstream's apf_controller and filters/priority-and-fairness;
 * what is different, and why, is in docs/flow-control.md.
 */
import { type Clock, type MetricRegistry, preciseNow } from "#base";
import type { FlowSchema, PriorityLevelConfiguration } from "#api";
import type { DeepReadonly } from "#machinery";
import type { ResourceTarget } from "../request-target.ts";
import { Classifier } from "./classify.ts";
import { FlowMetrics } from "./flow-metrics.ts";
import { borrow, digest, type Level, type Schema } from "./levels.ts";
import { FlowRequest, type RequestOwner } from "./flow-request.ts";
import { inFlightGauges, RequestKinds } from "./request-kinds.ts";
import type { TurnGate } from "./turn-gate.ts";
import { type Doorkeeper, type Passage, TooManyRequests, type Visit } from "./visit.ts";
import { WatchCounts } from "./watch-counts.ts";
import { estimateWork, type Stock, type WorkSources } from "./work-estimate.ts";

/** How often seats are lent anew. */
const borrowPeriodMs = 10_000;
/** Requests that wait are started few at a time: they only run when all of these have been started. */
const startsPerTurn = 8;
const startsPerFinish = 2;

export interface FlowControlOptions {
  /** Of the whole server: --max-requests-inflight and --max-mutating-requests-inflight together. */
  readonly seats: number;
  readonly clock: Clock;
  readonly gate: TurnGate;
  readonly metrics: MetricRegistry;
  stock(target: ResourceTarget): Stock | undefined;
}

export interface Objects {
  readonly levels: readonly DeepReadonly<PriorityLevelConfiguration>[];
  readonly schemas: readonly DeepReadonly<FlowSchema>[];
}

export class FlowControl implements Doorkeeper, RequestOwner {
  readonly watches = new WatchCounts();
  readonly kinds: RequestKinds;
  readonly precise: () => number;
  readonly clock: Clock;
  readonly #seats: number;
  readonly #gate: TurnGate;
  readonly #metrics: FlowMetrics;
  readonly #sources: WorkSources;
  #objects: Objects = { levels: [], schemas: [] };
  #levels: ReadonlyMap<string, Level> = new Map();
  #classifier = new Classifier<Schema>([]);
  /** Requests in all queues. */
  #waiting = 0;
  /** Some of them wait for the next turn, not for seats: nobody may overtake. */
  #backlog = false;
  /** Of the level that was served last. */
  #pass = 0;
  #cancelBorrowing: (() => void) | undefined;

  constructor({ seats, clock, gate, metrics, stock }: FlowControlOptions) {
    this.#seats = seats;
    this.clock = clock;
    this.precise = preciseNow(clock);
    this.#gate = gate;
    this.#metrics = new FlowMetrics(metrics);
    this.#sources = { stock, watchers: (target) => this.watches.of(target) };
    this.kinds = new RequestKinds(this.#metrics, this.precise());
    metrics.onCollect(() => this.#collect());
    inFlightGauges(metrics, {
      executing: (kind) => this.kinds[kind].atMost(this.precise()),
      waiting: (kind) =>
        (kind === "reading" ? this.kinds.waitingToRead : this.kinds.waitingToChange).atMost(this.precise()),
    });
    this.configure(this.#objects);
    this.#borrowLater();
  }

  get levels(): ReadonlyMap<string, Level> {
    return this.#levels;
  }

  /** New objects; requests that are here stay where they are. */
  configure(objects: Objects): void {
    this.#objects = objects;
    const nowMs = this.precise();
    const shared = { seats: this.#seats, metrics: this.#metrics, nowMs };
    const { levels, schemas } = digest({ ...objects, ...shared, previous: this.#levels });
    this.#levels = levels;
    this.#classifier = new Classifier(schemas);
    let [seats, places] = [0, 0];
    for (const { nominal, response } of levels.values()) {
      seats += nominal;
      if (typeof response !== "string") places += response.queues * response.lengthMax;
    }
    this.kinds.setLimits({ executing: seats, waiting: places });
    this.#start(nowMs, startsPerTurn);
  }

  enter(visit: Visit): Passage | Promise<Passage> {
    const schema = this.#classifier.classify(visit);
    const { level } = schema;
    const work = estimateWork(visit, this.#sources, level.requestSeatsMax);
    const request = new FlowRequest(this, { visit, schema, work });
    const nowMs = visit.arrivedMs;
    let mayStart = true;
    let hand = noHand;
    if (!level.exempt) {
      const { user, target } = visit;
      request.distinguisher = schema.distinguish(user.name, target.type === "resource" ? target.namespace : "");
      hand = schema.hand(request.distinguisher);
      mayStart = !this.#backlog && this.#gate.open(nowMs);
    }
    const outcome = level.queues.arrive(request, { hand, mayStart, nowMs });
    if (outcome === "runs") {
      request.noteQueueLength();
      request.run(nowMs);
      return request;
    }
    if (outcome !== "waits") throw this.#refuse(schema, outcome);
    if (level.queues.waiting === 1) level.pass = Math.max(level.pass, this.#pass);
    this.#waiting++;
    if (!mayStart) this.#startNextTurn();
    return request.wait(visit);
  }

  left(request: FlowRequest, nowMs: number): void {
    this.#waiting--;
    request.schema.level.queues.cancel(request, nowMs);
    this.#reap(request.schema.level);
  }

  started(): void {
    this.#waiting--;
  }

  freed(level: Level, nowMs: number): void {
    if (this.#waiting > 0) this.#start(nowMs, startsPerFinish);
    this.#reap(level);
  }

  refuseAfterWaiting(schema: Schema): TooManyRequests {
    return this.#refuse(schema, "time-out");
  }

  close(): void {
    this.#cancelBorrowing?.();
  }

  #refuse({ name, flow, level }: Schema, reason: string): TooManyRequests {
    this.#metrics.rejected.with(level.name, name, reason).inc();
    level.retryAfter.note(this.clock.now());
    return new TooManyRequests(flow, level.retryAfter.seconds);
  }

  #startNextTurn(): void {
    this.#backlog = true;
    this.#gate.next(() => this.#start(this.precise(), startsPerTurn));
  }

  /** Levels take turns by the seats they have, their flows by their queues. */
  #start(nowMs: number, startsMax: number): void {
    const blocked = new Set<Level>();
    for (let started = 0; this.#waiting > 0; ) {
      const level = this.#nextLevel(blocked);
      if (!level) break;
      if (started >= startsMax || !this.#gate.open(nowMs)) {
        this.#startNextTurn();
        return;
      }
      if (level.queues.startNext(nowMs)) {
        started++;
        this.#pass = level.pass;
        level.pass += 1 / Math.max(1, level.current);
      } else blocked.add(level);
    }
    this.#backlog = false;
  }

  #nextLevel(blocked: ReadonlySet<Level>): Level | undefined {
    let next: Level | undefined;
    for (const level of this.#levels.values()) {
      const { waiting, seatsInUse, limit } = level.queues;
      if (waiting === 0 || seatsInUse >= limit || blocked.has(level)) continue;
      if (!next || level.pass < next.pass) next = level;
    }
    return next;
  }

  #borrowLater(): void {
    this.#cancelBorrowing = this.clock.after(borrowPeriodMs, () => {
      const nowMs = this.precise();
      borrow([...this.#levels.values()], { seats: this.#seats, metrics: this.#metrics, nowMs });
      this.#start(nowMs, startsPerTurn);
      this.#borrowLater();
    });
  }

  #reap(level: Level): void {
    if (level.quiescing && level.queues.idle) this.configure(this.#objects);
  }

  #collect(): void {
    const nowMs = this.precise();
    this.kinds.sync(nowMs);
    for (const { name, queues } of this.#levels.values()) {
      queues.sync(nowMs);
      this.#metrics.setLevel(name, { r: queues.r });
    }
  }
}

const noHand: readonly number[] = [];
