/**
 * The client's half of an HTTP/1.1 upgrade: asks another server to change the protocol of a connection and hands out the raw socket.
 * Node's own client parses the answer; nothing of what follows it is touched.
 */
import { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import type { SecureContextOptions } from "node:tls";

export interface UpgradeRequest {
  /** `http:` or `https:`; path and query as in the URL. */
  readonly url: URL;
  readonly method: string;
  /** With `connection` and `upgrade`. */
  readonly headers: OutgoingHttpHeaders;
  readonly tls?: SecureContextOptions & { readonly rejectUnauthorized?: boolean; readonly servername?: string };
  /** To connect and for the answer's head. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export type UpgradeAnswer =
  /** 101: the connection is ours. */
  | { readonly type: "upgraded"; readonly response: IncomingMessage; readonly socket: Duplex; readonly head: Buffer }
  /** Anything else; the body is to be read. */
  | { readonly type: "answered"; readonly response: IncomingMessage };

/** Rejects with the socket's error, or an `ETIMEDOUT` one. */
export function requestUpgrade({
  url,
  method,
  headers,
  tls,
  timeoutMs,
  signal,
}: UpgradeRequest): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false, ...(signal && { signal }) };
    const secure = url.protocol === "https:";
    const request: ClientRequest = secure ? httpsRequest(url, { ...options, ...tls }) : httpRequest(url, options);
    const timer = setTimeout(() => {
      request.destroy(Object.assign(new Error("i/o timeout"), { code: "ETIMEDOUT" }));
    }, timeoutMs);
    const settle = (answer: UpgradeAnswer): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    request.once("upgrade", (response, socket: Duplex, head) => {
      if ("setNoDelay" in socket) (socket as Duplex & { setNoDelay(on: boolean): void }).setNoDelay(true); // TCP, maybe below TLS
      // Whoever takes it over listens too; until then a break must not crash the process.
      socket.on("error", () => undefined);
      settle({ type: "upgraded", response, socket, head });
    });
    request.once("response", (response) => settle({ type: "answered", response }));
    request.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end();
  });
}

/** Status line and headers of an answer as they are sent on. */
export function printHead({ statusCode = 0, statusMessage = "", rawHeaders }: IncomingMessage): string {
  let text = `HTTP/1.1 ${statusCode} ${statusMessage}\r\n`;
  for (let at = 0; at < rawHeaders.length; at += 2) text += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
  return `${text}\r\n`;
}
