/**
 * The transport to an API server in another process or on another machine.
 *
 * One HTTP/2 connection carries everything; a second one is opened only when the server's stream limit is reached (as Go's
 * client does: long-lived watches would otherwise starve requests). Without HTTP/2 it falls back to HTTP/1.1.
 * A broken connection is replaced by the next request. Requests that the server certainly did not process are sent again;
 * so are answers 429 and 5xx that name a Retry-After, ten times at most, as client-go does. There is no client-side rate limit.
 */
import { type Clock, realClock } from "#base";
import type { ApiRequest, Transport } from "#machinery";
import { connect } from "./connect.ts";
import {
  type Connection,
  ConnectionError,
  type Endpoint,
  type Exchange,
  type ExchangeRequest,
  readBody,
} from "./connection.ts";
import { delay } from "./delay.ts";
import { createJsonLines } from "./json-lines.ts";
import { decodeBody, decodeFailure } from "./response.ts";
import { createSteadyPool, type Pool, type PoolWait, type SteadyOptions } from "./steady-pool.ts";

export interface HttpsTransportOptions {
  /** `https://host:port`, also with a path prefix; `http://` for a local proxy. */
  readonly server: string;
  /** PEM. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  /** Asked before each request, so that rotated tokens are used; cache inside. */
  readonly tokenSource?: () => string | Promise<string>;
  readonly username?: string;
  readonly password?: string;
  readonly userAgent?: string;
  /** Name in the server's certificate when it isn't the host. */
  readonly serverName?: string;
  /** Don't verify the server's certificate. */
  readonly insecure?: boolean;
  readonly impersonate?: { readonly user: string; readonly groups?: readonly string[]; readonly uid?: string };
  /** For who must hear of changes in a moment, also after the network was cut or a server ended; see steady-pool.ts. */
  readonly steady?: SteadyOptions;
  /** Larger answers break off; a gigabyte without it. */
  readonly answerBytesMax?: number;
  readonly clock?: Clock;
}

/** Servers that can't answer metadata alone answer whole objects. */
const metadataAccept = ["PartialObjectMetadataList", "PartialObjectMetadata"]
  .map((kind) => `application/json;as=${kind};g=meta.k8s.io;v=v1`)
  .concat("application/json")
  .join(",");

/** Bytes are JSON already. */
function bytesOf(body: unknown): Buffer | undefined {
  if (body === undefined || Buffer.isBuffer(body)) return body;
  return Buffer.from(JSON.stringify(body));
}

const retriesMax = 10;
const resendsMax = 3;
/** Of a steady transport, for a connection. */
const requestWaitMs = 10_000;
/** Protects the process from an answer that never ends. */
const bodyBytesMax = 1024 * 1024 * 1024;

export function createHttpsTransport(options: HttpsTransportOptions): Transport {
  const { clock = realClock } = options;
  const url = new URL(options.server);
  const prefix = url.pathname.replace(/\/$/, "");
  const { steady } = options;
  const endpoints = [options.server, ...(steady?.servers ?? [])].map((server) => endpointOf(options, new URL(server)));
  const pool = steady ? createSteadyPool(endpoints, { ...steady, clock }) : createPool(endpointOf(options, url), clock);
  const closing = new AbortController();

  async function headersOf(request: ApiRequest, hasBody: boolean): Promise<ExchangeRequest["headers"]> {
    const headers: Record<string, string | readonly string[]> = {
      accept: request.metadataOnly ? metadataAccept : "application/json, */*;q=0.5",
      "user-agent": options.userAgent ?? "sampan",
    };
    if (hasBody) headers["content-type"] = request.contentType ?? "application/json";
    const token = options.tokenSource ? await options.tokenSource() : options.token;
    if (token) headers.authorization = `Bearer ${token.trim()}`;
    else if (options.username !== undefined) {
      const credentials = Buffer.from(`${options.username}:${options.password ?? ""}`).toString("base64");
      headers.authorization = `Basic ${credentials}`;
    }
    if (options.impersonate) {
      headers["impersonate-user"] = options.impersonate.user;
      if (options.impersonate.uid) headers["impersonate-uid"] = options.impersonate.uid;
      const groups = options.impersonate.groups ?? [];
      if (groups.length > 0) headers["impersonate-group"] = groups;
    }
    return headers;
  }

  /** The head of an answer that is not a failure. */
  async function exchange(request: ApiRequest, waitMs?: number): Promise<Exchange> {
    const body = bytesOf(request.body);
    const path = prefix + request.path + printQuery(request.query);
    const { method, signal } = request;
    let resends = 0;
    for (let retries = 0; ; ) {
      signal?.throwIfAborted();
      const headers = await headersOf(request, body !== undefined);
      let answer: Exchange;
      try {
        const connection = await pool.get({ signal, waitMs });
        answer = await connection.exchange({ method, path, headers, body, signal });
      } catch (error) {
        if (error instanceof ConnectionError && error.isUnprocessed && resends++ < resendsMax) continue;
        throw error;
      }
      if (answer.code >= 200 && answer.code < 300) return answer;
      const failure = decodeFailure(answer.code, answer, await readAll(answer, options.answerBytesMax));
      const retryAfterSeconds = Number(answer.retryAfter);
      const mayRetry = (answer.code === 429 || answer.code >= 500) && retryAfterSeconds > 0;
      if (!mayRetry || retries++ >= retriesMax) throw failure;
      await delay(clock, retryAfterSeconds * 1000, closing.signal);
    }
  }

  return {
    async request(request) {
      try {
        const answer = await exchange(request, requestWaitMs);
        return decodeBody(answer.contentType, await readAll(answer, options.answerBytesMax));
      } catch (error) {
        // Cancelling shows as a broken connection; the caller wants its own reason back.
        request.signal?.throwIfAborted();
        throw error;
      }
    },
    async watch(request, onEvent) {
      try {
        const answer = await exchange(request);
        const lines = createJsonLines((value) => onEvent(value as Parameters<typeof onEvent>[0])); // what a watch answers
        await readBody(answer, lines.push);
        lines.end();
      } catch (error) {
        if (request.signal?.aborted || closing.signal.aborted) return;
        // It goes on where it was, over another connection: nothing has failed that anybody must wait for.
        if (steady && error instanceof ConnectionError) return;
        throw error;
      }
    },
    close() {
      closing.abort();
      pool.close();
    },
  };
}

function endpointOf(options: HttpsTransportOptions, url: URL): Endpoint {
  const { ca, cert, key, insecure = false, serverName } = options;
  return {
    url,
    tls: { ca, cert, key, rejectUnauthorized: !insecure, ...(serverName ? { servername: serverName } : {}) },
  };
}

function printQuery(query: ApiRequest["query"] = {}): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parts.set(name, String(value));
  return parts.size > 0 ? `?${parts}` : "";
}

async function readAll(answer: Exchange, bytesMax = bodyBytesMax): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  await readBody(answer, (chunk) => {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`the answer is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  });
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

/** The open connections: one, unless the server limits streams. */
function createPool(endpoint: Endpoint, clock: Clock): Pool {
  let connections: Connection[] = [];
  let connecting: Promise<Connection> | undefined;
  let closed = false;

  async function connectOnce(): Promise<Connection> {
    const connection = await connect(endpoint, { clock });
    if (closed) connection.close();
    else connections.push(connection);
    return connection;
  }

  return {
    async get(_wait: PoolWait): Promise<Connection> {
      for (;;) {
        if (closed) throw new ConnectionError("the transport is closed", { code: "ECLOSED" });
        connections = connections.filter((connection) => !connection.closed);
        const available = connections.find((connection) => connection.available);
        if (available) return available;
        connecting ??= connectOnce().finally(() => {
          connecting = undefined;
        });
        await connecting;
      }
    },
    close() {
      closed = true;
      for (const connection of connections) connection.close();
      connections = [];
    },
  };
}
