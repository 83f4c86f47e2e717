import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { configMap, configMaps, startTestServer, testCertificate, type TestServer } from "../test-server.ts";

let api: TestServer;
let port: number;

before(async () => {
  api = await startTestServer({ tls: await testCertificate() });
  ({ port } = await api.server.listen({ host: "127.0.0.1", port: 0 }));
  await api.call("POST", configMaps, configMap("one"));
});
after(() => api.close());

interface Opening {
  readonly protocols?: readonly string[];
  readonly headers?: Record<string, string>;
}

function open(path: string, { protocols = [], headers = {} }: Opening = {}): WebSocket {
  const all = { authorization: "Bearer admin", origin: "https://page.example.com", ...headers };
  return new WebSocket(`wss://127.0.0.1:${port}${path}`, [...protocols], { rejectUnauthorized: false, headers: all });
}

test("watch over WebSocket: one event in each message, as text", async () => {
  for (const path of [`${configMaps}?watch=true`, "/api/v1/watch/namespaces/default/configmaps/one"]) {
    const webSocket = open(path);
    const [data, binary] = await once(webSocket, "message");
    assert.equal(binary, false);
    const { type, object } = JSON.parse(String(data));
    assert.deepEqual([type, object.kind, object.metadata.name], ["ADDED", "ConfigMap", "one"]);
    const next = once(webSocket, "message");
    await api.call("PATCH", `${configMaps}/one`, { data: { path } }, { contentType: "application/merge-patch+json" });
    assert.equal(JSON.parse(String((await next)[0])).object.data.path, path);
    webSocket.close();
    await once(webSocket, "close");
  }
});

test("watch over WebSocket: a proper end when its time is over", async () => {
  const webSocket = open(`${configMaps}?watch=true&timeoutSeconds=1&resourceVersion=0`);
  const [code] = await once(webSocket, "close");
  assert.equal(code, 1000);
});

test("watch over WebSocket: protobuf is binary, without what parts events in a stream", async () => {
  const webSocket = open(`${configMaps}?watch=true`, { headers: { accept: "application/vnd.kubernetes.protobuf" } });
  const [data, binary] = await once(webSocket, "message");
  assert.equal(binary, true);
  assert.equal((data as Buffer).subarray(0, 7).toString("latin1"), "\n\u0005ADDED");
  webSocket.terminate();
});

test("watch over WebSocket: the handshake takes one subprotocol of any name and wants an origin", async () => {
  const path = `${configMaps}?watch=true`;
  const token = `base64url.bearer.authorization.k8s.io.${Buffer.from("x").toString("base64url")}`;
  for (const protocols of [["binary.k8s.io"], [token, "binary.k8s.io"]]) {
    const webSocket = open(path, { protocols });
    await once(webSocket, "open");
    assert.equal(webSocket.protocol, "binary.k8s.io");
    webSocket.terminate();
  }
  const refused = async (opening: Opening) => {
    const webSocket = open(path, opening);
    webSocket.on("error", () => undefined);
    const [, { statusCode }] = await once(webSocket, "unexpected-response");
    webSocket.terminate();
    return statusCode;
  };
  assert.equal(await refused({ protocols: ["a", "b"] }), 400);
  const webSocket = new WebSocket(`wss://127.0.0.1:${port}${path}`, {
    rejectUnauthorized: false,
    headers: { authorization: "Bearer admin" },
  });
  webSocket.on("error", () => undefined);
  const [, { statusCode }] = await once(webSocket, "unexpected-response");
  assert.equal(statusCode, 403);
  webSocket.terminate();
});

test("watch over WebSocket: what is wrong with the request is told as always", async () => {
  const webSocket = open(`${configMaps}?watch=true&fieldSelector=a%3Db`);
  webSocket.on("error", () => undefined);
  const [, response] = await once(webSocket, "unexpected-response");
  assert.equal(response.statusCode, 400);
  webSocket.terminate();
});
