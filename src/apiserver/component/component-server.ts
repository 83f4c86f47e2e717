/**
 * The small HTTPS server beside the scheduler and the controllers: health, metrics, profiles, pages about the process. Everyone may ask for
 * health; for all else the API server is asked who the caller is and whether they may, as upstream's delegated authentication does.
 */
import type { Socket } from "node:net";
import type { RequestUser } from "#api";
import type { Clock, Logger, MetricRegistry } from "#base";
import { isStatusError, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { attributesOf } from "../authorize.ts";
import { debugHandler } from "../debug/debug-handler.ts";
import { statusPages } from "../debug/status-pages.ts";
import { type HealthCheck, healthHandlers } from "../health.ts";
import type { Handler, ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import { createListener, type TlsOptions } from "../http/listener.ts";
import { HealthMetrics } from "../metrics/health-metrics.ts";
import { metricsHandler } from "../metrics/metrics-handler.ts";
import { type PathHandler, pageNotFound } from "../paths.ts";
import { Query } from "../query.ts";
import { parseTarget } from "../request-target.ts";
import { userOfCertificate } from "../security/authn/client-certificate.ts";
import { forbiddenError } from "../security/forbidden.ts";
import { everyone } from "../security/groups.ts";

/** Who the API server says that callers are. */
export interface ComponentAuth {
  /** Undefined: nobody knows the token. */
  userOf(token: string): Promise<RequestUser | undefined>;
  allows(user: RequestUser, verb: string, path: string): Promise<boolean>;
}

export interface ComponentServerOptions {
  /** `kube-scheduler` */
  readonly name: string;
  /** `1.36` */
  readonly version: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly profiling: boolean;
  readonly tls: TlsOptions;
  readonly metrics: MetricRegistry;
  /** Beside `ping`. */
  readonly checks?: ReadonlyMap<string, HealthCheck>;
  readonly auth: ComponentAuth;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ComponentServer {
  /** A connection that came to its port. */
  accept(socket: Socket): void;
  close(): Promise<void>;
}

const health = new Set(["healthz", "livez", "readyz"]);

export function createComponentServer(options: ComponentServerOptions): ComponentServer {
  const { tls, log } = options;
  const paths = pathsOf(options);
  const handler: Handler = (request, sink) => {
    serve(options, paths, { request, sink }).catch((error: unknown) => {
      log.error("request failed", { path: request.path, error });
      sink.abort();
    });
  };
  const listener = createListener({ tls, handler, log });
  return { accept: (socket) => listener.accept(socket), close: () => listener.close() };
}

function pathsOf(options: ComponentServerOptions): ReadonlyMap<string, PathHandler> {
  const { name, version, flags, profiling, metrics, checks = new Map(), clock, log } = options;
  const indicators = new HealthMetrics();
  const observe = indicators.observe.bind(indicators);
  const all = new Map<string, HealthCheck>([["ping", () => undefined], ...checks]);
  const paths: Map<string, PathHandler> = new Map([
    ...healthHandlers({ checks: all, readiness: new Map(), clock, log, observe }),
    ["metrics", metricsHandler(metrics, indicators.registry)],
    ["debug", debugHandler({ profiling, log })],
    ...statusPages({
      component: name,
      version,
      flags,
      paths: () => [...paths.keys()].filter((each) => each !== "debug").map((each) => `/${each}`),
    }),
  ]);
  return paths;
}

interface Exchange {
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
}

const headers: ResponseHeaders = { "cache-control": "no-cache, private", "x-content-type-options": "nosniff" };

async function serve(
  options: ComponentServerOptions,
  paths: ReadonlyMap<string, PathHandler>,
  { request, sink }: Exchange,
): Promise<void> {
  try {
    const answer = await answerOf(options, paths, request);
    if (answer.type === "stream") await answer.run(request, sink, headers);
    else if (answer.type === "raw") sink.respond(answer.status, { ...headers, ...answer.headers }, answer.body);
    else throw statusError.notAcceptable([]);
  } catch (error) {
    if (sink.started || !isStatusError(error)) throw error;
    const { status } = error;
    sink.respond(status.code ?? 500, { ...headers, "content-type": "application/json" }, `${JSON.stringify(status)}\n`);
  }
}

async function answerOf(
  options: ComponentServerOptions,
  paths: ReadonlyMap<string, PathHandler>,
  request: ServerRequest,
): Promise<Answer> {
  const { method, path } = request;
  const target = parseTarget(path);
  if (!target) throw statusError.badRequest(`malformed path ${JSON.stringify(path)}`);
  const verb = method.toLowerCase();
  const [first = ""] = target.type === "resource" ? [] : target.parts;
  const open = health.has(first) && target.type === "path" && target.parts.length === 1;
  const user = open ? anonymous : await callerOf(options, request);
  if (!open && !(await options.auth.allows(user, verb, path)))
    throw forbiddenError(attributesOf({ user, verb, path, target: { type: "path", parts: [] } }), "");
  if (target.type !== "path") return pageNotFound();
  const { accept, "if-none-match": etag, host = "" } = request.headers;
  const query = new Query(request.query);
  const found = await paths.get(first)?.({ method, path, parts: target.parts, query, user, accept, etag, host });
  return found ?? pageNotFound();
}

const anonymous: RequestUser = { name: everyone.anonymous, uid: "", groups: [everyone.unauthenticated], extra: {} };

async function callerOf({ auth }: ComponentServerOptions, request: ServerRequest): Promise<RequestUser> {
  const peer = request.peerCertificate();
  const shown = peer?.trusted ? userOfCertificate(peer.certificate) : undefined;
  if (typeof shown === "object") return { ...shown, groups: [...shown.groups, everyone.authenticated] };
  const token = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) return anonymous;
  const user = await auth.userOf(token);
  if (!user) throw statusError.unauthorized();
  return user;
}
