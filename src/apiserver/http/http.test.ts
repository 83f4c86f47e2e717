import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { gunzipSync } from "node:zlib";
import { configMap, configMaps, startTestServer, type TestServer, testCertificate } from "../test-server.ts";

let api: TestServer;
let port = 0;
let session: ClientHttp2Session;
before(async () => {
  api = await startTestServer({ tls: await testCertificate() });
  port = (await api.server.listen({ host: "127.0.0.1", port: 0 })).port;
  session = newSession();
});
const newSession = () => connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
after(async () => {
  session.close();
  await api.close();
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

const authorized = { authorization: "Bearer admin" };

async function http1(path: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
  const request = httpsRequest({
    host: "127.0.0.1",
    port,
    path,
    method,
    rejectUnauthorized: false,
    agent: false,
    headers: { ...authorized, ...headers },
  });
  // An answer may come before the body is through; then the connection closes under the rest of it.
  request.on("error", () => undefined);
  request.end(body);
  const [response] = await once(request, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

async function http2(path: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
  // Whoever isn't recognized loses the connection.
  if (session.closed) session = newSession();
  const stream = session.request({ ":path": path, ":method": method, ...authorized, ...headers });
  stream.end(body);
  const [answer] = await once(stream, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { status: Number(answer[":status"]), headers: answer, body: Buffer.concat(chunks) };
}

const carriers = { "HTTP/1.1": http1, "HTTP/2": http2 };
const json = { "content-type": "application/json" };

for (const [name, ask] of Object.entries(carriers)) {
  const map = name.replace(/\W/g, "").toLowerCase();

  test(`${name}: create, get, and the headers of every answer`, async () => {
    const body = JSON.stringify(configMap(map, { text: "grüße" }));
    const made = await ask(configMaps, { method: "POST", headers: json, body });
    assert.equal(made.status, 201);
    assert.equal(made.headers["content-type"], "application/json");
    assert.equal(made.headers["cache-control"], "no-cache, private");
    assert.match(String(made.headers["audit-id"]), /^[0-9a-f-]{36}$/);
    const found = await ask(`${configMaps}/${map}`);
    assert.deepEqual(JSON.parse(found.body.toString()), JSON.parse(made.body.toString()));
    assert.equal(Number(found.headers["content-length"]), found.body.length);
  });

  test(`${name}: nobody is let in without a credential`, async () => {
    const answer = await ask("/api/v1/pods", { headers: { authorization: "Bearer wrong" } });
    assert.equal(answer.status, 401);
    assert.equal(JSON.parse(answer.body.toString()).reason, "Unauthorized");
  });

  test(`${name}: a body over the limit is refused, declared or not`, async () => {
    const body = JSON.stringify(configMap("big", { a: "x".repeat(4 * 1024 * 1024) }));
    const answer = await ask(configMaps, { method: "POST", headers: json, body });
    assert.equal(answer.status, 413);
    assert.equal(JSON.parse(answer.body.toString()).reason, "RequestEntityTooLarge");
  });

  test(`${name}: paths can't climb or hide`, async () => {
    const tricks = ["..%2f..%2fsecrets", "a%2Fb", "a%00b"];
    for (const trick of tricks) {
      const { status, body } = await ask(`${configMaps}/${trick}`);
      assert.equal(status, 404, `${trick}: ${body}`);
    }
    for (const trick of ["%2e%2e", "a%zz"]) assert.equal((await ask(`${configMaps}/${trick}`)).status, 400, trick);
  });

  test(`${name}: a watch delivers while it is open`, async () => {
    const watch = await ask(`${configMaps}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D${map}`);
    const lines = watch.body.toString().trim().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).type),
      ["ADDED"],
    );
  });
}

test("lists: large ones are compressed for those who ask, and the same without", async () => {
  const data = { text: "lorem ipsum ".repeat(500) };
  await Promise.all(Array.from({ length: 60 }, (_, i) => api.call("POST", configMaps, configMap(`large-${i}`, data))));
  const plain = await http1(configMaps);
  assert.equal(Number(plain.headers["content-length"]), plain.body.length);
  for (const ask of Object.values(carriers)) {
    const packed = await ask(configMaps, { headers: { "accept-encoding": "gzip" } });
    assert.equal(packed.headers["content-encoding"], "gzip");
    assert.deepEqual(gunzipSync(packed.body), plain.body);
  }
  assert.equal(JSON.parse(plain.body.toString()).items.length >= 60, true);
});

test("printed answers and OpenAPI documents are compressed, too, and a HEAD has no body", async () => {
  await api.call("POST", configMaps, configMap("big", { text: "x".repeat(150_000) }));
  for (const ask of Object.values(carriers)) {
    for (const target of [`${configMaps}/big?pretty=1`, "/openapi/v2"]) {
      const plain = await ask(target);
      const packed = await ask(target, { headers: { "accept-encoding": "gzip" } });
      assert.equal(packed.headers["content-encoding"], "gzip", target);
      assert.deepEqual(gunzipSync(packed.body), plain.body);
    }
    const head = await ask("/openapi/v2", { method: "HEAD", headers: { "accept-encoding": "gzip" } });
    assert.deepEqual([head.status, head.headers.vary, head.body.length], [200, "Accept-Encoding, Accept", 0]);
  }
});

test("lists: a client that goes away in the middle harms nobody", async () => {
  const stream = session.request({ ":path": configMaps, ...authorized });
  await once(stream, "response");
  stream.destroy();
  await once(stream, "close");
  assert.equal((await http1("/readyz")).status, 200);
});

test("requests that the parser refuses get an answer, not a reset", async () => {
  const ask = async (text: string) => {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
    await once(socket, "secureConnect");
    socket.write(text);
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    return answer;
  };
  assert.match(await ask("FOO /api/v1/pods HTTP/1.1\r\nhost: x\r\n\r\n"), /^HTTP\/1.1 405 /);
  assert.match(await ask("GET / HTTP/9.9\r\n\r\n"), /^HTTP\/1.1 400 /);
});

test("bodies that are cut off are no bodies", async () => {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const head = `POST ${configMaps} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n`;
  socket.end(`${head}{"metadata":{"name":"cut"}}`);
  socket.resume();
  await once(socket, "close");
  const { status } = await http1(`${configMaps}/cut`);
  assert.equal(status, 404);
});

test("yaml comes in and goes out", async () => {
  const body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: b\n";
  const made = await http1(configMaps, { method: "POST", headers: { "content-type": "application/yaml" }, body });
  assert.equal(made.status, 201);
  const found = await http1(`${configMaps}/yaml`, { headers: { accept: "application/yaml" } });
  assert.equal(found.headers["content-type"], "application/yaml");
  assert.match(found.body.toString(), /^apiVersion: v1\ndata:\n {2}a: b\nkind: ConfigMap\n/);
});

test("close: ends watches and lets go of the port", async () => {
  const other = await startTestServer({ tls: await testCertificate() });
  const { port: otherPort } = await other.server.listen({ host: "127.0.0.1", port: 0 });
  const request = httpsRequest({
    host: "127.0.0.1",
    port: otherPort,
    path: `${configMaps}?watch=1`,
    rejectUnauthorized: false,
    agent: false,
    headers: authorized,
  });
  request.end();
  const [response] = await once(request, "response");
  response.resume();
  const ended = once(response, "end");
  await other.close();
  await ended;
});
