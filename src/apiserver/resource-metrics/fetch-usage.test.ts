import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import { silentLogger } from "#base";
import type { StoredObject } from "../cache/stored-object.ts";
import { type KubeletConnector, locateKubelet } from "../streaming/kubelet-connector.ts";
import { fetchUsage } from "./fetch-usage.ts";

const node = {
  name: "n1",
  glance: () => ({ status: { addresses: [{ type: "InternalIP", address: "10.0.0.1" }] } }),
} as unknown as StoredObject; // what is asked of it

const text = "node_cpu_usage_seconds_total 2 1000\nnode_memory_working_set_bytes 5 1000\n";

async function fetched(statusCode: number, body: string, at = node) {
  const asked: string[] = [];
  const kubelets = {
    locate: locateKubelet,
    async get({ url }: { url: URL }) {
      asked.push(String(url));
      return Object.assign(Readable.from([Buffer.from(body)]), { statusCode }) as unknown as IncomingMessage; // as much of one as is read
    },
  } as unknown as KubeletConnector; // of which only this is used
  return { usage: await fetchUsage(at, { kubelets, now: () => 7, log: silentLogger }), asked };
}

test("usage of a node elsewhere: asked of its kubelet; whoever doesn't tell has none", async () => {
  const { usage, asked } = await fetched(200, text);
  assert.deepEqual(asked, ["https://10.0.0.1:10250/metrics/resource"]);
  assert.deepEqual(usage?.node, { timeMs: 1000, cpuNanoSeconds: 2e9, memoryBytes: 5 });
  assert.equal((await fetched(403, "Forbidden")).usage, undefined);
  assert.equal((await fetched(200, "x".repeat(5 * 2 ** 20))).usage, undefined);
  const nowhere = { name: "n2", glance: () => ({}) } as unknown as StoredObject;
  assert.deepEqual(await fetched(200, text, nowhere), { usage: undefined, asked: [] });
});
