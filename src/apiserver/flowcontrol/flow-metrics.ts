/** What flow control counts, under upstream's names. Gauges of the levels are read from their queues when someone asks. */
import type { Counter, Gauge, Histogram, MetricRegistry } from "#base";
import type { RatioHistograms } from "./queue-set.ts";

/** Of one flow schema at one level. */
export interface FlowSeries {
  readonly dispatched: Counter;
  readonly executing: Gauge;
  readonly executingSeats: Gauge;
  readonly waiting: Gauge;
  readonly waitingSeats: Gauge;
  readonly queueLength: Histogram;
  readonly waited: Histogram;
  readonly waitedInVain: () => Histogram;
  readonly execution: Histogram;
  readonly watchStart: () => Histogram;
  readonly estimatedSeats: Histogram;
  readonly watchers: () => Histogram;
}

export type LevelGauge =
  | "nominal"
  | "lower"
  | "upper"
  | "current"
  | "peak"
  | "average"
  | "deviation"
  | "smoothed"
  | "target"
  | "r";

const prefix = "apiserver_flowcontrol_";
const durations = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const pair = ["priority_level", "flow_schema"] as const;

export class FlowMetrics {
  readonly rejected;
  readonly kinds;
  readonly #levelGauges;
  readonly #fairFraction;
  readonly #series;
  readonly #seatUse;
  readonly #requestUse;
  readonly #demand;

  constructor(registry: MetricRegistry) {
    const gauge = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
      registry.gauge(prefix + name, help, labels);
    const histogram = <const L extends readonly string[]>(
      name: string,
      help: string,
      options: { bounds: readonly number[]; labels: L },
    ) => registry.histogram(prefix + name, help, options);
    this.rejected = registry.counter(`${prefix}rejected_requests_total`, "Requests refused, by reason.", [
      ...pair,
      "reason",
    ] as const);
    this.#series = {
      dispatched: registry.counter(`${prefix}dispatched_requests_total`, "Requests that were let run.", pair),
      executing: gauge("current_executing_requests", "Requests that run; watches while they begin.", pair),
      executingSeats: gauge("current_executing_seats", "Seats taken by requests that run.", pair),
      waiting: gauge("current_inqueue_requests", "Requests that wait in queues.", pair),
      waitingSeats: gauge("current_inqueue_seats", "Seats that waiting requests ask for.", pair),
      queueLength: histogram("request_queue_length_after_enqueue", "Length of the queue a request came to.", {
        bounds: [0, 10, 25, 50, 100, 250, 500, 1000],
        labels: pair,
      }),
      waited: histogram("request_wait_duration_seconds", "Time that requests waited in queues.", {
        bounds: durations,
        labels: [...pair, "execute"] as const,
      }),
      execution: histogram("request_execution_seconds", "Time that requests ran; watches until they had begun.", {
        bounds: durations,
        labels: [...pair, "type"] as const,
      }),
      estimatedSeats: histogram("work_estimated_seats", "Seats that requests were estimated to need.", {
        bounds: [1, 2, 4, 8, 16, 32, 64, 100],
        labels: pair,
      }),
      watchers: histogram("watch_count_samples", "Watchers that a write has to be told to.", {
        bounds: [0, 1, 10, 100, 1000, 10_000],
        labels: pair,
      }),
    };
    const level = ["priority_level"] as const;
    const tenths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    this.#seatUse = histogram("priority_level_seat_utilization", "Share of the seats that is taken, each nanosecond.", {
      bounds: [0, ...tenths, 0.95, 0.99, 1],
      labels: ["phase", ...level] as const,
    });
    this.#requestUse = histogram(
      "priority_level_request_utilization",
      "Requests for each seat, or place in a queue, each nanosecond.",
      { bounds: [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1], labels: ["phase", ...level] as const },
    );
    this.#demand = histogram("demand_seats", "Seats a level could use, for each it has, each nanosecond.", {
      bounds: [0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.7, 2, 2.8, 4, 6],
      labels: level,
    });
    this.kinds = histogram("read_vs_write_current_requests", "Requests for each one allowed, each nanosecond.", {
      bounds: [0, 0.001, 0.01, ...tenths, 0.95, 0.99, 1],
      labels: ["phase", "request_kind"] as const,
    });
    this.#levelGauges = {
      nominal: gauge("nominal_limit_seats", "Seats that are a level's share.", level),
      lower: gauge("lower_limit_seats", "Seats that a level doesn't lend.", level),
      upper: gauge("upper_limit_seats", "Seats that a level may have with borrowed ones.", level),
      current: gauge("current_limit_seats", "Seats that a level has now.", level),
      peak: gauge("demand_seats_high_watermark", "Most seats a level could use in the last period.", level),
      average: gauge("demand_seats_average", "Seats a level could use, mean of the last period.", level),
      deviation: gauge("demand_seats_stdev", "Seats a level could use, deviation in the last period.", level),
      smoothed: gauge("demand_seats_smoothed", "Seats a level could use, smoothed over periods.", level),
      target: gauge("target_seats", "Seats a level should have.", level),
      r: gauge("current_r", "Seat-seconds given to each busy queue so far.", level),
    };
    this.#fairFraction = gauge("seat_fair_frac", "Share of its target that each level gets.", []);
  }

  seriesOf(level: string, schema: string): FlowSeries {
    const { waited, execution, ...rest } = this.#series;
    return {
      dispatched: rest.dispatched.with(level, schema),
      executing: rest.executing.with(level, schema),
      executingSeats: rest.executingSeats.with(level, schema),
      waiting: rest.waiting.with(level, schema),
      waitingSeats: rest.waitingSeats.with(level, schema),
      queueLength: rest.queueLength.with(level, schema),
      waited: waited.with(level, schema, "true"),
      waitedInVain: () => waited.with(level, schema, "false"),
      execution: execution.with(level, schema, "regular"),
      watchStart: () => execution.with(level, schema, "watch"),
      estimatedSeats: rest.estimatedSeats.with(level, schema),
      watchers: () => rest.watchers.with(level, schema),
    };
  }

  ratios(level: string): RatioHistograms {
    return {
      seats: this.#seatUse.with("executing", level),
      executing: this.#requestUse.with("executing", level),
      waiting: this.#requestUse.with("waiting", level),
      demand: this.#demand.with(level),
    };
  }

  setLevel(level: string, values: Readonly<Partial<Record<LevelGauge, number>>>): void {
    for (const [name, value] of Object.entries(values)) this.#levelGauges[name as LevelGauge].with(level).set(value); // its keys
  }

  setFairFraction(fraction: number): void {
    this.#fairFraction.with().set(fraction);
  }
}
