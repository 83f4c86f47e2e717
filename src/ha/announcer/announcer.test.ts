import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { Service } from "#api";
import { FakeClock, silentLogger } from "#base";
import {
  createFakeInformers,
  insideNamespace,
  ip,
  makeBridge,
  makePod,
  runInNamespace,
  whyNoNamespaces,
} from "#testing";
import { addressesFor, announcerAnnotation, removeAddresses, runAnnouncer, type ShownLink } from "./announcer.ts";

const service = (address: string, by?: string): Service => ({
  ...{ apiVersion: "v1", kind: "Service" },
  metadata: { name: "web", namespace: "default", ...(by && { annotations: { [announcerAnnotation]: by } }) },
  spec: { type: "LoadBalancer" },
  status: { loadBalancer: { ingress: [{ ip: address, ipMode: "VIP" }] } },
});

test("announcer: what the controller gave to this node, and nothing else", () => {
  assert.deepEqual(addressesFor(service("10.9.0.1", "a"), "a"), ["10.9.0.1"]);
  assert.deepEqual(addressesFor(service("10.9.0.1", "a"), "b"), []);
  assert.deepEqual(addressesFor(service("10.9.0.1"), "a"), []);
  assert.deepEqual(addressesFor(service("dev lo", "a"), "a"), []);
  assert.deepEqual(addressesFor({ ...service("10.9.0.1", "a"), spec: { type: "ClusterIP" } }, "a"), []);
});

const change = async (lines: readonly string[]) => {
  for (const each of lines) ip(...each.split(" "));
  return [];
};
const show = async (...args: string[]): Promise<ShownLink[]> => JSON.parse(ip("-json", ...args) || "[]");
const own = () => (JSON.parse(ip("-json", "address", "show", "dev", "lo")) as ShownLink[]).flatMap((link) => link.addr_info).map(({ local }) => local); // biome-ignore format: one row

const reason = whyNoNamespaces();
if (insideNamespace) {
  test("announcer: neighbours learn where an address went, also those who knew it elsewhere", async () => {
    makeBridge("br0", "10.9.0.254/24");
    const other = await makePod({ bridge: "br0", address: "10.9.0.2", gateway: "10.9.0.254" });
    const client = await makePod({ bridge: "br0", address: "10.9.0.3", gateway: "10.9.0.254" });
    try {
      // Somebody is there when a connection is refused.
      const refused = 'on("error", ({ code }) => process.exit(code === "ECONNREFUSED" ? 0 : 1))';
      const reach = (host: string) =>
        client.run(process.execPath, "-e", `require("net").connect({ host: "${host}", port: 9 }).${refused}`);
      const macOf = (text: string) => /(?:lladdr|link\/ether) ([0-9a-f:]+)/.exec(text)?.[1];
      other.run("ip", "address", "add", "10.9.0.77/32", "dev", "lo");
      reach("10.9.0.77");
      const neighbour = () => macOf(client.run("ip", "neigh", "show", "10.9.0.77"));
      assert.equal(neighbour(), macOf(other.run("ip", "link", "show", "eth0")));
      other.run("ip", "address", "del", "10.9.0.77/32", "dev", "lo");

      const informers = createFakeInformers();
      const stop = new AbortController();
      const clock = new FakeClock(0);
      const options = { informers, nodeName: "a", nodeAddress: "10.9.0.254", change, show, clock, log: silentLogger };
      const running = runAnnouncer(options, stop.signal);
      informers.set("v1/services", service("10.9.0.77", "a"));
      const until = async (is: () => boolean) => {
        for (let turn = 0; turn < 500 && !is(); turn++) await new Promise((next) => setTimeout(next, 10));
        assert.ok(is(), is.toString());
      };
      await until(() => own().includes("10.9.0.77"));
      await until(() => neighbour() === macOf(ip("link", "show", "br0")));
      reach("10.9.0.77");
      clock.advance(3_000);
      await until(() => !ip("route").includes("169.254"));
      informers.set("v1/services", service("10.9.0.77", "b"));
      await until(() => !own().includes("10.9.0.77"));
      // The next one goes on from what it finds.
      informers.set("v1/services", service("10.9.0.78", "a"));
      await until(() => own().includes("10.9.0.78"));
      stop.abort();
      await running;
      assert.ok(own().includes("10.9.0.78"));
      const second = new AbortController();
      informers.set("v1/services", service("10.9.0.79", "b"));
      const again = runAnnouncer(options, second.signal);
      await until(() => !own().includes("10.9.0.78"));
      informers.set("v1/services", service("10.9.0.80", "a"));
      await until(() => own().includes("10.9.0.80"));
      second.abort();
      await again;
      await removeAddresses(options);
      assert.deepEqual(
        own().filter((address) => address.startsWith("10.")),
        [],
      );
      execFileSync("ip", ["-6", "address", "add", "fd00:9::254/64", "dev", "br0", "nodad"]);
      const third = new AbortController();
      informers.set("v1/services", service("fd00:9::77", "a"));
      const six = runAnnouncer({ ...options, nodeAddress: "fd00:9::254" }, third.signal);
      client.run("ip", "address", "add", "fd00:9::3/64", "dev", "eth0", "nodad");
      await until(() => ip("-6", "address", "show", "dev", "br0").includes("fd00:9::77/128"));
      reach("fd00:9::77");
      third.abort();
      await six;
    } finally {
      other.close();
      client.close();
    }
  });
} else test("announcer: on a segment of its own", { skip: reason }, () => runInNamespace(import.meta.filename));
