import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type FlagSpecs, parseFlags } from "#base";
import { proxyFlags, readProxyFlags } from "./proxy-flags.ts";

async function read(...args: string[]) {
  const warnings: string[] = [];
  const { values } = parseFlags(proxyFlags as FlagSpecs, { args, env: {} });
  const configuration = await readProxyFlags(values, { warn: (message) => warnings.push(message) });
  return { configuration, warnings };
}

test("kube-proxy's flags: each is a field of its configuration", async () => {
  const { configuration, warnings } = await read(
    ...[
      "--proxy-mode=nftables",
      "--cluster-cidr=10.244.0.0/16,fd00::/48",
      "--masquerade-all",
      "--iptables-sync-period=1m",
    ],
    ...["--nodeport-addresses=10.0.0.0/8,192.168.0.0/16", "--conntrack-max-per-core=0", "--conntrack-udp-timeout=5s"],
    ...["--healthz-bind-address=10.0.0.1", "--metrics-port=0", "--hostname-override= Node-1 "],
  );
  const { nftables, conntrack, ...rest } = configuration;
  assert.deepEqual(warnings, []);
  assert.equal(nftables.masqueradeAll, true);
  assert.equal(nftables.syncPeriod, 60_000);
  assert.deepEqual([conntrack.maxPerCore, conntrack.min, conntrack.udpTimeout], [0, 131_072, 5_000]);
  const { clusterCIDR, nodePortAddresses, healthzBindAddress, metricsBindAddress, hostnameOverride } = rest;
  assert.deepEqual(
    { clusterCIDR, nodePortAddresses, healthzBindAddress, metricsBindAddress, hostnameOverride },
    {
      clusterCIDR: "10.244.0.0/16,fd00::/48",
      nodePortAddresses: ["10.0.0.0/8", "192.168.0.0/16"],
      healthzBindAddress: "10.0.0.1:10256",
      metricsBindAddress: "",
      hostnameOverride: "node-1",
    },
  );
});

test("kube-proxy's flags: those without effect are taken and warned about, unknown and wrong ones refused", async () => {
  const { warnings } = await read("--ipvs-scheduler=rr", "--kube-api-qps=50", "-v=2", "--healthz-port=9999");
  assert.equal(warnings.length, 2);
  assert.match(warnings.join(), /--ipvs-scheduler has no effect here: endpoints are taken at random/);
  await assert.rejects(read("--proxy-port-range=0-0"), /unknown flag: --proxy-port-range/);
  await assert.rejects(read("--hostname-override= "), /empty hostname-override is invalid/);
  await assert.rejects(read("--iptables-sync-period=0s"), {
    message:
      'failed validate: [KubeProxyConfiguration.SyncPeriod: Invalid value: "0s": must be greater than 0, KubeProxyConfiguration.SyncPeriod: Invalid value: "1s": must be greater than or equal to KubeProxyConfiguration.MinSyncPeriod]',
  });
  assert.equal((await read("--iptables-min-sync-period=0s")).configuration.iptables.minSyncPeriod, 0);
  await assert.rejects(read("--cluster-cidr=nowhere"), {
    message:
      'failed validate: KubeProxyConfiguration.DetectLocalConfiguration.ClusterCIDRs[0]: Invalid value: "nowhere": must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)',
  });
});

test("kube-proxy's flags: with a configuration file the others don't count, but for the node's name", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "proxy-flags-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "proxy.yaml");
  const head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
  await writeFile(
    file,
    `${head}mode: ipvs\nclusterCIDR: 10.1.0.0/16\nhostnameOverride: file\nipvs: {syncPeriod: 7s}\n`,
  );
  const { configuration } = await read(
    `--proxy-config=${file}`,
    "--cluster-cidr=10.2.0.0/16",
    "--hostname-override=flag",
  );
  const { mode, clusterCIDR, hostnameOverride, ipvs } = configuration;
  assert.deepEqual([mode, clusterCIDR, hostnameOverride, ipvs.syncPeriod], ["ipvs", "10.1.0.0/16", "flag", 7_000]);
});
