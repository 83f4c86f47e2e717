import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { printHead, requestUpgrade } from "./upgrade.ts";

/** A server that reads one request head and answers these bytes. */
async function serve(context: TestContext, answer: string | undefined) {
  const heads: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", (chunk) => {
      heads.push(chunk.toString());
      if (answer !== undefined) socket.write(answer);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address && typeof address === "object");
  return { url: new URL(`http://127.0.0.1:${address.port}/exec/abc?x=1`), heads };
}

const headers = {
  connection: "Upgrade",
  upgrade: "SPDY/3.1",
  "x-stream-protocol-version": ["v4.channel.k8s.io", "v3"],
};

describe("upgrade", () => {
  test("101: the socket, what came behind the head, and the head as it was", async (context) => {
    const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Odd:  a \r\n\r\n";
    const { url, heads } = await serve(context, `${head}\x80\x03`);
    const answer = await requestUpgrade({ url, method: "POST", headers, timeoutMs: 10_000 });
    assert.equal(answer.type, "upgraded");
    assert.equal(answer.type === "upgraded" && answer.head.length > 0, true);
    assert.equal(printHead(answer.response), head.replace("  a ", " a"));
    assert.match(heads[0] ?? "", /^POST \/exec\/abc\?x=1 HTTP\/1\.1\r\n/);
    assert.match(heads[0] ?? "", /x-stream-protocol-version: v4.channel.k8s.io\r\nx-stream-protocol-version: v3\r\n/i);
    if (answer.type === "upgraded") answer.socket.destroy();
  });

  test("anything else: an answer with a body", async (context) => {
    const { url } = await serve(context, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    const answer = await requestUpgrade({ url, method: "GET", headers, timeoutMs: 10_000 });
    assert.equal(answer.type, "answered");
    assert.equal(answer.response.statusCode, 404);
    assert.equal(Buffer.concat(await Array.fromAsync(answer.response)).toString(), "none");
  });

  test("nobody listens: the socket's error", async (context) => {
    const { url } = await serve(context, "");
    url.port = "1";
    await assert.rejects(requestUpgrade({ url, method: "GET", headers, timeoutMs: 10_000 }), { code: "ECONNREFUSED" });
  });

  test("no answer: ETIMEDOUT", async (context) => {
    const { url } = await serve(context, undefined);
    await assert.rejects(requestUpgrade({ url, method: "GET", headers, timeoutMs: 1 }), { code: "ETIMEDOUT" });
  });

  test("an aborted signal ends the question", async (context) => {
    const { url } = await serve(context, undefined);
    const signal = AbortSignal.abort();
    await assert.rejects(requestUpgrade({ url, method: "GET", headers, timeoutMs: 10_000, signal }), {
      name: "AbortError",
    });
  });
});
