/** How many reading and changing requests there are: for each nanosecond, and the most of the last second, as upstream tells it. */
import type { Histogram, MetricRegistry } from "#base";
import type { FlowMetrics } from "./flow-metrics.ts";

/** The highest value of the second before this one. */
export class Peak {
  #second = 0;
  #current = 0;
  #last = 0;

  note(value: number, nowMs: number): void {
    this.#roll(nowMs, value);
    if (value > this.#current) this.#current = value;
  }

  /** `value`: what it is now. */
  read(value: number, nowMs: number): number {
    this.#roll(nowMs, value);
    return Math.max(this.#last, this.#current);
  }

  #roll(nowMs: number, value: number): void {
    const second = Math.floor(nowMs / 1000);
    if (second === this.#second) return;
    this.#last = second === this.#second + 1 ? this.#current : value;
    this.#current = value;
    this.#second = second;
  }
}

class Kind {
  count = 0;
  limit = 1;
  readonly peak = new Peak();
  readonly #histogram: Histogram;

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
  }

  change(by: number, nowMs: number): void {
    // Both ends of a change count: a request that is over at once was there.
    this.peak.note(this.count, nowMs);
    this.count += by;
    this.peak.note(this.count, nowMs);
  }

  /** In the last second. */
  atMost(nowMs: number): number {
    return this.peak.read(this.count, nowMs);
  }

  observe(times: number): void {
    this.#histogram.observe(this.count / this.limit, times);
  }
}

export class RequestKinds {
  readonly reading: Kind;
  readonly changing: Kind;
  readonly waitingToRead: Kind;
  readonly waitingToChange: Kind;
  #atMs: number;

  constructor({ kinds }: FlowMetrics, nowMs: number) {
    this.reading = new Kind(kinds.with("executing", "readOnly"));
    this.changing = new Kind(kinds.with("executing", "mutating"));
    this.waitingToRead = new Kind(kinds.with("waiting", "readOnly"));
    this.waitingToChange = new Kind(kinds.with("waiting", "mutating"));
    this.#atMs = nowMs;
  }

  setLimits({ executing, waiting }: { executing: number; waiting: number }): void {
    for (const kind of [this.reading, this.changing]) kind.limit = Math.max(1, executing);
    for (const kind of [this.waitingToRead, this.waitingToChange]) kind.limit = Math.max(1, waiting);
  }

  executing(readOnly: boolean, by: number, nowMs: number): void {
    this.sync(nowMs);
    (readOnly ? this.reading : this.changing).change(by, nowMs);
  }

  waiting(readOnly: boolean, by: number, nowMs: number): void {
    this.sync(nowMs);
    (readOnly ? this.waitingToRead : this.waitingToChange).change(by, nowMs);
  }

  /** Accounts for the time since the last change. */
  sync(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    this.#atMs = nowMs;
    const times = Math.round(elapsedMs * 1e6);
    this.reading.observe(times);
    this.changing.observe(times);
    this.waitingToRead.observe(times);
    this.waitingToChange.observe(times);
  }
}

type KindName = "reading" | "changing";

/** Under upstream's names. */
export function inFlightGauges(
  metrics: MetricRegistry,
  sources: { executing(kind: KindName): number; waiting(kind: KindName): number },
): void {
  const labels = ["request_kind"] as const;
  const inFlight = metrics.gauge("apiserver_current_inflight_requests", "Most requests at once in a second.", labels);
  const inQueue = metrics.gauge("apiserver_current_inqueue_requests", "Most waiting at once in a second.", labels);
  metrics.onCollect(() => {
    for (const [kind, label] of [
      ["reading", "readOnly"],
      ["changing", "mutating"],
    ] as const) {
      inFlight.with(label).set(sources.executing(kind));
      inQueue.with(label).set(sources.waiting(kind));
    }
  });
}
