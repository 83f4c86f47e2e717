/**
 * The floor under `bench/api.ts`: a bare HTTPS server that knows nothing and answers constant bytes of the right size.
 * `node bench/api/floor.ts POD-FILE PODS PORT KEY-FILE CERTIFICATE-FILE`
 */
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";

const [podFile = "", podCount = "", port = "", keyFile = "", certificateFile = ""] = process.argv.slice(2);
const pod = readFileSync(podFile);
const listOf = (count: number) =>
  Buffer.from(`{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[${Array(count).fill(pod).join(",")}]}`);
const all = listOf(Number(podCount));
const labelled = listOf(Math.max(1, Math.round(Number(podCount) / 50)));
const watchers = new Set<ServerResponse>();

const tls = { key: readFileSync(keyFile), cert: readFileSync(certificateFile), noDelay: true };
const server = createServer(tls, (request, response) => {
  const { method, url = "" } = request;
  if (url.includes("watch=1")) {
    response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
    watchers.add(response);
    response.on("close", () => watchers.delete(response));
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const answer =
      method !== "GET" ? pod : url.includes("labelSelector") ? labelled : url.endsWith("/pods") ? all : pod;
    response.writeHead(200, { "content-type": "application/json", "content-length": answer.length }).end(answer);
    if (method !== "POST" || !url.endsWith("/configmaps")) return;
    const line = Buffer.from(`{"type":"ADDED","object":${Buffer.concat(chunks)}}\n`);
    for (const watcher of watchers) watcher.write(line);
  });
});
server.listen(Number(port), "127.0.0.1", () => process.stdout.write("listening\n"));
process.on("SIGTERM", () => process.exit(0));
