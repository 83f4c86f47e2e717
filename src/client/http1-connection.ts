/** HTTP/1.1 for servers and proxies without HTTP/2: the agent keeps idle connections and opens more as needed. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Connection, Endpoint } from "./connection.ts";
import { ConnectionError, codeOf } from "./connection.ts";

export async function createHttp1Connection({ url, tls }: Endpoint): Promise<Connection> {
  const isSecure = url.protocol === "https:";
  const { Agent, request: send } = await import(isSecure ? "node:https" : "node:http");
  const agent: import("node:http").Agent = new Agent({ ...(isSecure ? tls : {}), keepAlive: true });
  const open: typeof import("node:http").request = send;
  let closed = false;
  return {
    available: true,
    get closed() {
      return closed;
    },
    exchange({ method, path, headers, body, signal }) {
      return new Promise((resolve, reject) => {
        const host = url.hostname.replace(/^\[|\]$/g, "");
        // Node's type wants lists it could change; it doesn't.
        const request = open({ method, path, headers: headers as OutgoingHttpHeaders, agent, host, port: url.port });
        const cancel = () => request.destroy();
        signal?.addEventListener("abort", cancel, { once: true });
        if (signal?.aborted) cancel();
        request.once("close", () => signal?.removeEventListener("abort", cancel));
        // A kept connection that the server closed meanwhile fails at once; a read may then be sent again.
        request.on("error", (cause) =>
          reject(
            new ConnectionError(`${method} ${path}: ${cause.message}`, {
              code: codeOf(cause),
              isUnprocessed: request.reusedSocket && method === "GET",
              cause,
            }),
          ),
        );
        request.once("response", (response) =>
          resolve({
            code: response.statusCode ?? 0,
            contentType: response.headers["content-type"] ?? "",
            retryAfter: response.headers["retry-after"],
            body: response,
            isWhole: () => response.complete,
          }),
        );
        request.end(body);
      });
    },
    close() {
      closed = true;
      agent.destroy();
    },
  };
}
