/**
 * One HTTP/2 connection for all requests and watches of a client. A connection that was silent is asked for a sign of life (PING), because
 * a peer that vanished (power loss, a dropped NAT entry) never says so, and its watches would stay silent for ever.
 * Intervals are those of client-go: 30 s silent, then 15 s for the answer.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Clock } from "#base";
import { type Connection, ConnectionError, codeOf, type Exchange, type ExchangeRequest } from "./connection.ts";

const silentMs = 30_000;
const pingAnswerMs = 15_000;
/** Bytes the server may send ahead on one stream and on all; the 64 kB of the standard would make large lists wait for us. */
const streamWindowBytes = 4 * 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;
/** Node refuses streams of a connection that buffers more than this; its own default of 10 is less than our window. */
const sessionMemoryMegabytesMax = 64;

/** Instead of the usual: silence is noticed soon, and costs the connection only when another one can be had. */
export interface Vigil {
  readonly silentMs: number;
  readonly answerMs: number;
  /** Resolves once the server answers over another connection; answers how to let go of that one. */
  readonly onSilent: () => Promise<() => void>;
}

export async function createHttp2Connection(
  socket: TLSSocket,
  url: URL,
  { clock, vigil }: { readonly clock: Clock; readonly vigil?: Vigil },
): Promise<Connection> {
  const http2 = await import("node:http2");
  const session = http2.connect(url.origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: streamWindowBytes },
    maxSessionMemory: sessionMemoryMegabytesMax,
  });
  // The server's settings say how many streams it takes; they come with the first packet.
  await new Promise<void>((resolve, reject) => {
    session.once("remoteSettings", () => resolve());
    session.once("close", () => reject(new ConnectionError("the connection closed at once", { code: "ECONNRESET" })));
    session.once("error", reject);
  });
  // Errors also reach every stream; without a listener here they would end the process.
  session.on("error", () => session.destroy());
  session.setLocalWindowSize(connectionWindowBytes);
  session.unref();
  const stopPings = vigil ? keepVigil(session, socket, { clock, vigil }) : keepAlive(session, socket, clock);
  session.once("close", stopPings);

  const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = http2.constants;
  let streams = 0;

  return {
    get available() {
      return !session.closed && !session.destroyed && streams < (session.remoteSettings?.maxConcurrentStreams ?? 100);
    },
    get closed() {
      return session.closed || session.destroyed;
    },
    exchange(request) {
      return new Promise((resolve, reject) => {
        let stream: ClientHttp2Stream;
        try {
          stream = open(session, request);
        } catch (error) {
          return reject(unprocessed(error));
        }
        streams++;
        session.ref();
        const cancel = () => stream.close(NGHTTP2_CANCEL);
        request.signal?.addEventListener("abort", cancel, { once: true });
        if (request.signal?.aborted) cancel();
        stream.once("close", () => {
          if (--streams === 0) session.unref();
          request.signal?.removeEventListener("abort", cancel);
          reject(broken(stream.rstCode === NGHTTP2_REFUSED_STREAM, request));
        });
        stream.once("error", (error) => {
          reject(stream.rstCode === NGHTTP2_REFUSED_STREAM ? unprocessed(error) : failed(error, request));
        });
        stream.once("response", (headers) => resolve(answer(headers, stream)));
      });
    },
    close() {
      stopPings();
      session.destroy();
    },
  };
}

function open(session: ClientHttp2Session, { method, path, headers, body }: ExchangeRequest): ClientHttp2Stream {
  const stream = session.request({ ...headers, ":method": method, ":path": path }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return stream;
}

function answer(headers: Record<string, string | string[] | number | undefined>, body: ClientHttp2Stream): Exchange {
  return {
    code: Number(headers[":status"]),
    contentType: String(headers["content-type"] ?? ""),
    retryAfter: headers["retry-after"] === undefined ? undefined : String(headers["retry-after"]),
    body,
    isWhole: () => body.rstCode === 0,
  };
}

const unprocessed = (cause: unknown) =>
  new ConnectionError("the server did not take the request", { code: codeOf(cause), isUnprocessed: true, cause });

const failed = (cause: Error, { method, path }: ExchangeRequest) =>
  new ConnectionError(`${method} ${path}: ${cause.message}`, { code: codeOf(cause), cause });

function broken(isUnprocessed: boolean, { method, path, signal }: ExchangeRequest): Error {
  if (signal?.aborted) return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
  return new ConnectionError(`${method} ${path}: the connection closed before an answer came`, {
    code: "ECONNRESET",
    isUnprocessed,
  });
}

/** Destroys the session when a PING stays without answer; the answer stops it. */
function keepAlive(session: ClientHttp2Session, socket: TLSSocket, clock: Clock): () => void {
  let bytesRead = -1;
  let cancel: () => void;
  const check = () => {
    if (session.destroyed) return;
    if (socket.bytesRead !== bytesRead) {
      bytesRead = socket.bytesRead;
      cancel = clock.after(silentMs, check);
      return;
    }
    cancel = clock.after(pingAnswerMs, () => session.destroy(new Error("no answer to a PING within 15 s")));
    session.ping((error) => {
      cancel();
      if (error) session.destroy(error);
      else check();
    });
  };
  cancel = clock.after(silentMs, check);
  return () => cancel();
}

/** The server's answer has this long when it answers elsewhere: it may have been busy for both. */
const lateMs = 100;

function keepVigil(
  session: ClientHttp2Session,
  socket: TLSSocket,
  { clock, vigil }: { readonly clock: Clock; readonly vigil: Vigil },
): () => void {
  let bytesRead = -1;
  let cancel: () => void;
  const check = () => {
    if (session.destroyed) return;
    if (socket.bytesRead !== bytesRead) {
      bytesRead = socket.bytesRead;
      cancel = clock.after(vigil.silentMs, check);
      return;
    }
    let isAnswered = false;
    const look = async () => {
      const release = await vigil.onSilent();
      await new Promise<void>((done) => clock.after(lateMs, done));
      if (isAnswered) release();
      else session.destroy(new Error("no answer to a PING, but over another connection"));
    };
    cancel = clock.after(vigil.answerMs, () => void look().catch((error: Error) => session.destroy(error)));
    session.ping((error) => {
      isAnswered = !error;
      cancel();
      if (error) session.destroy(error);
      else check();
    });
  };
  cancel = clock.after(vigil.silentMs, check);
  return () => cancel();
}
