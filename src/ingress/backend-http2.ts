/** Calls to a backend by HTTP/2 (gRPC among them): many at once on few connections. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import type { BackendOptions } from "./backend-http1.ts";
import { type Answer, type Backend, type Call, CallError, type CallHead, connectMsMax } from "./exchange.ts";
import { endToEnd, lowerNames, type RawHeaders, trailerObject } from "./headers.ts";
import type { Endpoint } from "./upstream.ts";

/** To one endpoint; a further one is opened when the others have as many streams as the endpoint allows. */
const sessionsMax = 8;
const streamsDefault = 100;
const idleMs = 60_000;
/** Of one stream and of one connection: what may be under way unread. */
const windowBytes = 1024 * 1024;

interface Session {
  readonly session: ClientHttp2Session;
  readonly connected: Promise<void>;
  isConnected: boolean;
  streams: number;
}

export function createHttp2Backend({ host, port }: Endpoint, { isSecure, lookup }: BackendOptions): Backend {
  let sessions: Session[] = [];
  let isRetired = false;
  const scheme = isSecure ? "https" : "http";
  const name = host.includes(":") ? `[${host}]` : host;

  function open(): Session {
    const tls = isSecure ? { rejectUnauthorized: false, ...(lookup && { servername: host }) } : {};
    const options = {
      settings: { enablePush: false, initialWindowSize: windowBytes },
      ...tls,
      ...(lookup && { lookup }),
    };
    const session = connect(`${scheme}://${name}:${port}`, options);
    const { promise, resolve } = Promise.withResolvers<void>();
    const opened: Session = { session, connected: promise, isConnected: false, streams: 0 };
    const forget = () => {
      sessions = sessions.filter((each) => each !== opened);
    };
    const timer = setTimeout(() => session.destroy(new Error("connect timeout")), connectMsMax);
    session.once("connect", () => {
      clearTimeout(timer);
      opened.isConnected = true;
      session.setLocalWindowSize(windowBytes);
      resolve();
    });
    session.on("error", forget); // its streams fail with the cause
    session.once("goaway", forget);
    session.once("close", () => {
      clearTimeout(timer);
      forget();
      resolve();
    });
    session.setTimeout(idleMs, () => {
      if (opened.streams === 0) session.close();
    });
    sessions.push(opened);
    return opened;
  }

  function choose(): Session {
    sessions = sessions.filter(({ session }) => !session.closed && !session.destroyed);
    const limit = ({ session }: Session) => session.remoteSettings?.maxConcurrentStreams ?? streamsDefault;
    const free = sessions.find((each) => each.streams < Math.min(limit(each), streamsDefault));
    if (free) return free;
    if (sessions.length < sessionsMax) return open();
    return sessions.reduce((a, b) => (a.streams <= b.streams ? a : b));
  }

  return {
    call(head) {
      const owner = choose();
      owner.streams++;
      const headers = requestHeaders(head, scheme);
      const stream = owner.session.request(headers, { endStream: !head.hasBody, waitForTrailers: head.hasBody });
      stream.once("close", () => {
        owner.streams--;
        if (isRetired && owner.streams === 0) owner.session.close();
      });
      return createCall(stream, owner);
    },
    retire() {
      isRetired = true;
      for (const { session, streams } of sessions) if (streams === 0) session.close();
    },
  };
}

const requestHeaders = ({ method, target, authority, headers }: CallHead, scheme: string): string[] => [
  ...[":method", method, ":scheme", scheme, ":path", target, ":authority", authority],
  ...lowerNames(headers),
];

function createCall(stream: ClientHttp2Stream, owner: Session): Call {
  const answer = Promise.withResolvers<Answer>();
  let given: RawHeaders = [];
  let received: RawHeaders = [];
  stream.on("wantTrailers", () => stream.sendTrailers(trailerObject(given)));
  stream.on("trailers", (_: IncomingHttpHeaders, _flags: number, raw: RawHeaders) => {
    received = raw;
  });
  stream.on("error", (error) => fail(error));
  // Closed without an answer, and not as an error: that the peer does.
  stream.once("close", () => fail(new Error("the stream ended without an answer")));
  const fail = (error: Error): void => {
    const isUnreachable = !owner.isConnected;
    const isUnsent = isUnreachable || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
    answer.reject(new CallError(error, { isUnsent, isUnreachable }));
  };
  stream.once("response", (headers: IncomingHttpHeaders, flags: number, raw: RawHeaders) => {
    const isAll = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (isAll) stream.resume();
    answer.resolve({
      status: Number(headers[":status"]),
      headers: endToEnd(raw),
      body: isAll ? undefined : stream,
      isWhole: () => (stream.rstCode ?? 0) === constants.NGHTTP2_NO_ERROR,
      trailers: () => endToEnd(received),
    });
  });
  return {
    connected: owner.connected,
    sink: stream,
    finish(trailers) {
      given = trailers;
      stream.end();
    },
    answer: answer.promise,
    onProceed: (run) => void stream.once("continue", run),
    cancel: () => stream.close(constants.NGHTTP2_CANCEL),
  };
}
