import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { after, before, test } from "node:test";
import { facts } from "#api";
import { createProtobufCodec, decodeEnvelope, type KubernetesList, type KubernetesObject } from "#machinery";
import { configMaps, startTestServer, type TestServer, testCertificate } from "../test-server.ts";

const protobuf = "application/vnd.kubernetes.protobuf";
const codec = createProtobufCodec("kubernetes");
let api: TestServer;
let session: ClientHttp2Session;
before(async () => {
  api = await startTestServer({ tls: await testCertificate() });
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
});
after(async () => {
  session.close();
  await api.close();
});

async function ask(path: string, headers: Record<string, string>, body?: Buffer) {
  const method = body ? "POST" : "GET";
  const stream = session.request({ ":path": path, ":method": method, authorization: "Bearer admin", ...headers });
  stream.end(body);
  const [answer] = await once(stream, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { status: Number(answer[":status"]), type: answer["content-type"], body: Buffer.concat(chunks) };
}

function decode<T = KubernetesObject>(bytes: Uint8Array): T {
  const { apiVersion, kind, raw } = decodeEnvelope(bytes);
  const type = facts.typeOf(apiVersion, kind);
  assert.ok(type, `${apiVersion} ${kind}`);
  return { apiVersion, kind, ...codec.decode(type, raw) } as T;
}

test("protobuf: an object comes in, and goes out to those who take nothing else", async () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "binary" }, data: { a: "1" } };
  const type = facts.typeOf("v1", "ConfigMap");
  assert.ok(type);
  const made = await ask(configMaps, { accept: protobuf, "content-type": protobuf }, codec.encodeObject(type, object));
  assert.equal(made.status, 201);
  assert.equal(made.type, protobuf);
  const json = await ask(`${configMaps}/binary`, { accept: `${protobuf},application/json` });
  assert.equal(json.type, "application/json");
  const expected = JSON.parse(json.body.toString());
  assert.equal(expected.data.a, "1");
  const { metadata, ...rest } = decode<KubernetesObject & { data: object }>(made.body);
  assert.deepEqual(rest, { apiVersion: "v1", kind: "ConfigMap", data: { a: "1" } });
  assert.equal(metadata?.uid, expected.metadata.uid);
  assert.equal(metadata?.resourceVersion, expected.metadata.resourceVersion);
});

test("protobuf: lists and errors", async () => {
  const list = decode<KubernetesList>((await ask(`${configMaps}?limit=1`, { accept: protobuf })).body);
  assert.equal(list.items.length, 1);
  assert.match(list.metadata.resourceVersion ?? "", /^\d+$/);
  const missing = await ask(`${configMaps}/none`, { accept: protobuf });
  assert.equal(missing.status, 404);
  assert.equal((decode(missing.body) as { reason?: string }).reason, "NotFound");
});

test("protobuf: watch events are frames", async () => {
  const query = "watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dbinary";
  const { body, type } = await ask(`${configMaps}?${query}`, { accept: protobuf });
  assert.equal(type, `${protobuf};stream=watch`);
  const length = body.readUInt32BE();
  assert.equal(body.length, length + 4);
  const eventType = facts.typeOf("v1", "WatchEvent");
  assert.ok(eventType);
  const text = body.toString("latin1");
  assert.match(text, /ADDED/);
  // The object inside has its own envelope.
  const start = text.indexOf("k8s\0");
  assert.equal(decode(body.subarray(start)).metadata?.name, "binary");
});
