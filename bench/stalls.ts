/**
 * How long one request holds up all others: the longest gap between two turns of the event loop while it is served. The server runs
 * here, its client in a worker thread, so that only the server's own work counts.
 *
 *   node bench/stalls.ts [--pods 10000] [--only WORD]
 */
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { facts } from "#api";
import { createProtobufCodec, loadCbor } from "#machinery";
import { startTestServer, testCertificate } from "../src/apiserver/test-server.ts";

export interface StallOptions {
  readonly pods: number;
  /** Of the large bodies. */
  readonly bodyBytes: number;
  readonly only?: string;
}

export interface Stall {
  readonly name: string;
  readonly status: number;
  /** Of the answer. */
  readonly bytes: number;
  readonly longestMs: number;
  readonly tookMs: number;
}

interface Request {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  readonly accept?: string;
  readonly type?: string;
  readonly body?: Buffer | string;
}

const pods = "/api/v1/namespaces/default/pods";
const configMaps = "/api/v1/namespaces/default/configmaps";

/** Sends one request after the other and says when each is done. */
const client = `
const { parentPort, workerData } = require("node:worker_threads");
const { request, Agent } = require("node:https");
const agent = new Agent({ rejectUnauthorized: false, keepAlive: true });
parentPort.on("message", ({ method = "GET", path, accept, type, body }) => {
  const headers = { authorization: "Bearer admin", ...(accept && { accept }), ...(type && { "content-type": type }) };
  if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
  const asked = request({ host: "127.0.0.1", port: workerData, agent, method, path, headers }, (answer) => {
    let bytes = 0;
    const done = () => parentPort.postMessage({ status: answer.statusCode, bytes });
    answer.on("data", (chunk) => { bytes += chunk.length; });
    answer.on("end", done);
    answer.on("error", done);
  });
  asked.on("error", () => parentPort.postMessage({ status: 0, bytes: 0 }));
  asked.end(body);
});`;

function podBody(index: number): object {
  const env = Array.from({ length: 20 }, (_, i) => ({ name: `VARIABLE_${i}`, value: `value of variable ${i}` }));
  return {
    metadata: { name: `pod-${index}`, labels: { app: `app-${index % 100}` } },
    spec: { containers: [{ name: "main", image: "registry.example/app:1", env, ports: [{ containerPort: 8080 }] }] },
  };
}

const json = "application/json";

async function requests({ bodyBytes }: StallOptions): Promise<readonly Request[]> {
  const { encodeCbor } = await loadCbor();
  const as = (kind: string, format = json) => `${format};as=${kind};g=meta.k8s.io;v=v1`;
  const manyKeys = (length: number) => Object.fromEntries(Array.from({ length }, (_, i) => [`key-${i}`, `value ${i}`]));
  const object = (data: object, more = {}) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "large", ...more },
    data,
  });
  const one = object({ a: "x".repeat(bodyBytes - 1000) });
  const many = object(manyKeys(Math.floor(bodyBytes / 30)));
  const type = facts.typeOf("v1", "ConfigMap");
  const manyText = JSON.stringify(many);
  const yaml = `metadata: {name: large}\ndata:\n${Object.entries(many.data)
    .map(([key, value]) => `  ${key}: ${value}\n`)
    .join("")}`;
  const create = (name: string, body: Buffer | string, mediaType = json): Request => ({
    name,
    method: "POST",
    path: `${configMaps}?dryRun=All`,
    type: mediaType,
    body,
  });
  const deep = `${'{"a":'.repeat(900)}1${"}".repeat(900)}`;
  return [
    { name: "list, JSON", path: pods },
    { name: "list, protobuf", path: pods, accept: "application/vnd.kubernetes.protobuf" },
    { name: "list, table", path: pods, accept: as("Table") },
    { name: "list, metadata", path: pods, accept: as("PartialObjectMetadataList") },
    { name: "list, YAML", path: `${pods}?limit=1000`, accept: "application/yaml" },
    { name: "list, indented", path: `${pods}?limit=1000&pretty=true` },
    { name: "list by label", path: `${pods}?labelSelector=app%3Dapp-1` },
    { name: "list by field", path: `${pods}?fieldSelector=status.phase%3DFailed` },
    { name: "watch from the start", path: `${pods}?watch=1&timeoutSeconds=1` },
    create("body too large", Buffer.alloc(3 * 1024 * 1024 + 1, 0x20)),
    create("JSON, one value", JSON.stringify(one)),
    create("JSON, many keys", manyText),
    create("JSON, cut off", manyText.slice(0, -10)),
    create("JSON, a key twice", manyText.replace('"key-1"', '"key-0"')),
    create("JSON, unknown fields", JSON.stringify({ ...object({}), ...manyKeys(Math.floor(bodyBytes / 30)) })),
    create(
      "JSON, deep",
      `{"x":[${Array(Math.floor(bodyBytes / deep.length))
        .fill(deep)
        .join(",")}]}`,
    ),
    create(
      "JSON, deep, keys twice",
      `{"x":[${Array(Math.floor(bodyBytes / deep.length))
        .fill(deep)
        .join(",")}],"x":1}`,
    ),
    create("YAML, many keys", yaml, "application/yaml"),
    create(
      "YAML, nested",
      `metadata: {name: large}\nx: ${"[".repeat(500)}${"a, ".repeat(bodyBytes / 4)}`,
      "application/yaml",
    ),
    ...(type
      ? [
          create(
            "protobuf, many keys",
            createProtobufCodec("kubernetes").encodeObject(type, many),
            "application/vnd.kubernetes.protobuf",
          ),
        ]
      : []),
    create("CBOR, not offered", encodeCbor(many), "application/cbor"),
    {
      name: "apply, many keys",
      method: "PATCH",
      path: `${configMaps}/large?fieldManager=a&dryRun=All`,
      type: "application/apply-patch+yaml",
      body: manyText,
    },
    {
      name: "apply, many keys, YAML",
      method: "PATCH",
      path: `${configMaps}/large?fieldManager=a&dryRun=All`,
      type: "application/apply-patch+yaml",
      body: `apiVersion: v1\nkind: ConfigMap\n${yaml}`,
    },
    {
      name: "merge patch, many keys",
      method: "PATCH",
      path: `${configMaps}/small?dryRun=All`,
      type: "application/merge-patch+json",
      body: manyText.replace('"large"', '"small"'),
    },
    {
      name: "strategic patch, many keys",
      method: "PATCH",
      path: `${configMaps}/small?dryRun=All`,
      type: "application/strategic-merge-patch+json",
      body: manyText.replace('"large"', '"small"'),
    },
    {
      name: "JSON patch, 10,000 operations",
      method: "PATCH",
      path: `${configMaps}/small?dryRun=All`,
      type: "application/json-patch+json",
      body: JSON.stringify(Array.from({ length: 10_000 }, (_, i) => ({ op: "add", path: `/data/k${i}`, value: "v" }))),
    },
    create("quantity of many digits", JSON.stringify({ ...object({}), metadata: { name: "x" } })),
    { name: "label selector of 500 kB", path: `${configMaps}?labelSelector=${"a%3Db,".repeat(80_000)}a%3Db` },
    { name: "query of 900 kB", path: `${configMaps}?${"a=b&".repeat(225_000)}` },
    {
      name: "set of 60,000",
      path: `${configMaps}?labelSelector=a%20in%20(${Array.from({ length: 60_000 }, (_, i) => `v${i}`).join(",")})`,
    },
  ];
}

/** The longest time between two turns of a timer, less what it waits anyway. Node's own monitor leaves out long ones at times. */
function watchGaps(): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 1);
    last = now;
  }, 1);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

export async function measureStalls(options: StallOptions): Promise<Stall[]> {
  const api = await startTestServer({ tls: await testCertificate() });
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  for (let i = 0; i < options.pods; i++) await api.call("POST", pods, podBody(i));
  await api.call("POST", configMaps, { metadata: { name: "small" } });
  const worker = new Worker(client, { eval: true, workerData: port });
  const stalls: Stall[] = [];
  const ask = async (request: Request): Promise<{ status: number; bytes: number }> => {
    worker.postMessage(request);
    const [answer] = await once(worker, "message");
    return answer;
  };
  for (const request of await requests(options)) {
    if (options.only && !request.name.includes(options.only)) continue;
    // Once to load what is loaded with the first of its kind.
    await ask(request);
    const gap = watchGaps();
    const start = performance.now();
    const { status, bytes } = await ask(request);
    const tookMs = performance.now() - start;
    // A gap is noted when the next turn comes.
    await setTimeout(5);
    stalls.push({ name: request.name, status, bytes, longestMs: gap(), tookMs });
  }
  await worker.terminate();
  await api.close();
  return stalls;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { pods: { type: "string", default: "10000" }, only: { type: "string" } } });
  const bodyBytes = 3 * 1024 * 1024 - 1024;
  for (const { name, status, bytes, longestMs, tookMs } of await measureStalls({
    pods: Number(values.pods),
    bodyBytes,
    ...(values.only && { only: values.only }),
  })) {
    console.log(
      `${longestMs.toFixed(0).padStart(6)} ms  ${name.padEnd(32)} ${status} ${(bytes / 1e6).toFixed(1)} MB in ${tookMs.toFixed(0)} ms`,
    );
  }
}
