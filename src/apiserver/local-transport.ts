/**
 * Parts in the same process talk to the server through this: the same authorization, admission and errors as over HTTP, without sockets
 * and without bytes. Answers hand out the cache's own decoded objects, which are shared and read-only; bodies are copied on the way in.
 */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base";
import type { RequestUser } from "#api";
import {
  type ApiRequest,
  isStatusError,
  type KubernetesObject,
  type Status,
  statusError,
  type Transport,
  type WatchEvent,
} from "#machinery";
import type { Answer } from "./answer.ts";
import { recordAnswer } from "./audit/record-answer.ts";
import type { RequestAudit } from "./audit/request-audit.ts";
import type { StoredObject } from "./cache/stored-object.ts";
import type { WatchConsumer } from "./cache/watch-stream.ts";
import { TooManyRequests } from "./flowcontrol/visit.ts";
import { contentTypeOf } from "./http/media-type.ts";
import { type LocalRequest, readLocally, watchLocally } from "./local-exchange.ts";
import { auditReceived, type Pipeline, type Route } from "./pipeline.ts";
import { ObjectPresenter } from "./present/presenter.ts";
import { Query } from "./query.ts";
import type { RequestBody } from "./registry/call.ts";
import { fromStored } from "./registry/versions.ts";
import { parseTarget } from "./request-target.ts";
import type { Resource } from "./resource.ts";
import { Slots } from "./slots.ts";

export interface LocalTransportOptions {
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  /** Who the part is; authorized like anyone else. */
  readonly user: RequestUser;
  /** The part's name: the field manager of its writes. */
  readonly userAgent: string;
  readonly onWarning?: (text: string) => void;
}

/**
 * Requests under way for one part. More would only wait in the queues of flow control, which for one user are a few hundred places long:
 * a controller that makes a thousand pods at once would be refused and told to wait for seconds.
 */
const requestsMax = 100;

export function createLocalTransport(options: LocalTransportOptions): Transport {
  const closing = new AbortController();
  // Flow control lets nobody wait who is exempt from it.
  const slots = options.user.groups?.includes("system:masters") ? undefined : new Slots(requestsMax);
  const ask = (request: ApiRequest) =>
    audited(options, request, (audit) =>
      metered(options, { request, audit, closing: closing.signal }, async (route) => {
        const answer = route.type === "answer" ? route.answer : await run(options, route, request);
        if (audit) await recordLocal(audit, route, answer);
        if (answer.type === "stream") return readLocally(answer.run, localRequest(request, closing.signal));
        const decoded = await decode(answer, request);
        route.meter.end("status" in answer ? answer.status : 200, 0);
        return decoded;
      }),
    );
  return {
    request: (request) => (slots ? slots.run(() => ask(request)) : ask(request)),
    watch: (asked, onEvent) => {
      const request = { ...asked, query: { ...asked.query, watch: true } };
      return audited(options, request, (audit) =>
        metered(options, { request, audit, closing: closing.signal }, (route) => watch(route, request, onEvent, audit)),
      );
    },
    close: () => closing.abort(),
  };

  async function watch(
    route: Route,
    request: ApiRequest,
    onEvent: (event: WatchEvent) => void,
    audit: RequestAudit | undefined,
  ): Promise<void> {
    const answer = route.type === "answer" ? route.answer : await run(options, route, request);
    if (answer.type === "stream") {
      audit?.started(200);
      return watchLocally(answer.run, localRequest(request, closing.signal), onEvent);
    }
    if (answer.type !== "watch") throw statusError.badRequest(`${request.path} can't be watched`);
    audit?.started(200);
    const stream = answer.open(new LocalConsumer(answer.resource, onEvent, request));
    const stop = () => stream.cancel();
    for (const signal of [request.signal, closing.signal]) {
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { once: true });
    }
    await stream.done;
    for (const signal of [request.signal, closing.signal]) signal?.removeEventListener("abort", stop);
  }

  function localRequest(request: ApiRequest, end: AbortSignal): LocalRequest {
    const signal = request.signal ? AbortSignal.any([request.signal, end]) : end;
    const headers = { "audit-id": randomUUID() };
    return { ...request, queryText: queryText(request.query), userAgent: options.userAgent, signal, headers };
  }
}

interface LocalCall {
  readonly request: ApiRequest;
  readonly audit: RequestAudit | undefined;
  readonly closing: AbortSignal;
}

/** As the official client: whoever is refused because too much goes on asks again, ten times. */
const retriesMax = 10;

async function metered<T>(
  options: LocalTransportOptions,
  call: LocalCall,
  serve: (route: Route) => Promise<T>,
): Promise<T> {
  const route = await patiently(options, call);
  try {
    return await serve(route);
  } catch (error) {
    route.meter.end(isStatusError(error) ? (error.status.code ?? 500) : 500, 0);
    throw error;
  } finally {
    // What wasn't told otherwise went well.
    route.meter.end(200, 0);
  }
}

async function patiently(options: LocalTransportOptions, { request, audit, closing }: LocalCall): Promise<Route> {
  for (let retries = 0; ; retries++) {
    try {
      return await openRoute(options, request, audit);
    } catch (error) {
      if (!(error instanceof TooManyRequests)) throw error;
      if (retries >= retriesMax || request.signal?.aborted || closing.aborted)
        throw statusError.tooManyRequests(error.message, error.retrySeconds);
      await new Promise<void>((resolve) => options.clock.after(error.retrySeconds * 1000, resolve));
    }
  }
}

type ResourceRoute = Extract<Route, { type: "resource" }>;

async function openRoute(
  { pipeline, user }: LocalTransportOptions,
  request: ApiRequest,
  audit?: RequestAudit,
): Promise<Route> {
  const { method, path } = request;
  const target = parseTarget(path);
  if (!target) throw statusError.badRequest(`malformed path ${JSON.stringify(path)}`);
  const query = new Query(queryText(request.query));
  const asked = { method, path, target, query, audit };
  if (audit && !(await auditReceived(asked, user))) {
    audit.rejected();
    throw statusError.internal("failed to store audit event");
  }
  return pipeline.route({ ...asked, user, contentType: request.contentType });
}

/** With an audit log, the parts of this process are written down like everyone else. */
async function audited<T>(
  { pipeline, userAgent }: LocalTransportOptions,
  request: ApiRequest,
  work: (audit: RequestAudit | undefined) => Promise<T>,
): Promise<T> {
  if (!pipeline.audit) return work(undefined);
  const query = queryText(request.query);
  const audit = pipeline.audit.begin({
    auditId: randomUUID(),
    requestUri: query === "" ? request.path : `${request.path}?${query}`,
    userAgent,
    sourceIPs: () => ["127.0.0.1"],
  });
  try {
    return await work(audit);
  } catch (error) {
    if (isStatusError(error)) {
      audit.status(error.status);
      if (audit.wantsResponseObject) audit.responseObject(JSON.stringify(error.status));
    } else audit.panicked(error);
    throw error;
  } finally {
    await audit.complete();
  }
}

async function recordLocal(audit: RequestAudit, route: Route, answer: Answer): Promise<void> {
  audit.started("status" in answer ? answer.status : 200);
  if (route.type === "resource") await recordAnswer(audit, answer, () => new ObjectPresenter(route.resource));
}

function queryText(query: ApiRequest["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value));
  return parameters.toString();
}

async function run(
  { clock, userAgent, onWarning }: LocalTransportOptions,
  route: ResourceRoute,
  request: ApiRequest,
): Promise<Answer> {
  const warnings: string[] = [];
  const answer = await route.run({ body: bodyOf(request), userAgent, warnings, now: clock.now() });
  if (onWarning) for (const text of warnings) onWarning(text);
  return answer;
}

const noBytes = Buffer.alloc(0);

/** Copied by way of JSON: what is stored must not be changed by the caller afterwards, nor hold what JSON has no form for. */
function bodyOf({ body, contentType }: ApiRequest): RequestBody {
  if (body === undefined) return { contentType: "", bytes: async () => noBytes };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const bytes = async () => Buffer.from(text);
  // Patches are read as text; everything else is wanted as an object.
  if (contentType !== undefined && contentType !== "application/json")
    return { contentType: contentTypeOf(contentType), bytes };
  return { contentType: "application/json", bytes, value: JSON.parse(text), valueBytes: text.length };
}

/** Objects decoded between two turns of the event loop; a cold pod takes some 15 µs. */
const turnObjectsMax = 128;

async function views(resource: Resource, objects: readonly StoredObject[], request: ApiRequest): Promise<unknown[]> {
  const items: unknown[] = [];
  for (const object of objects) {
    items.push(view(resource, object, request));
    if (items.length % turnObjectsMax === 0) await setImmediate();
  }
  return items;
}

async function decode(answer: Answer, request: ApiRequest): Promise<unknown> {
  switch (answer.type) {
    case "object":
      return view(answer.resource, answer.object, request);
    case "list": {
      const { resource, objects, metadata } = answer;
      const items = await views(resource, objects, request);
      return { kind: resource.listKind, apiVersion: resource.groupVersion, metadata, items };
    }
    case "value":
      return answer.value;
    case "raw": {
      const text = typeof answer.body === "string" ? answer.body : Buffer.from(answer.body).toString("utf8");
      if (answer.status >= 400) throw statusError.unknownPath();
      return /json/.test(String(answer.headers["content-type"])) ? JSON.parse(text) : text;
    }
    case "watch":
    case "stream":
      throw statusError.badRequest("the answer is a stream; it is served over HTTP only");
  }
}

/** The shared object, in the version that was asked for. */
function view(resource: Resource, object: StoredObject, { withoutManagedFields }: ApiRequest): unknown {
  if (resource.conversion) return fromStored(resource, object.parse());
  const decoded = withoutManagedFields ? object.slim() : object.decoded();
  return decoded.apiVersion === resource.groupVersion ? decoded : { ...decoded, apiVersion: resource.groupVersion };
}

class LocalConsumer implements WatchConsumer<WatchEvent> {
  readonly #resource: Resource;
  readonly #onEvent: (event: WatchEvent) => void;
  readonly #request: ApiRequest;

  constructor(resource: Resource, onEvent: (event: WatchEvent) => void, request: ApiRequest) {
    this.#resource = resource;
    this.#onEvent = onEvent;
    this.#request = request;
  }

  event({ type, object }: Parameters<WatchConsumer<WatchEvent>["event"]>[0]): WatchEvent {
    return { type, object: view(this.#resource, object, this.#request) };
  }

  bookmark(revision: number, initialEventsEnd: boolean): WatchEvent {
    const { kind, groupVersion: apiVersion } = this.#resource;
    const annotations = initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
    const object: KubernetesObject = {
      kind,
      apiVersion,
      metadata: { resourceVersion: String(revision), ...annotations },
    };
    return { type: "BOOKMARK", object };
  }

  error(status: Status): WatchEvent {
    return { type: "ERROR", object: status };
  }

  deliver(items: readonly WatchEvent[]): undefined {
    try {
      for (const item of items) this.#onEvent(item);
    } catch (error) {
      // A fault of the receiver must not keep events from other watchers; it surfaces as what it is.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  end(): void {
    // The promise that `watch` answered says so.
  }
}
