/** Clients that mean no good, or know no better: each gets upstream's word for it, and nobody else notices. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { after, before, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { configMap, configMaps, startTestServer, type TestServer, testCertificate } from "../test-server.ts";

let api: TestServer;
let port = 0;
const open = new Set<{ destroy(): void }>();
before(async () => {
  api = await startTestServer({ tls: await testCertificate() });
  port = (await api.server.listen({ host: "127.0.0.1", port: 0 })).port;
});
after(async () => {
  for (const each of open) each.destroy();
  await api.close();
});

async function connect(): Promise<TLSSocket> {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
  open.add(socket);
  await once(socket, "secureConnect");
  // A server that has said no may close while the rest is still on its way.
  socket.on("error", () => undefined);
  return socket;
}

/** The whole answer to some bytes. */
async function raw(text: string | Buffer): Promise<string> {
  const socket = await connect();
  socket.write(text);
  let answer = "";
  socket.on("data", (chunk: Buffer) => {
    answer += chunk.toString("latin1");
  });
  await closed(socket);
  return answer;
}

/** Whatever broke it. */
const closed = (each: NodeJS.EventEmitter): Promise<unknown> => new Promise((resolve) => each.once("close", resolve));

const head = "Host: x\r\nAuthorization: Bearer admin\r\nConnection: close\r\n";
const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\n${head}${more}\r\n`;
const firstLine = (answer: string) => answer.slice(0, answer.indexOf("\r\n"));

test("bad input: what is no HTTP, or too much of it, is refused in Go's words", async () => {
  const cases: [name: string, bytes: string, line: string][] = [
    ["garbage", "garbage\r\n\r\n", "HTTP/1.1 400 Bad Request"],
    ["a control character", "G\u0001T / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"],
    ["an unknown method", `FOO ${configMaps} HTTP/1.1\r\n${head}\r\n`, "HTTP/1.1 405 Method Not Allowed"],
    ["CONNECT", `CONNECT ${configMaps} HTTP/1.1\r\n${head}\r\n`, "HTTP/1.1 405 Method Not Allowed"],
    [
      "two lengths",
      `POST ${configMaps} HTTP/1.1\r\n${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`,
      "HTTP/1.1 400 Bad Request",
    ],
    [
      "a length and chunks",
      `POST ${configMaps} HTTP/1.1\r\n${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      "HTTP/1.1 400 Bad Request",
    ],
    [
      "broken chunks",
      `POST ${configMaps} HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
      "HTTP/1.1 400 Bad Request",
    ],
    [
      "a header of a megabyte",
      get("/healthz", `X: ${"y".repeat(1_200_000)}\r\n`),
      "HTTP/1.1 431 Request Header Fields Too Large",
    ],
    ["a large header", get("/healthz", `X: ${"y".repeat(200_000)}\r\n`), "HTTP/1.1 200 OK"],
    [
      "3,000 headers",
      get("/healthz", Array.from({ length: 3000 }, (_, i) => `X-${i}: y\r\n`).join("")),
      "HTTP/1.1 200 OK",
    ],
    ["a long query", get(`${configMaps}?labelSelector=${"a%3Db,".repeat(30_000)}a%3Db`), "HTTP/1.1 200 OK"],
    ["a query that is none", get(`${configMaps}?%zz=%&&;=`), "HTTP/1.1 200 OK"],
    ["a path that is none", get("/api/v1/%zz"), "HTTP/1.1 400 Bad Request"],
    ["a way out", get("/api/v1/namespaces/default/../../secrets"), "HTTP/1.1 404 Not Found"],
    [
      "a body declared too large",
      `POST ${configMaps} HTTP/1.1\r\n${head}Content-Length: 99999999999\r\n\r\n{}`,
      "HTTP/1.1 413 Request Entity Too Large",
    ],
  ];
  for (const [name, bytes, line] of cases) assert.equal(firstLine(await raw(bytes)), line, name);
});

async function session(): Promise<ClientHttp2Session> {
  const opened = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  open.add(opened);
  opened.on("error", () => undefined);
  await once(opened, "remoteSettings");
  return opened;
}

const authorization = "Bearer admin";

test("bad input: a body that is refused over HTTP/2 is not read to its end", async () => {
  const stream = (await session()).request({ ":method": "POST", ":path": configMaps, authorization });
  stream.on("error", () => undefined);
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  const ended = closed(stream);
  // More than the limit, and no end in sight.
  for (let sent = 0; sent <= 3 * 1024 * 1024; sent += chunk.length) stream.write(chunk);
  const [answer] = await once(stream, "response");
  assert.equal(answer[":status"], 413);
  stream.resume();
  await ended;
});

test("bad input: streams that are reset as fast as they come end the connection, and nobody else's", async () => {
  const rapid = await session();
  const gone = closed(rapid);
  const reset = () => {
    for (let i = 0; i < 200 && !rapid.destroyed; i++) {
      const stream = rapid.request({ ":path": configMaps, authorization });
      stream.on("error", () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    if (!rapid.destroyed) setImmediate(reset);
  };
  reset();
  await gone;
  assert.equal(firstLine(await raw(get("/healthz"))), "HTTP/1.1 200 OK");
});

test("bad input: one connection gets so many streams and no more", async () => {
  const greedy = await session();
  assert.equal(greedy.remoteSettings.maxConcurrentStreams, 250);
});

const newline = 0x0a;

test("bad input: watchers that don't read are cut off, the others get every event", async () => {
  await api.call("POST", configMaps, configMap("noisy", { data: "" }));
  const deaf = await connect();
  deaf.write(get(`${configMaps}?watch=1&fieldSelector=metadata.name%3Dnoisy`));
  await once(deaf, "readable");
  deaf.pause();
  const listening = (await session()).request({
    ":path": `${configMaps}?watch=1&fieldSelector=metadata.name%3Dnoisy`,
    authorization,
  });
  let seen = 0;
  let told: () => void = () => undefined;
  listening.on("data", (chunk: Buffer) => {
    for (const byte of chunk) if (byte === newline) seen++;
    told();
  });
  const hasSeen = async (events: number) => {
    while (seen < events) {
      await new Promise<void>((resolve) => {
        told = resolve;
      });
    }
  };
  const kind = api.server.table.stored("", "configmaps");
  assert.ok(kind);
  const { stats } = await api.server.caches.of(kind);
  // Each is nearly a megabyte: what may wait for one watcher is full long before its events are counted.
  const changes = 60;
  for (let i = 0; i < changes; i++) {
    const data = { data: `${i} ${"x".repeat(900_000)}` };
    await api.call("PATCH", `${configMaps}/noisy`, { data }, { contentType: "application/merge-patch+json" });
    // The object as it was came first.
    await hasSeen(i + 2);
  }
  assert.equal(stats.terminated, 1);
});
