import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { secondsOf, stepFor, ttlController } from "./controller.ts";

test("ttl: by the size of the cluster, without going back and forth", () => {
  const cases: [nodes: number, from: number, seconds: number][] = [
    ...([
      [0, 0, 0],
      [100, 0, 0],
      [101, 0, 15],
      [90, 1, 15],
      [89, 1, 0],
      [500, 1, 15],
      [501, 1, 30],
    ] as const),
    ...([
      [449, 2, 15],
      [1001, 2, 60],
      [899, 3, 30],
      [2001, 3, 300],
      [5000, 0, 300],
      [1799, 4, 60],
      [0, 4, 0],
    ] as const),
  ].map(([...each]) => each);
  for (const [nodes, from, seconds] of cases) assert.equal(secondsOf(stepFor(nodes, from)), seconds, `${nodes}`);
});

test("ttl: each node is told, a wrong text is mended", async () => {
  const transport = new FakeTransport();
  const path = "/api/v1/nodes";
  const add = (name: string, text?: string) =>
    transport.create(path, {
      ...{ apiVersion: "v1", kind: "Node" },
      metadata: { name, ...(text === undefined ? {} : { annotations: { "node.alpha.kubernetes.io/ttl": text } }) },
    } as Node);
  const ttl = (name: string) =>
    transport.objects.get(`${path}/${name}`)?.metadata?.annotations?.["node.alpha.kubernetes.io/ttl"];
  add("a");
  add("b", "x");
  const controller = runController(ttlController, transport);
  await controller.until(() => ttl("a") === "0" && ttl("b") === "0");
  for (let at = 0; at < 99; at++) add(`n${at}`);
  await controller.until(() => ttl("n98") === "15");
  await controller.stop();
});
