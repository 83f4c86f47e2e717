/**
 * What every request passes on its way in and out, whoever carried it: flow control lets it in, and what it cost is counted when it has
 * been answered. The pipeline starts a meter for each request; whoever writes the answer ends it.
 */
import { type Clock, durationProblem, parseDuration, preciseNow } from "#base";
import type { RequestUser } from "#api";
import { type Status, statusError } from "#machinery";
import type { Answer } from "./answer.ts";
import type { WatchConsumer } from "./cache/watch-stream.ts";
import type { WatchCounts } from "./flowcontrol/watch-counts.ts";
import { type Doorkeeper, type Passage, TooManyRequests, type Visit } from "./flowcontrol/visit.ts";
import type { ResponseHeaders } from "./http/exchange.ts";
import { reportedOf, type RequestMetrics, type RequestSeries, type WatchSeries } from "./metrics/request-metrics.ts";
import type { Query } from "./query.ts";
import type { Target } from "./request-target.ts";
import type { Resource } from "./resource.ts";

/** As upstream's --request-timeout; watches and streams are exempt. */
export const requestTimeoutMs = 60_000;
/** Of the time it has, a request may spend this part in a queue. */
const waitShare = 1 / 4;

export interface TrafficOptions {
  readonly metrics: RequestMetrics;
  /** Absent: everybody is let in at once. */
  readonly doorkeeper?: Doorkeeper | undefined;
  /** Who watches what, for those who estimate what a write costs. */
  readonly watches?: WatchCounts | undefined;
  readonly clock: Clock;
}

export interface ArrivingRequest {
  readonly method: string;
  readonly path: string;
  readonly target: Target;
  readonly query: Query;
  readonly user: RequestUser;
  readonly contentType?: string | undefined;
  /** Of the precise clock; missing: now. Between the two it was found out who asks. */
  readonly receivedMs?: number | undefined;
  readonly arrivedMs?: number | undefined;
  /** Aborts when the client has gone. */
  readonly client?: { readonly signal: AbortSignal } | undefined;
  /** Of the answer, whatever it will be. */
  readonly responseHeaders?: ResponseHeaders | undefined;
}

export class Traffic {
  readonly metrics: RequestMetrics;
  readonly precise: () => number;
  readonly watches: WatchCounts | undefined;
  readonly #doorkeeper: Doorkeeper | undefined;

  constructor({ metrics, doorkeeper, watches, clock }: TrafficOptions) {
    this.metrics = metrics;
    this.watches = watches;
    this.precise = preciseNow(clock);
    this.#doorkeeper = doorkeeper;
  }

  /** A promise only for a request that has to wait. Rejects with TooManyRequests. */
  arrive(request: ArrivingRequest, verb: string, longRunning: boolean): RequestMeter | Promise<RequestMeter> {
    const meter = new RequestMeter(this, request, verb);
    // Streams last as long as they like; of watches the beginning counts.
    if (!this.#doorkeeper || (longRunning && verb !== "watch")) return meter;
    let entered: Passage | Promise<Passage>;
    try {
      entered = this.#doorkeeper.enter(meter);
    } catch (error) {
      throw this.#refused(meter, error);
    }
    if (!(entered instanceof Promise)) return meter.enter(entered);
    return entered.then(
      (passage) => meter.enter(passage),
      (error: unknown) => {
        throw this.#refused(meter, error);
      },
    );
  }

  #refused({ request, verb }: RequestMeter, error: unknown): unknown {
    if (error instanceof TooManyRequests) {
      putFlow(request.responseHeaders, error.flow);
      this.metrics.terminated(request, { verb, code: 429, counted: true });
    }
    return error;
  }
}

/** One request, from its arrival to the end of its answer. */
export class RequestMeter implements Visit {
  readonly request: ArrivingRequest;
  readonly verb: string;
  readonly arrivedMs: number;
  readonly #receivedMs: number;
  readonly #traffic: Traffic;
  #passage: Passage | undefined;
  #series: RequestSeries | undefined;
  /** Spent waiting for webhooks. */
  webhooksMs = 0;

  constructor(traffic: Traffic, request: ArrivingRequest, verb: string) {
    this.#traffic = traffic;
    this.request = request;
    this.verb = verb;
    this.arrivedMs = request.arrivedMs ?? traffic.precise();
    this.#receivedMs = request.receivedMs ?? this.arrivedMs;
  }

  get user() {
    return this.request.user;
  }

  get target() {
    return this.request.target;
  }

  get path() {
    return this.request.path;
  }

  get query() {
    return this.request.query;
  }

  get waitMs(): number {
    return (this.verb === "watch" ? requestTimeoutMs : timeoutOf(this.query)) * waitShare;
  }

  signal(): AbortSignal | undefined {
    return this.request.client?.signal;
  }

  enter(passage: Passage): this {
    this.#passage = passage;
    putFlow(this.request.responseHeaders, passage.flow);
    return this;
  }

  /** It is about this resource: it counts. */
  serving(resource: Resource): void {
    const { target } = this;
    if (target.type !== "resource") return;
    const { metrics } = this.#traffic;
    const series = metrics.seriesOf(resource, target.subresource, reportedOf(this.request, this.verb));
    this.#series = series;
    series.running?.add(1);
    if (this.user.name === "system:apiserver") metrics.ownRequest(series);
  }

  /** Some paths count: health, discovery. */
  servingPath([first = "", ...more]: readonly string[]): void {
    const component = more.length === 0 ? countedPaths.get(first) : undefined;
    if (component !== undefined) this.#series = this.#traffic.metrics.pathSeries(`/${first}`, component);
  }

  authorized(result: string): void {
    const { metrics, precise } = this.#traffic;
    metrics.authorized(result, precise() - this.arrivedMs - (this.#passage?.waitedMs ?? 0));
  }

  deprecated(removed: string | undefined): void {
    if (this.#series) this.#traffic.metrics.deprecated(this.#series, removed);
  }

  timedOut(): void {
    this.#traffic.metrics.terminated(this.request, { verb: this.verb, code: 504, counted: false });
  }

  aborted(): void {
    if (this.#series) this.#traffic.metrics.aborted(this.#series);
  }

  /** Its beginning is what a watch takes seats for. */
  watching(answer: Answer): Answer {
    const { target, query } = this;
    if (answer.type !== "watch" || target.type !== "resource") return answer;
    const { metrics, watches, precise } = this.#traffic;
    const { open, resource } = answer;
    return {
      ...answer,
      open: (consumer) => {
        const forget = watches?.add(target, query);
        const counted = new CountedConsumer(consumer, metrics.watchSeries(resource));
        const stream = open(counted);
        void stream.started.then(() => {
          counted.started = true;
          this.#leave(precise());
        });
        if (forget) void stream.done.then(forget);
        return stream;
      },
    };
  }

  /** It has been answered: `code` 0 when its connection was taken over. */
  end(code: number, bytes: number): void {
    const nowMs = this.#traffic.precise();
    const waitedMs = (this.#passage?.waitedMs ?? 0) + this.webhooksMs;
    this.#leave(nowMs);
    const series = this.#series;
    if (!series) return;
    this.#series = undefined;
    series.running?.add(-1);
    const dryRun = this.query.has("dryRun") ? dryRunOf(this.query) : "";
    this.#traffic.metrics.record(series, { code, bytes, elapsedMs: nowMs - this.#receivedMs, waitedMs, dryRun });
  }

  #leave(nowMs: number): void {
    this.#passage?.finish(nowMs);
    this.#passage = undefined;
  }
}

/** With the component that upstream tells. */
const countedPaths: ReadonlyMap<string, string> = new Map([
  ...["healthz", "livez", "readyz"].map((path) => [path, ""] as const),
  ...["api", "apis", "statusz", "flagz"].map((path) => [path, "apiserver"] as const),
]);

/** Counts what a watch sends, on its way to whoever gets it. */
class CountedConsumer<T> implements WatchConsumer<T> {
  started = false;
  readonly #inner: WatchConsumer<T>;
  readonly #series: WatchSeries;

  constructor(inner: WatchConsumer<T>, series: WatchSeries) {
    this.#inner = inner;
    this.#series = series;
  }

  event(...seen: Parameters<WatchConsumer<T>["event"]>): T {
    if (!this.started) this.#series.initEvents.inc();
    return this.#inner.event(...seen);
  }

  bookmark(revision: number, initialEventsEnd: boolean): T {
    return this.#inner.bookmark(revision, initialEventsEnd);
  }

  error(status: Status): T {
    return this.#inner.error(status);
  }

  deliver(items: readonly T[]): Promise<void> | undefined {
    const { events, sizes } = this.#series;
    events.inc(items.length);
    for (const item of items) if (item instanceof Uint8Array) sizes.observe(item.length);
    return this.#inner.deliver(items);
  }

  end(): void {
    this.#inner.end();
  }
}

const dryRunOf = (query: Query): string => (query.all("dryRun").every((value) => value === "All") ? "All" : "invalid");

/** Throws what upstream says of a time that is none. */
export function checkTimeout(query: Query): void {
  const text = query.get("timeout");
  const problem = text === "" ? "" : durationProblem(text);
  if (problem !== "") throw statusError.badRequest(`invalid timeout specified in the request URL - ${problem}`);
}

/** What a request may take: as asked, but not more than everybody has. */
export function timeoutOf(query: Query): number {
  const asked = query.has("timeout") ? parseDuration(query.get("timeout")) : undefined;
  return asked === undefined || asked <= 0 ? requestTimeoutMs : Math.min(requestTimeoutMs, asked);
}

function putFlow(headers: ResponseHeaders | undefined, flow: Passage["flow"]): void {
  if (!headers || !flow) return;
  headers["x-kubernetes-pf-flowschema-uid"] = flow.schemaUid;
  headers["x-kubernetes-pf-prioritylevel-uid"] = flow.levelUid;
}
