import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "#api";
import { FakeTransport } from "#testing";
import { runController } from "../lib/fixture.ts";
import { nodeIpamController } from "./controller.ts";

const nodesPath = "/api/v1/nodes";
const node = (name: string, podCIDRs?: string[]): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: podCIDRs ? { podCIDR: podCIDRs[0] ?? "", podCIDRs } : {},
});
const sharesOf = (transport: FakeTransport, name: string) =>
  (transport.objects.get(`${nodesPath}/${name}`) as Node | undefined)?.spec?.podCIDRs?.join();

test("node ipam: each node gets a share of both families, none of Services', and another's when that is gone", async () => {
  const transport = new FakeTransport();
  transport.create(nodesPath, node("old", ["10.0.1.0/24", "fd00:0:0:1::/64"]));
  const running = runController(nodeIpamController, transport, {
    clusterCidrs: ["10.0.0.0/22", "fd00::/62"],
    serviceCidrs: ["10.0.0.0/24", "fd00::/112"],
  });
  transport.create(nodesPath, node("a"));
  await running.until(() => sharesOf(transport, "a"));
  assert.equal(sharesOf(transport, "a"), "10.0.2.0/24,fd00:0:0:2::/64");
  transport.create(nodesPath, node("b"));
  await running.until(() => sharesOf(transport, "b"));
  transport.create(nodesPath, node("c"));
  await running.until(() => running.events.some(({ reason }) => reason === "CIDRNotAvailable"));
  transport.remove(`${nodesPath}/old`);
  transport.put(`${nodesPath}/c`, node("c"));
  await running.until(() => sharesOf(transport, "c"));
  assert.equal(sharesOf(transport, "c"), "10.0.1.0/24,fd00:0:0:1::/64");
  await running.stop();
});

test("node ipam: the share of a node that went before its share was seen is free again", async () => {
  const transport = new FakeTransport();
  const running = runController(nodeIpamController, transport, { clusterCidrs: ["10.0.0.0/24"] });
  // Written, and never shown.
  let isWritten = false;
  transport.intercept = ({ method, path }) => {
    if (method !== "PATCH" || path !== `${nodesPath}/a`) return;
    isWritten = true;
    return node("a", ["10.0.0.0/24"]);
  };
  transport.create(nodesPath, node("a"));
  await running.until(() => isWritten);
  transport.remove(`${nodesPath}/a`);
  transport.create(nodesPath, node("b"));
  await running.until(() => sharesOf(transport, "b"));
  await running.stop();
});

test("node ipam: who had to know its networks before gets them, whoever comes first", async () => {
  const transport = new FakeTransport();
  const running = runController(nodeIpamController, transport, {
    clusterCidrs: ["10.0.0.0/23"],
    fixedPodCidrs: new Map([["first", ["10.0.0.0/24"]]]),
  });
  transport.create(nodesPath, node("b"));
  await running.until(() => sharesOf(transport, "b"));
  assert.equal(sharesOf(transport, "b"), "10.0.1.0/24");
  transport.create(nodesPath, node("first"));
  await running.until(() => sharesOf(transport, "first"));
  assert.equal(sharesOf(transport, "first"), "10.0.0.0/24");
  // Gone, and still nobody else's.
  transport.remove(`${nodesPath}/first`);
  transport.create(nodesPath, node("c"));
  await running.until(() => running.events.some(({ reason }) => reason === "CIDRNotAvailable"));
  await running.stop();
});
