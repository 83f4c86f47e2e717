import assert from "node:assert/strict";
import { test } from "node:test";
import { printStatus } from "./status.ts";

test("status: one line a fact", () => {
  const conditions = [{ type: "Ready", status: "True" }];
  const text = printStatus({
    pid: 7,
    server: "https://127.0.0.1:6443",
    kubeconfig: "/d/admin.kubeconfig",
    memoryBytes: 120 * 1024 ** 2,
    databaseBytes: 1024 ** 2,
    nodes: [
      { metadata: { name: "n1" }, status: { conditions, addresses: [{ type: "InternalIP", address: "10.0.0.1" }] } },
    ],
    pods: [
      { metadata: {}, status: { phase: "Running" } },
      { metadata: {}, status: { phase: "Running" } },
    ],
  });
  assert.match(text, /^process {5}pid 7, 120\.0 MiB\n/);
  assert.match(text, /node {8}n1 10\.0\.0\.1 Ready\npods {8}2 Running\n$/);
});
