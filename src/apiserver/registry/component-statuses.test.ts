import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { startTestServer, type TestObject, testCertificate } from "../test-server.ts";
import { probeHealth } from "./component-probe.ts";
import { componentStatuses } from "./component-statuses.ts";

const path = "/api/v1/componentstatuses";

async function startPart(status: number, text: string) {
  const { certificate, key } = await testCertificate();
  const server = createServer({ cert: certificate, key }, (request, response) => {
    response.writeHead(request.url === "/healthz" ? status : 404).end(text);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo; // TCP
  return { port, close: () => server.close() };
}

test("component statuses: each part is asked; whoever doesn't answer is told to be unhealthy", async () => {
  const manager = await startPart(200, "ok");
  const gone = await startPart(200, "ok");
  gone.close();
  const ports = { manager: manager.port, scheduler: gone.port };
  const holder: { api?: Awaited<ReturnType<typeof startTestServer>> } = {};
  holder.api = await startTestServer({
    handlers: new Map([
      [
        "/componentstatuses//*",
        (call, core) => componentStatuses((holder.api ?? assert.fail()).store, ports)(call, core),
      ],
    ]),
  });
  const { api } = holder;
  const conditionsOf = ({ items }: TestObject) =>
    items.map((item) => [item.metadata.name, (item as unknown as { conditions: object[] }).conditions[0]]);
  const refused = `Get "https://127.0.0.1:${gone.port}/healthz": dial tcp 127.0.0.1:${gone.port}: connect: connection refused`;
  assert.deepEqual(conditionsOf(await api.call("GET", path)), [
    ["controller-manager", { type: "Healthy", status: "True", message: "ok" }],
    ["etcd-0", { type: "Healthy", status: "True", message: "ok" }],
    ["scheduler", { type: "Healthy", status: "False", message: refused }],
  ]);
  const selected = await api.call("GET", path, undefined, { query: { fieldSelector: "metadata.name=etcd-0" } });
  assert.deepEqual(
    selected.items.map(({ metadata }) => metadata.name),
    ["etcd-0"],
  );
  assert.deepEqual((await api.call("GET", path, undefined, { query: { labelSelector: "a=b" } })).items, []);
  assert.equal((await api.call("GET", `${path}/etcd-0`)).metadata.name, "etcd-0");
  await assert.rejects(api.call("GET", `${path}/none`), /componentstatus "none" not found/);
  manager.close();
  await api.close();
});

test("component statuses: an answer that isn't well is told by its code", async () => {
  const part = await startPart(500, "no");
  assert.deepEqual(await probeHealth(part.port), {
    healthy: false,
    message: "HTTP probe failed with statuscode: 500",
  });
  part.close();
});
