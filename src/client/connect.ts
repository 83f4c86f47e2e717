/** Opens a connection: HTTP/2 if the server knows it, HTTP/1.1 otherwise. */
import type { Clock } from "#base";
import { type Connection, ConnectionError, codeOf, type Endpoint } from "./connection.ts";
import type { Vigil } from "./http2-connection.ts";

const connectMsMax = 30_000;

export interface ConnectOptions {
  readonly clock: Clock;
  readonly timeoutMs?: number;
  /** Who wants to know soon of a silent server. */
  readonly vigil?: Vigil;
}

export async function connect(
  endpoint: Endpoint,
  { clock, timeoutMs = connectMsMax, vigil }: ConnectOptions,
): Promise<Connection> {
  const { url, tls } = endpoint;
  const { createHttp1Connection } = await import("./http1-connection.ts");
  if (url.protocol !== "https:") return createHttp1Connection(endpoint);
  const { connect: connectTls } = await import("node:tls");
  const { isIP } = await import("node:net");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const socket = connectTls({
    ...(isIP(host) ? {} : { servername: host }),
    ...tls,
    host,
    port: Number(url.port || 443),
    ALPNProtocols: ["h2", "http/1.1"],
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error & { code?: string }) => {
      socket.destroy();
      const message = `can't connect to ${url.origin}: ${cause.message || codeOf(cause)}`;
      reject(new ConnectionError(message, { code: codeOf(cause), cause }));
    };
    const cancel = clock.after(timeoutMs, () => fail(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once("secureConnect", () => {
      cancel();
      socket.off("error", fail);
      resolve();
    });
    socket.once("error", (error) => {
      cancel();
      fail(error);
    });
  });
  if (socket.alpnProtocol === "h2") {
    const { createHttp2Connection } = await import("./http2-connection.ts");
    return createHttp2Connection(socket, url, { clock, ...(vigil && { vigil }) });
  }
  socket.on("error", () => socket.destroy());
  socket.destroy();
  return createHttp1Connection(endpoint);
}
