/**
 * Counters, gauges and histograms that a part counts in, and the registry that collects them for whoever asks. A series is made when
 * it is first asked for; whoever counts often keeps it, and then counting is an addition. What is known anyway (lengths, sizes) is not
 * counted but read when someone asks, by a collector. How it looks on the wire is in metric-text.ts.
 * Rejected: prom-client, whose observation costs 600 to 1,200 ns for looking up its labels (docs/decisions/0012-metrics.md).
 */
export class Counter {
  value = 0;

  inc(by = 1): void {
    this.value += by;
  }
}

export class Gauge {
  value = 0;

  set(value: number): void {
    this.value = value;
  }

  add(by: number): void {
    this.value += by;
  }
}

export class Histogram {
  /** Upper bounds, ascending; what is above the last one counts too. */
  readonly bounds: readonly number[];
  /** One more than bounds; not cumulative. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number, times = 1): void {
    const { bounds } = this;
    let at = 0;
    // Most of what is observed is small.
    while (at < bounds.length && value > bounds[at]!) at++; // at is inside
    this.counts[at]! += times; // there is one more
    this.sum += value * times;
  }
}

export type MetricType = "counter" | "gauge" | "histogram";
export type Metric = Counter | Gauge | Histogram;

export interface Series<M extends Metric> {
  /** In the order of the family's labels. */
  readonly values: readonly string[];
  readonly metric: M;
}

/** Label values come from objects that clients make: what exceeds this is counted nowhere, so that memory stays bounded. */
export const seriesMax = 10_000;

type LabelValues<L extends readonly string[]> = { [K in keyof L]: string };

/** All series of one name. */
export class Family<M extends Metric, const L extends readonly string[] = readonly string[]> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labels: L;
  readonly #make: () => M;
  readonly #series = new Map<string, Series<M>>();

  constructor({ name, help, type, labels, make }: FamilyOptions<M, L>) {
    this.name = name;
    this.help = help;
    this.type = type;
    this.labels = labels;
    this.#make = make;
  }

  /** The series with these values of the labels. */
  with(...values: LabelValues<L>): M {
    const texts = values as readonly string[]; // a tuple of strings
    const key = texts.length === 1 ? texts[0]! : texts.join("\0"); // there is one
    const found = this.#series.get(key);
    if (found) return found.metric;
    const metric = this.#make();
    if (this.#series.size < seriesMax) this.#series.set(key, { values: texts, metric });
    return metric;
  }

  remove(...values: LabelValues<L>): void {
    this.#series.delete((values as readonly string[]).join("\0")); // a tuple of strings
  }

  /** Before a collector fills it anew. */
  clear(): void {
    this.#series.clear();
  }

  series(): Iterable<Series<M>> {
    return this.#series.values();
  }
}

interface FamilyOptions<M extends Metric, L extends readonly string[]> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labels: L;
  readonly make: () => M;
}

/** The metrics of one part. */
export class MetricRegistry {
  readonly #families = new Map<string, Family<Metric>>();
  readonly #collectors: (() => void | Promise<void>)[] = [];

  counter<const L extends readonly string[]>(name: string, help: string, labels: L): Family<Counter, L> {
    return this.#add({ name, help, type: "counter", labels, make: () => new Counter() });
  }

  gauge<const L extends readonly string[]>(name: string, help: string, labels: L): Family<Gauge, L> {
    return this.#add({ name, help, type: "gauge", labels, make: () => new Gauge() });
  }

  histogram<const L extends readonly string[]>(
    name: string,
    help: string,
    { bounds, labels }: { bounds: readonly number[]; labels: L },
  ): Family<Histogram, L> {
    return this.#add({ name, help, type: "histogram", labels, make: () => new Histogram(bounds) });
  }

  /** Called each time before the metrics are shown. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  /** In the order of their names, as they are now. */
  async collect(): Promise<readonly Family<Metric>[]> {
    for (const collect of this.#collectors) await collect();
    return [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Two that declare the same name count in the same family: parts of one process may share a registry. */
  #add<M extends Metric, const L extends readonly string[]>(options: FamilyOptions<M, L>): Family<M, L> {
    const found = this.#families.get(options.name);
    if (found) return found as unknown as Family<M, L>; // declared alike by whoever was first
    const family = new Family(options);
    this.#families.set(options.name, family as unknown as Family<Metric>); // to be shown, the labels' names don't matter
    return family;
  }
}

/** `count` bounds, each `factor` times the one before. */
export const exponentialBounds = (start: number, factor: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, at) => start * factor ** at);
