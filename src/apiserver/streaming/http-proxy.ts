/** A request that goes on to a pod, a service's endpoint or a node, and its answer back: upstream's UpgradeAwareHandler. */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { pipeline, type Readable, Transform } from "node:stream";
import { createGunzip, createGzip } from "node:zlib";
import { requestUpgrade } from "#base";
import { statusError } from "#machinery";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import { plainError } from "../registry/errors.ts";
import { printDialError } from "./dial-error.ts";
import { answeredHeaders, forwardedHeaders } from "./forwarded-headers.ts";
import type { KubeletConnector } from "./kubelet-connector.ts";
import { HtmlRewriter, type LinkPlace, rewriteLink } from "./link-rewriter.ts";
import { passUpgrade, type UpgradeDialer } from "./pass-upgrade.ts";
import type { ProxyTarget } from "./proxy-target.ts";
import { upgradeOf } from "./upgrade-request.ts";

/** To connect and for the head of an answer to an upgrade. */
const upgradeTimeoutMs = 30_000;
const idleSocketsMax = 4;
const idleMs = 30_000;

export interface Passage {
  readonly target: ProxyTarget;
  /** Behind the proxy, as it came: "" or `/a/b`. */
  readonly path: string;
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
  readonly headers: ResponseHeaders;
}

export interface HttpProxy {
  pass(passage: Passage): Promise<void>;
  close(): void;
}

export function createHttpProxy(kubelets: KubeletConnector): HttpProxy {
  const pool = { keepAlive: true, maxFreeSockets: idleSocketsMax, timeout: idleMs };
  const plain = new HttpAgent(pool);
  // Nobody knows the authorities of what runs in pods; upstream checks nothing either.
  const secure = new HttpsAgent({ ...pool, rejectUnauthorized: false });
  return {
    async pass(passage) {
      const { target, request, sink, path } = passage;
      const url = urlOf(passage);
      const upgrade = upgradeOf(request);
      if (upgrade) return passUpgrade({ request: upgrade, sink, url, dial: dialerOf(target, kubelets) });
      // A page without a slash at its end would take its links for its neighbours'.
      if (path === "" && (request.method === "GET" || request.method === "HEAD")) {
        const query = request.query === "" ? "" : `?${request.query}`;
        return sink.respond(
          301,
          { ...passage.headers, location: `${request.path}/${query}`, "content-length": "0" },
          "",
        );
      }
      const agent = target.isKubelet ? kubelets.agent : url.protocol === "https:" ? secure : plain;
      await answer(passage, await send(passage, url, agent));
    },
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

/** The URL type takes `.` and `..` out, however they are written. */
function urlOf({ target, path, request }: Passage): URL {
  const url = new URL(target.origin);
  const mark = path.indexOf("?");
  url.pathname = mark < 0 ? path : path.slice(0, mark);
  url.search = request.query;
  return url;
}

const dialerOf =
  ({ isKubelet }: ProxyTarget, kubelets: KubeletConnector): UpgradeDialer =>
  async (question) => {
    if (isKubelet) return kubelets.upgrade(question);
    try {
      return await requestUpgrade({ ...question, tls: { rejectUnauthorized: false }, timeoutMs: upgradeTimeoutMs });
    } catch (error) {
      throw plainError(`error dialing backend: ${printDialError(error, question.url.host)}`);
    }
  };

function placeOf({ path, request }: Passage, url: URL): LinkPlace {
  const host = request.headers[":authority"]?.toString() ?? request.headers.host ?? "";
  const end = path !== "" && request.path.endsWith(path) ? request.path.length - path.length : request.path.length;
  return { host, prefix: request.path.slice(0, end), targetHost: url.host };
}

function send(passage: Passage, url: URL, agent: HttpAgent): Promise<IncomingMessage> {
  const { request } = passage;
  const headers = { ...forwardedHeaders(request), "x-forwarded-uri": placeOf(passage, url).prefix + url.pathname };
  const { method, signal } = request;
  return new Promise((resolve, reject) => {
    const start = url.protocol === "https:" ? httpsRequest : httpRequest;
    const outgoing = start(url, { method, headers, agent, signal });
    outgoing.setTimeout(0);
    outgoing.once("response", resolve);
    outgoing.once("error", (error) => {
      reject(statusError.serviceUnavailable(`error trying to reach service: ${printDialError(error, url.host)}`));
    });
    pipeline(request.bodyStream(), outgoing, () => {
      // Either end's failure is told by the answer or by its absence.
    });
  });
}

const corsHeader = /^access-control-allow-(credentials|headers|methods|origin)$/;

async function answer(passage: Passage, response: IncomingMessage): Promise<void> {
  const { request, sink, headers } = passage;
  const place = placeOf(passage, urlOf(passage));
  const answered = answeredHeaders(response.headers);
  for (const name of Object.keys(answered)) if (corsHeader.test(name)) delete answered[name];
  const location = response.headers.location;
  if (location) answered.location = rewriteLink(location, place);
  const rewriter = location ? undefined : rewriterFor(response, place);
  if (rewriter) delete answered["content-length"];
  sink.head(response.statusCode ?? 502, { ...headers, ...answered });
  const body: Readable = rewriter ? rewriter(response) : response;
  const stop = (): void => void response.destroy();
  request.signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) if (!sink.write(chunk)) await sink.drained();
  } catch (error) {
    if (request.signal.aborted) return;
    throw error;
  } finally {
    request.signal.removeEventListener("abort", stop);
  }
  sink.end();
}

/** Undefined: the body goes through as it is. */
function rewriterFor({ headers, statusCode }: IncomingMessage, place: LinkPlace) {
  const type = (headers["content-type"] ?? "").split(";")[0]?.trim();
  const encoding = headers["content-encoding"] ?? "";
  if (type !== "text/html" || statusCode === 204 || statusCode === 304) return undefined;
  if (encoding === "") return (body: Readable): Readable => body.pipe(forwardErrors(body, rewriting(place)));
  if (encoding !== "gzip") return undefined;
  return (body: Readable): Readable => {
    const ignore = (): void => undefined; // the last stream tells
    return pipeline(body, createGunzip(), rewriting(place), createGzip(), ignore);
  };
}

function forwardErrors(body: Readable, to: Transform): Transform {
  body.once("error", (error) => to.destroy(error));
  return to;
}

function rewriting(place: LinkPlace): Transform {
  const rewriter = new HtmlRewriter(place);
  // Bytes as they are, whatever the page's encoding: tags and links are ASCII in all of them.
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) =>
      done(null, Buffer.from(rewriter.push(chunk.toString("latin1")), "latin1")),
    flush: (done) => done(null, Buffer.from(rewriter.flush(), "latin1")),
  });
}
