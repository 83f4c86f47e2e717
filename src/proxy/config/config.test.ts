import assert from "node:assert/strict";
import { test } from "node:test";
import { printFieldErrors } from "#machinery";
import { configurationOf, printProxyConfiguration, readProxyConfiguration } from "./configuration.ts";
import { validateProxyConfiguration } from "./validate.ts";

const problems = async (given: object) => printFieldErrors(validateProxyConfiguration(await configurationOf(given)));

test("proxy configuration: what nothing is said about has upstream's defaults, and is shown so", async () => {
  const printed = printProxyConfiguration(await configurationOf({}));
  assert.equal(await problems({}), "[]");
  const { bindAddress, healthzBindAddress, metricsBindAddress, nftables, conntrack, oomScoreAdj } = printed;
  assert.deepEqual(
    { bindAddress, healthzBindAddress, metricsBindAddress, nftables, conntrack, oomScoreAdj },
    {
      bindAddress: "0.0.0.0",
      healthzBindAddress: "0.0.0.0:10256",
      metricsBindAddress: "127.0.0.1:10249",
      nftables: { masqueradeAll: false, masqueradeBit: 14, minSyncPeriod: "1s", syncPeriod: "30s" },
      conntrack: {
        maxPerCore: 32_768,
        min: 131_072,
        tcpBeLiberal: false,
        tcpCloseWaitTimeout: "1h0m0s",
        tcpEstablishedTimeout: "24h0m0s",
        udpStreamTimeout: "0s",
        udpTimeout: "0s",
      },
      oomScoreAdj: -999,
    },
  );
  assert.deepEqual((await configurationOf({ mode: "nftables" })).nodePortAddresses, ["primary"]);
  assert.equal((await configurationOf({ mode: "iptables" })).nodePortAddresses, undefined);
});

test("proxy configuration: the family of bindAddress decides where servers listen; addresses get their port", async () => {
  const six = await configurationOf({ bindAddress: "::" });
  assert.deepEqual([six.healthzBindAddress, six.metricsBindAddress], ["[::]:10256", "[::1]:10249"]);
  const own = await configurationOf({ healthzBindAddress: "10.0.0.1", metricsBindAddress: "[fd00::1]:99" });
  assert.deepEqual([own.healthzBindAddress, own.metricsBindAddress], ["10.0.0.1:10256", "[fd00::1]:99"]);
});

test("proxy configuration: unknown fields are warned of, another kind and wrong types refused", async () => {
  const warnings: string[] = [];
  const head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
  const read = await readProxyConfiguration(`${head}mode: nftables\nnope: 1\n`, (text) => warnings.push(text));
  assert.equal(read.mode, "nftables");
  assert.match(warnings.join(), /strict decoding error: unknown field "nope"/);
  await assert.rejects(
    readProxyConfiguration(`${head}mode: [1]\n`, () => undefined),
    /cannot unmarshal array/,
  );
  await assert.rejects(
    readProxyConfiguration("kind: Pod\napiVersion: v1\n", () => undefined),
    /no kind "Pod"/,
  );
});

const cases: readonly [what: string, given: object, message: string][] = [
  [
    "mode",
    { mode: "magic" },
    'KubeProxyConfiguration.Mode.ProxyMode: Invalid value: "magic": must be iptables, ipvs, nftables, userspace or blank (blank means the best-available proxy [currently nftables])',
  ],
  [
    "bind address",
    { bindAddress: "10.10.12.11:2000" },
    'KubeProxyConfiguration.BindAddress: Invalid value: "10.10.12.11:2000": not a valid textual representation of an IP address',
  ],
  [
    "health address",
    { healthzBindAddress: "0.0.0.0.0:1" },
    'KubeProxyConfiguration.HealthzBindAddress: Invalid value: "0.0.0.0.0": must be a valid IP',
  ],
  [
    "health port",
    { healthzBindAddress: "0.0.0.0:70000" },
    'KubeProxyConfiguration.HealthzBindAddress: Invalid value: "70000": must be a valid port',
  ],
  [
    "metrics address",
    { metricsBindAddress: "127.0.0" },
    'KubeProxyConfiguration.MetricsBindAddress: Invalid value: "127.0.0": must be IP:port',
  ],
  [
    "pods' range",
    { clusterCIDR: "192.168.59.0" },
    'KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs[0]: Invalid value: "192.168.59.0": must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)',
  ],
  [
    "two ranges of a family",
    { clusterCIDR: "10.0.0.0/24,10.1.0.0/24" },
    'KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]',
  ],
  [
    "how pods are told",
    { detectLocalMode: "Guess" },
    'KubeProxyConfiguration.DetectLocalMode: Unsupported value: "Guess": supported values: "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", ""',
  ],
  [
    "a bridge without a name",
    { detectLocalMode: "BridgeInterface" },
    'KubeProxyConfiguration.DetectLocalConfiguration.InterfaceName: Invalid value: "": must not be empty',
  ],
  [
    "node port addresses",
    { nodePortAddresses: ["primary", "10.0.0.0/8"] },
    "KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: \"primary\": can't use both 'primary' and CIDRs",
  ],
  [
    "node port addresses that are none",
    { nodePortAddresses: ["1.2.3.4"] },
    'KubeProxyConfiguration.NodePortAddresses[0]: Invalid value: "1.2.3.4": must be a valid CIDR',
  ],
  [
    "bit",
    { mode: "nftables", nftables: { masqueradeBit: 32 } },
    "KubeProxyConfiguration.KubeProxyNFTablesConfiguration.MasqueradeBit: Invalid value: 32: must be within the range [0, 31]",
  ],
  [
    "connection tracking",
    { conntrack: { maxPerCore: -1 } },
    "KubeProxyConfiguration.KubeProxyLinuxConfiguration.KubeProxyConntrackConfiguration.MaxPerCore: Invalid value: -1: must be greater than or equal to 0",
  ],
  [
    "periods",
    { mode: "nftables", nftables: { syncPeriod: "1s", minSyncPeriod: "5s" } },
    'KubeProxyConfiguration.SyncPeriod: Invalid value: "5s": must be greater than or equal to KubeProxyConfiguration.MinSyncPeriod',
  ],
  [
    "out-of-memory score",
    { oomScoreAdj: 1001 },
    "KubeProxyConfiguration.KubeProxyLinuxConfiguration.OOMScoreAdj: Invalid value: 1001: must be within the range [-1000, 1000]",
  ],
];
for (const [what, given, message] of cases)
  test(`proxy configuration: refused in upstream's words: ${what}`, async () =>
    assert.equal(await problems(given), message));
