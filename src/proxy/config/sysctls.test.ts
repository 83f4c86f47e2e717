import assert from "node:assert/strict";
import { test } from "node:test";
import { configurationOf } from "./configuration.ts";
import { conntrackMax, conntrackSysctls } from "./sysctls.ts";

const conntrack = async (given: object) => (await configurationOf({ conntrack: given })).conntrack;

test("connection tracking: the limit grows with the cores, within bounds; zero leaves the kernel's", async () => {
  const max = async (given: object, cores: number) => conntrackMax(await conntrack(given), cores);
  assert.equal(await max({}, 1), 131_072, "the least");
  assert.equal(await max({}, 8), 262_144);
  assert.equal(await max({}, 64), 1_048_576, "the most");
  assert.equal(await max({ maxPerCore: 0, min: 99 }, 8), 0);
  assert.equal(await max({ maxPerCore: 10, min: 99 }, 4), 99);
});

test("connection tracking: times that are zero are left alone", async () => {
  assert.deepEqual(Object.fromEntries(conntrackSysctls(await conntrack({ maxPerCore: 0 }), 2)), {
    nf_conntrack_tcp_timeout_established: 86_400,
    nf_conntrack_tcp_timeout_close_wait: 3_600,
  });
  const all = { tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s", tcpBeLiberal: true, udpStreamTimeout: "3s" };
  assert.deepEqual(Object.fromEntries(conntrackSysctls(await conntrack({ maxPerCore: 0, ...all }), 2)), {
    nf_conntrack_tcp_be_liberal: 1,
    nf_conntrack_udp_timeout_stream: 3,
  });
});
