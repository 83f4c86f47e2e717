/**
 * One request to one of a backend's endpoints and the answer back, both ways as they come: nothing is collected, and who is slow slows the
 * other side down. What certainly reached nobody is sent to another endpoint, whatever it is; what broke off before an answer only if its
 * method may be repeated, and both only as long as nothing of the body was taken from the client.
 */
import type { Readable } from "node:stream";
import type { Answer, Call, CallHead, Exchange } from "./exchange.ts";
import { CallError } from "./exchange.ts";
import { forwardedHeaders } from "./headers.ts";
import type { Pool } from "./pools.ts";

/** Endpoints tried for one request. */
const attemptsMax = 4;
/** RFC 9110 9.2.2. */
export const idempotent: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** An answer of our own. */
export function refuse(exchange: Exchange, status: number, text: string, more: readonly string[] = []): void {
  const body = Buffer.from(`${text}\n`);
  const length = String(body.length);
  const headers = ["Content-Type", "text/plain; charset=utf-8", "Content-Length", length, ...more];
  const hasBody = exchange.method !== "HEAD";
  const sink = exchange.respond({ status, headers }, hasBody);
  if (!hasBody) return;
  sink.write(body);
  exchange.finish([]);
}

export async function forward(exchange: Exchange, pool: Pool, now: () => number): Promise<void> {
  let current: Call | undefined;
  let isOver = false;
  exchange.onClose(() => {
    isOver = true;
    current?.cancel(); // nothing happens if it has ended
  });
  const { method, target, authority, body } = exchange;
  const headers = forwardedHeaders(exchange.headers, exchange.origin);
  const head: CallHead = { method, target, authority, headers, hasBody: body !== undefined };
  const tried = new Set<string>();
  let failure: Error | undefined;
  while (tried.size < attemptsMax) {
    const endpoint = pool.balancer.choose(exchange.origin.address, { tried, now: now() });
    if (!endpoint) break;
    tried.add(endpoint.id);
    let call: Call;
    try {
      call = pool.backendOf(endpoint).call(head);
    } catch {
      return refuse(exchange, 400, "the request can't be sent on: it has characters that mustn't be there");
    }
    current = call;
    call.onProceed(() => exchange.proceed());
    const stopFeeding = body && feed(body, call, exchange);
    try {
      const answer = await call.answer;
      if (isOver) return call.cancel();
      return relay(exchange, answer);
    } catch (error) {
      stopFeeding?.();
      if (isOver) return;
      failure = error as Error;
      if (!(error instanceof CallError)) break;
      if (error.isUnreachable) pool.balancer.failed(endpoint.id, now());
      if (!error.isUnsent && !idempotent.has(method)) break;
      if (body?.readableDidRead) break;
    }
  }
  refuse(exchange, 502, `no endpoint of the Service could answer: ${failure?.message ?? "there is none"}`);
}

/** Sends the body as soon as there is a connection; the answer stops it. */
function feed(body: Readable, call: Call, exchange: Exchange): () => void {
  let isStopped = false;
  const end = () => call.finish(exchange.trailers());
  void call.connected.then(() => {
    if (isStopped) return;
    if (body.readableEnded) return end();
    body.once("end", end);
    body.pipe(call.sink, { end: false });
  });
  return () => {
    isStopped = true;
    body.off("end", end);
    body.unpipe(call.sink);
  };
}

function relay(exchange: Exchange, answer: Answer): void {
  const { status, body } = answer;
  const hasBody = body !== undefined && exchange.method !== "HEAD" && status !== 204 && status !== 304;
  try {
    const sink = exchange.respond(answer, hasBody);
    if (!hasBody || !body) return void body?.resume();
    body.pipe(sink, { end: false });
  } catch {
    // What one version of HTTP allows in a header, another may not.
    body?.destroy();
    exchange.abort();
    return;
  }
  let isDone = false;
  const done = (isWhole: boolean) => {
    if (isDone) return;
    isDone = true;
    if (isWhole) exchange.finish(answer.trailers());
    else exchange.abort();
  };
  body.once("end", () => done(answer.isWhole()));
  body.once("error", () => done(false));
  body.once("close", () => done(false));
}
