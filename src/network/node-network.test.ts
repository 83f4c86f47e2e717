import assert from "node:assert/strict";
import { test } from "node:test";
import { insideNamespace, ip, runInNamespace, whyNoNamespaces } from "#testing";
import { prepareNodeNetwork, removeNodeNetwork } from "./node-network.ts";

const options = {
  bridge: "sampan0",
  owner: "/data",
  podCidrs: ["10.244.0.0/24"],
  serviceCidrs: ["10.96.0.0/16"],
  mode: "auto",
} as const;
const dual = {
  ...options,
  podCidrs: ["10.244.0.0/24", "fd00:10:244::/64"],
  serviceCidrs: ["10.96.0.0/16", "fd00:10:96::/112"],
};

if (!insideNamespace)
  test("network: made and removed", { skip: whyNoNamespaces() ?? false }, () => runInNamespace(import.meta.filename));
else {
  test("network: with only a loopback the bridge's address is the node's; twice is like once; nothing is left", async () => {
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await prepareNodeNetwork(options), {
        nodeAddress: "10.244.0.1",
        nodeAddresses: ["10.244.0.1"],
        gateway: "10.244.0.1",
        gateways: ["10.244.0.1"],
        podCidr: "10.244.0.0/24",
        podCidrs: ["10.244.0.0/24"],
        bridge: "sampan0",
        mtu: 1500,
        uplinkMtu: 1500,
        mode: "auto",
        hasRoutes: false,
      });
    }
    await assert.rejects(prepareNodeNetwork({ ...options, owner: "/other" }), /belongs to the cluster of \/data/);
    assert.match(ip("route", "get", "10.96.0.1"), /dev lo src 10\.244\.0\.1/);
    assert.equal((await prepareNodeNetwork({ ...options, nodeAddresses: ["10.9.9.9"] })).nodeAddress, "10.9.9.9");
    await removeNodeNetwork("sampan0");
    await removeNodeNetwork("sampan0");
    assert.doesNotMatch(ip("link"), /sampan0/);
  });

  test("network: another share of the cluster's addresses takes the place of the one before", async () => {
    await prepareNodeNetwork(options);
    await prepareNodeNetwork({ ...options, podCidrs: ["10.244.7.0/24"] });
    assert.deepEqual(globalAddresses("sampan0"), ["10.244.7.1/24"]);
    await removeNodeNetwork("sampan0");
  });

  test("network: of both families on a loopback", async () => {
    const network = await prepareNodeNetwork(dual);
    assert.deepEqual(network.nodeAddresses, ["10.244.0.1", "fd00:10:244::1"]);
    assert.deepEqual(network.gateways, network.nodeAddresses);
    assert.deepEqual(globalAddresses("sampan0"), ["10.244.0.1/24", "fd00:10:244::1/64"]);
    assert.match(ip("-6", "route", "get", "fd00:10:96::1"), /dev sampan0 .*src fd00:10:244::1/);
    await removeNodeNetwork("sampan0");
    assert.doesNotMatch(ip("-6", "route"), /fd00/);
  });

  test("network: without a bridge of ours the node is its own gateway, and nothing is left of the one that was", async () => {
    await prepareNodeNetwork(options);
    const none = { ...options, podCidrs: [], mode: "none" } as const;
    await assert.rejects(prepareNodeNetwork(none), /pass --node-ip IP/);
    ip("address", "add", "192.0.2.9/32", "dev", "lo");
    const network = await prepareNodeNetwork({ ...none, nodeAddresses: ["192.0.2.9"] });
    assert.deepEqual([network.gateway, network.bridge, network.podCidr], ["192.0.2.9", "", ""]);
    assert.doesNotMatch(ip("link"), /sampan0/);
    assert.match(ip("route", "show"), /10\.96\.0\.0\/16 dev lo .*src 192\.0\.2\.9/);
    await removeNodeNetwork("sampan0");
    assert.doesNotMatch(ip("route", "show"), /10\.96/);
    ip("address", "delete", "192.0.2.9/32", "dev", "lo");
  });

  test("network: the node's address and how much fits are those of the interface that leads outside", async () => {
    ip("link", "add", "up0", "mtu", "1400", "type", "veth", "peer", "name", "up1");
    ip("address", "add", "192.0.2.5/24", "dev", "up0");
    ip("link", "set", "up0", "up");
    ip("link", "set", "up1", "up");
    ip("route", "add", "default", "via", "192.0.2.1");
    ip("-6", "address", "add", "2001:db8::5/64", "dev", "up0", "nodad");
    const first = await prepareNodeNetwork(options);
    assert.deepEqual([first.nodeAddress, first.mtu], ["192.0.2.5", 1400]);
    assert.match(ip("link", "show", "sampan0"), /mtu 1400/);
    assert.doesNotMatch(ip("route"), /10\.96/);
    // Of the family that has no way out, nobody would know this node by an address.
    assert.deepEqual((await prepareNodeNetwork(dual)).nodeAddresses, ["192.0.2.5"]);
    ip("-6", "route", "add", "default", "via", "2001:db8::1", "dev", "up0");
    assert.deepEqual((await prepareNodeNetwork(dual)).nodeAddresses, ["192.0.2.5", "2001:db8::5"]);
    assert.equal((await prepareNodeNetwork({ ...options, mode: "vxlan" })).mtu, 1350);
    assert.match(ip("link", "show", "sampan0"), /mtu 1350/);
    assert.equal((await prepareNodeNetwork({ ...options, mode: "vxlan", nodeAddresses: ["2001:db8::5"] })).mtu, 1330);
    assert.equal((await prepareNodeNetwork({ ...options, mtu: 1280 })).mtu, 1280);
    await removeNodeNetwork("sampan0");
  });

  test("network: an interface that listens to its router goes on", async () => {
    const { readFileSync, writeFileSync } = await import("node:fs");
    writeFileSync("/proc/sys/net/ipv6/conf/up0/accept_ra", "1");
    writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "0");
    await prepareNodeNetwork(dual);
    assert.equal(readFileSync("/proc/sys/net/ipv6/conf/up0/accept_ra", "utf8").trim(), "2");
    assert.equal(readFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "utf8").trim(), "1");
    await removeNodeNetwork("sampan0");
  });
}

function globalAddresses(dev: string): string[] {
  return [...ip("address", "show", "dev", dev, "scope", "global").matchAll(/inet6? (\S+)/g)].map(
    ([, found = ""]) => found,
  );
}
