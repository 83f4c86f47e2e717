import assert from "node:assert/strict";
import { test } from "node:test";
import { type DetectLocal, type ProxySettings, proxySettings } from "../settings.ts";
import { baseScript } from "./base.ts";
import { contextOf } from "./context.ts";

const facts = {
  ...{ nodeName: "n1", zone: "" },
  addresses: ["192.0.2.1"],
  podCidrs: ["10.244.3.0/24", "fd00:3::/64"],
  serviceCidrs: ["10.96.0.0/16", "fd00:96::/112"],
};
const rulesOf = (chain: string, script: string) =>
  script.split("\n").flatMap((line) => line.match(`^add rule ip6? sampan-proxy ${chain} (.*)`)?.[1] ?? []);
const base = (settings: Partial<ProxySettings>, family: "IPv4" | "IPv6" = "IPv4") =>
  baseScript(contextOf(family, proxySettings(settings), facts));
const detect = (given: Partial<DetectLocal>) => ({ detectLocal: { ...proxySettings().detectLocal, ...given } });
const mark = "meta mark set meta mark or 0x00004000";

for (const [name, settings, v4, v6] of [
  ["no range", {}, undefined, undefined],
  ["masqueradeAll", { masqueradeAll: true }, `ip daddr @cluster-ips  ${mark}`, `ip6 daddr @cluster-ips  ${mark}`],
  [
    "ClusterCIDR, of one family",
    detect({ clusterCidrs: ["10.244.0.0/16"] }),
    `ip daddr @cluster-ips ip saddr != 10.244.0.0/16 ${mark}`,
    undefined,
  ],
  [
    "NodeCIDR",
    detect({ mode: "NodeCIDR" }),
    `ip daddr @cluster-ips ip saddr != 10.244.3.0/24 ${mark}`,
    `ip6 daddr @cluster-ips ip6 saddr != fd00:3::/64 ${mark}`,
  ],
  [
    "BridgeInterface",
    detect({ mode: "BridgeInterface", bridgeInterface: "cni0" }),
    `ip daddr @cluster-ips iifname != "cni0" ${mark}`,
    `ip6 daddr @cluster-ips iifname != "cni0" ${mark}`,
  ],
  [
    "InterfaceNamePrefix",
    detect({ mode: "InterfaceNamePrefix", interfaceNamePrefix: "veth" }),
    `ip daddr @cluster-ips iifname != "veth*" ${mark}`,
    `ip6 daddr @cluster-ips iifname != "veth*" ${mark}`,
  ],
] as const)
  test(`base: who is masqueraded on the way to a cluster address: ${name}`, () => {
    const found = (family: "IPv4" | "IPv6") =>
      rulesOf("services", base(settings, family)).find((rule) => rule.includes("@cluster-ips"));
    assert.deepEqual([found("IPv4"), found("IPv6")], [v4, v6]);
  });

test("base: the mark's bit is the setting's", () => {
  assert.match(base({ masqueradeBit: 31 }), /meta mark and 0x80000000 != 0 meta mark set meta mark xor 0x80000000/);
});

test("base: node ports answer at the addresses of the setting, of a family without any at all of the machine's", () => {
  const last = (settings: Partial<ProxySettings>, family: "IPv4" | "IPv6") =>
    rulesOf("services", base(settings, family)).at(-1)?.split(" meta l4proto")[0];
  assert.equal(last({}, "IPv4"), "ip daddr @nodeport-ips");
  assert.match(base({}), /add element ip sampan-proxy nodeport-ips \{ 192\.0\.2\.1 \}/);
  assert.equal(last({}, "IPv6"), "fib daddr type local ip6 daddr != ::1");
  assert.equal(last({ nodePortAddresses: [] }, "IPv4"), "fib daddr type local ip daddr != 127.0.0.0/8");
  assert.equal(last({ nodePortAddresses: ["0.0.0.0/0"] }, "IPv4"), "fib daddr type local ip daddr != 127.0.0.0/8");
  assert.equal(last({ nodePortAddresses: ["198.51.100.0/24"] }, "IPv4"), "ip daddr @nodeport-ips");
  assert.doesNotMatch(base({ nodePortAddresses: ["127.0.0.0/8"] }), /add element/, "loopback addresses aren't served");
  const unknown = baseScript(contextOf("IPv4", proxySettings(), { ...facts, addresses: [] }));
  assert.doesNotMatch(unknown, /add element/, "an unknown node answers nowhere yet");
});

test("base: each family refuses its own ranges of Services", () => {
  const refusal = (family: "IPv4" | "IPv6") => rulesOf("cluster-ips-check", base({}, family)).at(-1);
  assert.equal(refusal("IPv4"), "ip daddr { 10.96.0.0/16 } goto reject-chain");
  assert.equal(refusal("IPv6"), "ip6 daddr { fd00:96::/112 } goto reject-chain");
});
