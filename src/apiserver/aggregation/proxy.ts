/**
 * A client's request that goes on to the extension server that serves its version, and the answer back as it comes: nothing is kept on the
 * way, so watches stream. Follows kube-aggregator's handler_proxy and apimachinery's UpgradeAwareHandler; failures are plain text there.
 */
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import type { RequestUser } from "#api";
import { type Clock, requestUpgrade } from "#base";
import { isStatusError, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import { textAnswer } from "../paths.ts";
import type { Query } from "../query.ts";
import { plainError } from "../registry/errors.ts";
import { printRequestError } from "../streaming/dial-error.ts";
import { answeredHeaders, forwardedHeaders } from "../streaming/forwarded-headers.ts";
import { passUpgrade, type UpgradeDialer } from "../streaming/pass-upgrade.ts";
import { upgradeOf } from "../streaming/upgrade-request.ts";
import type { ApiServiceEntry } from "./api-service-index.ts";
import type { Backend, Backends } from "./backends.ts";
import { identityHeaders } from "./identity-headers.ts";
import { printAddress } from "./service-address.ts";

/** To connect and for the head of an answer to an upgrade. */
const upgradeTimeoutMs = 30_000;
/** Of discovery: clients ask every server for it, and one that hangs must not hang them all. */
const discoveryTimeoutMs = 5_000;
const redirectText = "the backend attempted to redirect this request, which is not permitted";

export interface ProxyRequest {
  readonly entry: ApiServiceEntry;
  readonly user: RequestUser;
  readonly query: Query;
  /** `/apis/GROUP/VERSION` itself. */
  readonly discovery: boolean;
  /** May take as long as it takes; the others get `timeoutMs`. */
  readonly longRunning: boolean;
}

export interface ProxyOptions {
  readonly backends: Backends;
  readonly clock: Clock;
  /** For requests that aren't long-running. */
  readonly timeoutMs: number;
}

const unavailable = (): Answer => failure(503, "service unavailable");
const failure = (status: number, text: string): Answer => textAnswer(status, `${text}\n`);

/** What the request is answered with; over HTTP it is a stream. */
export async function proxyAnswer(options: ProxyOptions, request: ProxyRequest): Promise<Answer> {
  const { backends } = options;
  const { entry } = request;
  if (!entry.available) return unavailable();
  let backend: Backend;
  try {
    backend = backends.of(entry);
  } catch (error) {
    return failure(500, (error as Error).message); // of createBackend
  }
  let host: string;
  try {
    host = printAddress(await backends.address(entry));
  } catch (error) {
    if (error instanceof Error) return unavailable();
    throw error;
  }
  return {
    type: "stream",
    run: (incoming, sink, headers) => pass({ ...options, ...request, backend, host, incoming, sink, headers }),
  };
}

interface Passage extends ProxyRequest, ProxyOptions {
  readonly backend: Backend;
  /** `host:port` of the extension server. */
  readonly host: string;
  readonly incoming: ServerRequest;
  readonly sink: ResponseSink;
  readonly headers: ResponseHeaders;
}

async function pass(passage: Passage): Promise<void> {
  const { incoming, sink, host, query, user, backend } = passage;
  const upgrade = upgradeOf(incoming);
  if (upgrade) {
    const dial: UpgradeDialer = (question) => {
      const headers = { ...question.headers, host, ...identityHeaders(user) };
      return requestUpgrade({ ...question, headers, tls: backend.tls, timeoutMs: upgradeTimeoutMs }).catch((error) => {
        throw plainError(`error dialing backend: ${printRequestError(error, named(passage))}`);
      });
    };
    const url = new URL(`https://${host}${target(incoming, query)}`);
    return passUpgrade({ request: upgrade, sink, url, dial }).catch((error: unknown) => {
      if (!isStatusError(error) || sink.started) throw error;
      refuse(passage, error.message);
    });
  }
  const limit = limitOf(passage);
  try {
    const response = await send(passage, limit.signal);
    await answer(passage, response, limit.signal);
  } catch (error) {
    if (incoming.signal.aborted) return sink.abort();
    if (sink.started) return sink.abort();
    if (limit.expired() && !passage.discovery)
      throw statusError.timeout("Timeout: request did not complete within the allotted timeout");
    const why = limit.expired() ? "context deadline exceeded" : printRequestError(error, named(passage));
    refuse(passage, `error trying to reach service: ${why}`);
  } finally {
    limit.cancel();
  }
}

const named = ({ host, backend }: Passage) => ({ host, serverName: backend.tls.servername });

const refuse = ({ sink, headers }: Passage, text: string): void => {
  const type = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
  sink.respond(503, { ...headers, ...type }, `${text}\n`);
};

/** As Go prints a URL that it has read: what can't be read isn't passed on. */
function target({ path }: ServerRequest, query: Query): string {
  const text = query.encode();
  return text === "" ? path : `${path}?${text}`;
}

function limitOf({ incoming, discovery, longRunning, timeoutMs, clock }: Passage) {
  const stop = new AbortController();
  let expired = false;
  const ms = discovery ? discoveryTimeoutMs : timeoutMs;
  const cancel = longRunning
    ? () => undefined
    : clock.after(ms, () => {
        expired = true;
        stop.abort();
      });
  const gone = () => stop.abort();
  incoming.signal.addEventListener("abort", gone, { once: true });
  return {
    signal: stop.signal,
    expired: () => expired,
    cancel() {
      cancel();
      incoming.signal.removeEventListener("abort", gone);
    },
  };
}

/** Methods that may be asked again when a kept connection turns out to be closed. */
const repeatable = new Set(["GET", "HEAD", "OPTIONS"]);

async function send(passage: Passage, signal: AbortSignal): Promise<IncomingMessage> {
  const { incoming, host, query, user, backend, headers: base } = passage;
  const { method } = incoming;
  const path = target(incoming, query);
  const headers: OutgoingHttpHeaders = {
    ...forwardedHeaders(incoming),
    host,
    "audit-id": base["audit-id"] as string, // every request has one
    "X-Forwarded-Host": host,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Uri": incoming.path,
    ...identityHeaders(user),
  };
  const attempt = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const [, name = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(host) ?? [];
      const { agent, tls } = backend;
      const outgoing = httpsRequest({ ...tls, agent, host: name, port, method, path, headers, signal });
      // Idle connections are given up after a while; a silent watch is no idle connection.
      outgoing.setTimeout(0);
      outgoing.once("response", resolve);
      outgoing.once("error", (error: NodeJS.ErrnoException) => {
        const again = outgoing.reusedSocket && error.code === "ECONNRESET" && repeatable.has(method);
        if (again && !signal.aborted) attempt().then(resolve, reject);
        else reject(error);
      });
      if (repeatable.has(method)) outgoing.end();
      else {
        pipeline(incoming.bodyStream(), outgoing, () => {
          // Either end's failure is told by the answer or by its absence.
        });
      }
    });
  return attempt();
}

const corsHeader = /^access-control-allow-(credentials|headers|methods|origin)$/;

async function answer({ sink, headers }: Passage, response: IncomingMessage, signal: AbortSignal): Promise<void> {
  const status = response.statusCode ?? 502;
  if (status >= 300 && status <= 399 && response.headers.location) {
    response.destroy();
    const type = { "content-type": "text/plain; charset=utf-8", "content-length": String(redirectText.length) };
    return sink.respond(502, { ...headers, ...type }, redirectText);
  }
  const answered = answeredHeaders(response.headers);
  for (const name of Object.keys(answered)) if (corsHeader.test(name)) delete answered[name];
  sink.head(status, { ...headers, ...answered });
  const stop = (): void => void response.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) if (!sink.write(chunk)) await sink.drained();
  } finally {
    signal.removeEventListener("abort", stop);
  }
  sink.end();
}
