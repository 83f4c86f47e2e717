/** HTTP in front of the pipeline: who is calling, the negotiated shape, headers, deadlines, and every error as an answer. */
import { randomUUID } from "node:crypto";
import type { RequestUser } from "#api";
import type { Clock, Logger } from "#base";
import { type Status, StatusError, statusError } from "#machinery";
import { AuditedSink } from "./audit/audited-sink.ts";
import { recordAnswer } from "./audit/record-answer.ts";
import type { RequestAudit } from "./audit/request-audit.ts";
import { sourceAddresses } from "./audit/source-addresses.ts";
import { TooManyRequests } from "./flowcontrol/visit.ts";
import {
  bodyBytesMax,
  type Handler,
  type ResponseHeaders,
  type ResponseSink,
  type ServerRequest,
} from "./http/exchange.ts";
import { contentTypeOf, type Format, mediaTypesOf, negotiate } from "./http/media-type.ts";
import { type ResponseContext, respond, respondError } from "./http/respond.ts";
import { askedAttributes, auditReceived, isLongRunning, type Pipeline, type Route, verbOf } from "./pipeline.ts";
import { PlainFailure, plainFailureText } from "./plain-failure.ts";
import type { BinaryOutput } from "./present/binary.ts";
import type { ProtobufOutput } from "./present/protobuf.ts";
import { negotiateShape, presenterFor } from "./present/shape.ts";
import type { TableOptions } from "./present/table-presenter.ts";
import { Query } from "./query.ts";
import { parseTarget } from "./request-target.ts";
import { warningHeaders } from "./http/warnings.ts";
import { AccessDenied } from "./security/forbidden.ts";
import { everyone } from "./security/groups.ts";
import type { RequestBody } from "./registry/call.ts";
import type { AuthenticationObserver, Authenticator } from "./security.ts";
import { upgradeOf } from "./streaming/upgrade-request.ts";
import { checkTimeout, type RequestMeter, timeoutOf } from "./traffic.ts";

export interface HttpServerOptions {
  readonly pipeline: Pipeline;
  readonly authenticator: Authenticator;
  readonly protobuf: ProtobufOutput;
  /** The words of a column's description. */
  readonly textOf: TableOptions["textOf"];
  /** Loads what writes CBOR; absent: it isn't offered. */
  readonly cbor?: (() => Promise<BinaryOutput>) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createHandler(options: HttpServerOptions): Handler {
  return (request, sink) => {
    void handle(options, request, sink);
  };
}

async function handle(options: HttpServerOptions, request: ServerRequest, sink: ResponseSink): Promise<void> {
  const { headers } = request;
  const auditId = headers["audit-id"]?.toString() || randomUUID();
  const base: ResponseHeaders = { "audit-id": auditId, "cache-control": "no-cache, private" };
  const query = new Query(request.query);
  const exchange: Exchange = { options, request, sink, base, query, warnings: [], audit: undefined };
  if (options.pipeline.audit) return handleAudited(exchange, auditId);
  try {
    await serve(exchange);
  } catch (error) {
    await fail(exchange, error);
  }
}

async function handleAudited(exchange: Exchange, auditId: string): Promise<void> {
  const { options, request, sink } = exchange;
  const { path, query, headers } = request;
  const audit = options.pipeline.audit?.begin({
    auditId,
    requestUri: query === "" ? path : `${path}?${query}`,
    userAgent: headers["user-agent"] ?? "",
    sourceIPs: () => sourceAddresses(headers, request.remoteAddress),
  });
  const audited = { ...exchange, audit, sink: audit ? new AuditedSink(sink, audit) : sink };
  const upgrade = upgradeOf(request);
  if (upgrade) upgrade.onTakeOver = () => audit?.started(101);
  try {
    await serve(audited);
  } catch (error) {
    await fail(audited, error);
  } finally {
    if (audit) options.pipeline.audit?.follow(audit.complete());
  }
}

interface Exchange {
  readonly options: HttpServerOptions;
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
  readonly base: ResponseHeaders;
  readonly query: Query;
  /** Also sent with a refusal. */
  readonly warnings: string[];
  readonly audit: RequestAudit | undefined;
}

async function serve(exchange: Exchange): Promise<void> {
  const { options, request, sink, query, audit } = exchange;
  const { headers, method, path } = request;
  const target = parseTarget(path);
  if (!target) return sink.respond(400, { "content-type": "text/plain; charset=utf-8" }, "400 Bad Request");
  const { traffic } = options.pipeline;
  const receivedMs = traffic.precise();
  if (query.has("timeout") && !isLongRunning(verbOf(method, target, query), target)) checkTimeout(query);
  const observer = audit && new AuditObserver({ method, path, target, query, audit });
  const found = options.authenticator.authenticate(request, {
    observer,
    warnings: exchange.warnings,
    attributes: (requester) => askedAttributes({ method, path, target, query }, requester),
  });
  const user = found instanceof Promise ? await found : found;
  if (observer) await observer.authenticated(user);
  const arrivedMs = traffic.precise();
  traffic.metrics.authenticated(user, arrivedMs - receivedMs);
  // HTTP/2 is prone to abuse, so strangers get one request for each connection (upstream's UnauthenticatedHTTP2DOSMitigation).
  if (!user || user.groups.includes(everyone.unauthenticated)) request.endConnection?.();
  if (!user) throw statusError.unauthorized();
  const route = await options.pipeline.route({
    method,
    path,
    target,
    query,
    user,
    audit,
    accept: headers.accept,
    etag: headers["if-none-match"],
    host: headers[":authority"]?.toString() ?? headers.host ?? "",
    contentType: headers["content-type"],
    receivedMs,
    arrivedMs,
    client: request,
    responseHeaders: exchange.base,
  });
  try {
    await answerRoute(exchange, route);
  } catch (error) {
    await fail(exchange, error, route.meter);
  } finally {
    route.meter.end(sink.status, sink.bytes);
  }
}

async function answerRoute(exchange: Exchange, route: Route): Promise<void> {
  const { options, request, query, audit } = exchange;
  const { headers } = request;
  if (route.type === "answer") {
    return respond(await contextOf(exchange, errorFormat(exchange) ?? "json"), route.answer, noPresenter);
  }
  const accept = route.streams ? undefined : headers.accept;
  const cbor = options.cbor !== undefined;
  const { verb, resource } = route;
  const media = negotiateShape({ accept, collection: listVerbs.has(verb), watch: verb === "watch", cbor }, resource);
  const { warnings } = exchange;
  const now = options.clock.now();
  const answer = await withDeadline(exchange, route, () =>
    route.run({
      body: bodyOf(exchange),
      userAgent: headers["user-agent"] ?? "",
      warnings,
      now,
    }),
  );
  // A view of an object may be of another kind.
  const shown = answer.type === "object" ? answer.resource : route.resource;
  const shape = answer.type === "list" || answer.type === "watch" ? answer.type : "object";
  if (audit)
    await recordAnswer(audit, answer, () =>
      presenterFor(media, { resource: shown, query, now, answer: shape, textOf: options.textOf }),
    );
  const context = { ...(await contextOf(exchange, media.format)), pretty: media.pretty || isPretty(exchange) };
  await respond(context, answer, () =>
    context.binary
      ? context.binary.presenter(shown, media.transform)
      : presenterFor(media, { resource: shown, query, now, answer: shape, textOf: options.textOf }),
  );
}

type Asked = Parameters<typeof auditReceived>[0];

/** The audit log hears who asks as soon as that is known, before impersonation is checked. */
class AuditObserver implements AuthenticationObserver {
  readonly #asked: Asked;
  #told = false;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  async authenticated(user: RequestUser | undefined): Promise<void> {
    if (this.#told) return;
    this.#told = true;
    if (!(await auditReceived(this.#asked, user))) {
      const { audit } = this.#asked;
      audit?.rejected();
      throw new PlainFailure("failed to store audit event");
    }
  }

  impersonated(user: RequestUser, constraint?: string): void {
    this.#asked.audit?.impersonated(user, constraint);
  }

  annotate(key: string, value: string): void {
    this.#asked.audit?.annotate(key, value);
  }
}

/** Read when first asked for, and once. */
function bodyOf({ request, options }: Exchange): RequestBody {
  let bytes: Promise<Buffer> | undefined;
  return {
    contentType: contentTypeOf(request.headers["content-type"]),
    mediaTypes: mediaTypesOf({ cbor: options.cbor !== undefined }),
    bytes() {
      bytes ??= request.body(bodyBytesMax);
      return bytes;
    },
  };
}

/** A 504 instead of an answer that takes too long; what it was doing goes on and is forgotten. */
function withDeadline<T>(
  { options, query }: Exchange,
  { longRunning, meter }: Extract<Route, { type: "resource" }>,
  run: () => Promise<T>,
): Promise<T> {
  if (longRunning) return run();
  return new Promise((resolve, reject) => {
    const cancel = options.clock.after(timeoutOf(query), () => {
      meter.timedOut();
      reject(statusError.timeout("Timeout: request did not complete within the allotted timeout"));
    });
    run().then(resolve, reject).finally(cancel);
  });
}

async function fail(exchange: Exchange, error: unknown, meter?: RequestMeter): Promise<void> {
  const { sink, request, options, base } = exchange;
  if (error instanceof TooManyRequests)
    return sink.respond(429, { ...base, ...plain, "retry-after": String(error.retrySeconds) }, `${error.message}\n`);
  if (error instanceof PlainFailure && !sink.started) {
    const uri = request.query === "" ? request.path : `${request.path}?${request.query}`;
    return sink.respond(500, { ...base, ...plain }, plainFailureText(uri, error.message));
  }
  const status = statusOf(error, exchange);
  const { audit } = exchange;
  if (audit) {
    if (!(error instanceof StatusError)) audit.panicked(error);
    audit.status(status);
    if (audit.wantsResponseObject) audit.responseObject(JSON.stringify(status));
  }
  if (sink.started) {
    // Too late to say anything: an answer that was cut off must not look complete.
    meter?.aborted();
    sink.abort();
    return;
  }
  try {
    const format = errorFormat(exchange);
    const found = await contextOf(exchange, format ?? "json");
    const context = error instanceof AccessDenied ? { ...found, headers: { ...found.headers, ...noSniff } } : found;
    // Whoever takes nothing that is offered is taken for a person.
    await respondError(format ? context : { ...context, pretty: true }, status);
  } catch (failure) {
    options.log.error("an error could not be answered", { path: request.path, failure });
    sink.abort();
  }
}

const noSniff = { "x-content-type-options": "nosniff" };
const plain = { "content-type": "text/plain; charset=utf-8", ...noSniff };

function statusOf(error: unknown, { request, options }: Exchange): Status {
  if (error instanceof StatusError) return error.status;
  options.log.error("request failed", {
    method: request.method,
    path: request.path,
    error,
    stack: error instanceof Error ? error.stack : "",
  });
  return statusError.internal(error instanceof Error ? error.message : String(error)).status;
}

async function contextOf(exchange: Exchange, format: Format): Promise<ResponseContext> {
  const { request, sink, base, options, warnings } = exchange;
  const warning = warnings.length > 0 ? warningHeaders(warnings) : [];
  const headers = warning.length > 0 ? { ...base, warning } : base;
  const binary = format === "cbor" ? await options.cbor?.() : format === "protobuf" ? options.protobuf : undefined;
  return { request, sink, headers, format, binary, pretty: isPretty(exchange) };
}

/** Errors come in the format that was asked for, unless that was for another shape. */
function errorFormat({ request, options }: Exchange): Format | undefined {
  const offers = { protobuf: true, cbor: options.cbor !== undefined };
  return negotiate(request.headers.accept, () => false, offers)?.format;
}

const listVerbs = new Set(["list", "watch"]);

/** People with curl and a browser get indented JSON. */
function isPretty({ query, request }: Exchange): boolean {
  if (query.has("pretty")) return query.boolean("pretty");
  return /^(curl|Wget|Mozilla\/5\.0)/.test(request.headers["user-agent"] ?? "");
}

function noPresenter(): never {
  throw new Error("an answer to a path needs no presenter");
}
