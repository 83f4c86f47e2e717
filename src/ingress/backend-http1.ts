/** Calls to a backend by HTTP/1.1, with or without TLS, on connections that are kept alive. */
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { type Answer, type Backend, type Call, CallError, type CallHead, connectMsMax } from "./exchange.ts";
import { drop, endToEnd, joinCookies, trailerPairs, valuesOf } from "./headers.ts";
import type { Endpoint } from "./upstream.ts";

/** Kept for one endpoint while nothing is asked. */
const idleMax = 256;
/** Below the minute after which many servers close; what a server says of itself counts, too. */
const idleMs = 30_000;
const keepAliveProbeMs = 15_000;

export interface BackendOptions {
  readonly isSecure: boolean;
  /** Of names outside of the cluster: says which addresses are allowed. */
  readonly lookup?: LookupFunction;
}

export function createHttp1Backend({ host, port }: Endpoint, { isSecure, lookup }: BackendOptions): Backend {
  const kept = { keepAlive: true, keepAliveMsecs: keepAliveProbeMs, maxFreeSockets: idleMax, timeout: idleMs };
  const agent = isSecure ? new HttpsAgent(kept) : new HttpAgent(kept);
  const send = isSecure ? httpsRequest : httpRequest;
  // Pods' certificates have no names that anybody could verify.
  const tls = isSecure ? { rejectUnauthorized: false, ...(lookup && { servername: host }) } : {};
  return {
    call(head) {
      const headers = joinCookies(["Host", head.authority, ...head.headers]);
      const hasLength = valuesOf(headers, "content-length").length > 0;
      if (head.hasBody && !hasLength) headers.push("Transfer-Encoding", "chunked");
      else drop(headers, "trailer"); // of bodies in chunks only
      const options = { host, port, agent, method: head.method, path: head.target, ...(lookup && { lookup }), ...tls };
      return createCall(send({ ...options, headers, setDefaultHeaders: false }), head);
    },
    retire() {
      agent.maxFreeSockets = 0;
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    },
  };
}

function createCall(request: ClientRequest, { hasBody }: CallHead): Call {
  const connected = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Answer>();
  let isConnected = false;
  const connect = (): void => {
    isConnected = true;
    connected.resolve();
  };
  request.once("socket", (socket) => {
    if (!socket.connecting && !("secureConnecting" in socket && socket.secureConnecting)) return connect();
    const timer = setTimeout(() => request.destroy(new Error("connect timeout")), connectMsMax);
    socket.once("encrypted" in socket ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      connect();
    });
    socket.once("close", () => clearTimeout(timer));
  });
  request.on("error", (error) => {
    // The caller waits for it, or has what it wanted already.
    answer.reject(new CallError(error, { isUnsent: !isConnected, isUnreachable: !isConnected }));
    connected.resolve();
  });
  request.once("response", (response) => answer.resolve(readAnswer(response)));
  if (!hasBody) request.end();
  return {
    connected: connected.promise,
    sink: request,
    finish(trailers) {
      if (trailers.length > 0) request.addTrailers(trailerPairs(trailers));
      request.end();
    },
    answer: answer.promise,
    onProceed: (run) => void request.once("continue", run),
    cancel: () => void request.destroy(),
  };
}

function readAnswer(response: IncomingMessage): Answer {
  const { statusCode: status = 502, statusMessage: message = "", rawHeaders } = response;
  return {
    ...{ status, message, body: response },
    headers: endToEnd(rawHeaders),
    isWhole: () => response.complete,
    trailers: () => endToEnd(response.rawTrailers),
  };
}
