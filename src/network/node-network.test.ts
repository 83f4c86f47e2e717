import assert from "node:assert/strict";
import { test } from "node:test";
import { insideNamespace, ip, runInNamespace, whyNoNamespaces } from "#testing";
import { addressIn, prepareNodeNetwork, removeNodeNetwork, subnetOf } from "./node-network.ts";

for (const [cidr, index, want] of [
  ["10.244.0.0/16", 0, "10.244.0.0/24"],
  ["10.244.0.0/16", 255, "10.244.255.0/24"],
  ["192.168.128.0/17", 1, "192.168.129.0/24"],
  ["172.16.5.9/16", 2, "172.16.2.0/24"],
] as const)
  test(`subnet ${index} of ${cidr}`, () => assert.equal(subnetOf(cidr, index), want));

test("subnet: a range that is full or malformed is refused", () => {
  assert.throws(() => subnetOf("10.244.0.0/16", 256), /--cluster-cidr 10\.244\.0\.0\/16: want an IPv4 range/);
  assert.throws(() => subnetOf("fd00::/64", 0), /want an IPv4 range/);
});

test("address: counted from the range's start", () => {
  assert.equal(addressIn("10.244.3.0/24", 1), "10.244.3.1");
  assert.equal(addressIn("10.96.0.0/16", 10), "10.96.0.10");
});

if (!insideNamespace)
  test("network: made and removed", { skip: whyNoNamespaces() ?? false }, () => runInNamespace(import.meta.filename));
else
  test("network: with only a loopback the bridge's address is the node's; twice is like once; nothing is left", async () => {
    const options = { bridge: "sampan0", owner: "/data", podCidr: "10.244.0.0/24", serviceCidr: "10.96.0.0/16" };
    for (let round = 0; round < 2; round++) {
      const network = await prepareNodeNetwork(options);
      assert.deepEqual(network, {
        nodeAddress: "10.244.0.1",
        gateway: "10.244.0.1",
        podCidr: "10.244.0.0/24",
        bridge: "sampan0",
      });
    }
    await assert.rejects(prepareNodeNetwork({ ...options, owner: "/other" }), /belongs to the cluster of \/data/);
    assert.match(ip("route", "get", "10.96.0.1"), /dev sampan0 src 10\.244\.0\.1/);
    assert.equal((await prepareNodeNetwork({ ...options, nodeAddress: "10.9.9.9" })).nodeAddress, "10.9.9.9");
    await removeNodeNetwork("sampan0");
    await removeNodeNetwork("sampan0");
    assert.doesNotMatch(ip("link"), /sampan0/);
    ip("link", "add", "up0", "type", "veth", "peer", "name", "up1");
    ip("address", "add", "192.0.2.5/24", "dev", "up0");
    ip("link", "set", "up0", "up");
    ip("link", "set", "up1", "up");
    ip("route", "add", "default", "via", "192.0.2.1");
    assert.equal((await prepareNodeNetwork(options)).nodeAddress, "192.0.2.5");
  });
