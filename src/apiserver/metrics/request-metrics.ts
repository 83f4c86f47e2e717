/**
 * What is counted of requests, under upstream's names (endpoints/metrics, endpoints/filters/metrics). Each request costs some ten
 * additions: its series are found by the resource, and within it by the verb and the scope, without making a text.
 */
import { type Counter, exponentialBounds, type Gauge, type Histogram, type MetricRegistry } from "#base";
import type { Target } from "../request-target.ts";
import type { Resource } from "../resource.ts";

const verbs = ["GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "APPLY", "DELETE", "CONNECT", "other"] as const;
const scopes = ["", "resource", "namespace", "cluster"] as const;
const connects = new Set(["log", "exec", "portforward", "attach", "proxy"]);
const methods: Readonly<Record<string, (typeof verbs)[number]>> = {
  POST: "POST",
  PUT: "PUT",
  PATCH: "PATCH",
  DELETE: "DELETE",
};

export interface Reported {
  readonly verb: (typeof verbs)[number];
  readonly scope: (typeof scopes)[number];
}

export interface ReportedRequest {
  readonly method: string;
  readonly target: Target;
  readonly contentType?: string | undefined;
}

/** How upstream calls it. `verb`: `watch`, `list`, `create`…, as authorizers see it. */
export function reportedOf({ method, target, contentType }: ReportedRequest, verb: string): Reported {
  if (target.type !== "resource") {
    const isRead = method === "GET" || method === "HEAD";
    return { verb: isRead ? "GET" : (methods[method] ?? "other"), scope: "" };
  }
  const { name, namespace, subresource } = target;
  const scope = name !== "" || verb === "create" ? "resource" : namespace !== "" ? "namespace" : "cluster";
  if (verb === "watch") return { verb: "WATCH", scope };
  if (subresource !== "" && connects.has(subresource)) return { verb: "CONNECT", scope };
  if (method === "GET" || method === "HEAD") return { verb: scope === "resource" ? "GET" : "LIST", scope };
  if (method === "PATCH" && contentType === "application/apply-patch+yaml") return { verb: "APPLY", scope };
  return { verb: methods[method] ?? "other", scope };
}

const latencyBounds = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const durationBounds = [0.005, 0.025, ...latencyBounds];
const checkBounds = exponentialBounds(0.001, 2, 15);
const groupLabels = ["group", "version", "resource", "subresource", "scope", "component"] as const;
const shape = ["verb", ...groupLabels] as const;
const dryShape = ["verb", "dry_run", ...groupLabels] as const;

/** Of one verb on one resource. */
export interface RequestSeries {
  readonly labels: readonly [
    verb: string,
    group: string,
    version: string,
    resource: string,
    subresource: string,
    scope: string,
    component: string,
  ];
  readonly duration: Histogram;
  readonly sli: Histogram;
  readonly sizes: Histogram | undefined;
  readonly running: Gauge | undefined;
  /** By status code. */
  readonly codes: Map<number, Counter>;
}

export interface WatchSeries {
  readonly events: Counter;
  readonly sizes: Histogram;
  readonly initEvents: Counter;
}

export class RequestMetrics {
  readonly #total;
  readonly #duration;
  readonly #sli;
  readonly #sizes;
  readonly #running;
  readonly #terminations;
  readonly #aborts;
  readonly #deprecated;
  readonly #self;
  readonly #authenticated;
  readonly #users;
  readonly #authorized;
  readonly #watchEvents;
  readonly #watchSizes;
  readonly #initEvents;
  readonly #byResource = new WeakMap<Resource, Map<string, RequestSeries[]>>();
  readonly #byPath = new Map<string, RequestSeries>();
  readonly #byUser = new Map<string, Counter>();
  readonly #userCounter = (name: string): Counter => this.#users.with(name);

  constructor(registry: MetricRegistry) {
    const counter = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
      registry.counter(name, help, labels);
    this.#total = counter("apiserver_request_total", "Requests, by what was asked and the code of the answer.", [
      ...dryShape,
      "code",
    ] as const);
    this.#duration = registry.histogram(
      "apiserver_request_duration_seconds",
      "Time from a request's arrival to the end of its answer.",
      { bounds: durationBounds, labels: dryShape },
    );
    this.#sli = registry.histogram(
      "apiserver_request_sli_duration_seconds",
      "The same without waiting in queues and for webhooks.",
      { bounds: latencyBounds, labels: shape },
    );
    this.#sizes = registry.histogram("apiserver_response_sizes", "Bytes of answers to reads.", {
      bounds: exponentialBounds(1000, 10, 7),
      labels: shape,
    });
    this.#running = registry.gauge("apiserver_longrunning_requests", "Watches and streams that are open.", shape);
    this.#terminations = counter("apiserver_request_terminations_total", "Requests given up to protect the server.", [
      ...shape,
      "code",
    ] as const);
    this.#aborts = counter("apiserver_request_aborts_total", "Answers that were broken off.", [
      "verb",
      "group",
      "version",
      "resource",
      "subresource",
      "scope",
    ]);
    this.#deprecated = registry.gauge("apiserver_requested_deprecated_apis", "Deprecated kinds that were asked for.", [
      "group",
      "version",
      "resource",
      "subresource",
      "removed_release",
    ]);
    this.#self = counter("apiserver_selfrequest_total", "Requests of the server to itself.", [
      "verb",
      "group",
      "resource",
      "subresource",
    ]);
    const kind = ["group", "version", "resource"] as const;
    this.#watchEvents = counter("apiserver_watch_events_total", "Events sent to watchers.", kind);
    this.#watchSizes = registry.histogram("apiserver_watch_events_sizes", "Bytes of events sent to watchers.", {
      bounds: exponentialBounds(1024, 2, 8),
      labels: kind,
    });
    this.#initEvents = counter("apiserver_init_events_total", "Events that watches began with.", ["group", "resource"]);
    const checks = (name: string, attempts: string, help: string) => {
      const total = counter(attempts, `${help}, by result.`, ["result"]);
      const seconds = registry.histogram(`${name}_duration_seconds`, `${help}: time, by result.`, {
        bounds: checkBounds,
        labels: ["result"],
      });
      const series = (result: string) => ({ total: total.with(result), seconds: seconds.with(result) });
      return { series, made: new Map<string, ReturnType<typeof series>>() };
    };
    this.#authenticated = checks("authentication", "authentication_attempts", "Finding out who asks");
    this.#authorized = checks("authorization", "authorization_attempts_total", "Finding out whether they may");
    this.#users = counter("authenticated_user_requests", "Requests by known users.", ["username"]);
  }

  authenticated(user: { readonly name: string } | undefined, elapsedMs: number): void {
    count(this.#authenticated, user ? "success" : "failure", elapsedMs);
    if (user) this.#byUser.getOrInsertComputed(knownUser(user.name), this.#userCounter).inc();
  }

  authenticationFailed(elapsedMs: number): void {
    count(this.#authenticated, "error", elapsedMs);
  }

  /** `result`: allowed, denied, no-opinion or error. */
  authorized(result: string, elapsedMs: number): void {
    count(this.#authorized, result, elapsedMs);
  }

  seriesOf(resource: Resource, subresource: string, { verb, scope }: Reported): RequestSeries {
    const all = this.#byResource
      .getOrInsertComputed(resource, makeMap)
      .getOrInsertComputed(subresource, makeArray as () => RequestSeries[]); // empty
    const at = verbs.indexOf(verb) * scopes.length + scopes.indexOf(scope);
    const found = all[at];
    if (found) return found;
    const { group, version, resource: plural } = resource;
    const series = this.#make([verb, group, version, plural, subresource, scope, "apiserver"]);
    all[at] = series;
    return series;
  }

  /** Of health checks and discovery. */
  pathSeries(path: string, component: string): RequestSeries {
    return this.#byPath.getOrInsertComputed(path, () => this.#make(["GET", "", "", "", path, "", component]));
  }

  watchSeries({ group, version, resource }: Resource): WatchSeries {
    return {
      events: this.#watchEvents.with(group, version, resource),
      sizes: this.#watchSizes.with(group, version, resource),
      initEvents: this.#initEvents.with(group, resource),
    };
  }

  #make(labels: RequestSeries["labels"]): RequestSeries {
    const [verb, ...rest] = labels;
    const isRead = verb === "GET" || verb === "LIST";
    const isLong = verb === "WATCH" || (verb === "CONNECT" && labels[4] !== "log");
    return {
      labels,
      duration: this.#duration.with(verb, "", ...rest),
      sli: this.#sli.with(...labels),
      sizes: isRead ? this.#sizes.with(...labels) : undefined,
      running: isLong ? this.#running.with(...labels) : undefined,
      codes: new Map(),
    };
  }

  record(
    series: RequestSeries,
    done: {
      readonly code: number;
      readonly bytes: number;
      readonly elapsedMs: number;
      /** Of that, spent waiting for others. */
      readonly waitedMs: number;
      readonly dryRun: string;
    },
  ): void {
    const { code, elapsedMs, dryRun } = done;
    const seconds = elapsedMs / 1000;
    if (dryRun !== "") {
      const [verb, ...rest] = series.labels;
      this.#total.with(verb, dryRun, ...rest, String(code)).inc();
      this.#duration.with(verb, dryRun, ...rest).observe(seconds);
      return;
    }
    (series.codes.get(code) ?? this.#counterOf(series, code)).inc();
    series.duration.observe(seconds);
    series.sli.observe(seconds - done.waitedMs / 1000);
    series.sizes?.observe(done.bytes);
  }

  #counterOf({ labels: [verb, ...rest], codes }: RequestSeries, code: number): Counter {
    const counter = this.#total.with(verb, "", ...rest, String(code));
    codes.set(code, counter);
    return counter;
  }

  /** Refused or given up: overload, time-out. `counted`: it never came to a handler that would count it. */
  terminated(
    request: ReportedRequest,
    { verb: asked, code, counted }: { verb: string; code: number; counted: boolean },
  ): void {
    const { verb, scope } = reportedOf(request, asked);
    const none = { group: "", version: "", resource: "", subresource: "" };
    const { group, version, resource, subresource } = request.target.type === "resource" ? request.target : none;
    const rest = [group, version, resource, subresource, scope, "apiserver", String(code)] as const;
    this.#terminations.with(verb, ...rest).inc();
    if (counted) this.#total.with(verb, "", ...rest).inc();
  }

  aborted({ labels: [verb, group, version, resource, subresource, scope] }: RequestSeries): void {
    this.#aborts.with(verb, group, version, resource, subresource, scope).inc();
  }

  deprecated({ labels: [, group, version, resource, subresource] }: RequestSeries, removed = ""): void {
    this.#deprecated.with(group, version, resource, subresource, removed).set(1);
  }

  ownRequest({ labels: [verb, group, , resource, subresource] }: RequestSeries): void {
    this.#self.with(verb, group, resource, subresource).inc();
  }
}

interface Checks {
  readonly series: (result: string) => { readonly total: Counter; readonly seconds: Histogram };
  readonly made: Map<string, ReturnType<Checks["series"]>>;
}

function count({ series, made }: Checks, result: string, elapsedMs: number): void {
  const { total, seconds } = made.getOrInsertComputed(result, series);
  total.inc();
  seconds.observe(elapsedMs / 1000);
}

const makeMap = <K, V>(): Map<K, V> => new Map();
const makeArray = (): unknown[] => [];

const known = new Set(["admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"]);

/** Names of users are many, and personal: only upstream's few are told. */
function knownUser(name: string): string {
  if (known.has(name)) return name;
  return name.includes("@") ? "email_id" : "other";
}
