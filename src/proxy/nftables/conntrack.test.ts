import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServicePort } from "../core/service-port.ts";
import { isStale, parseFlow, udpFrontends } from "./conntrack.ts";

const port: ServicePort = {
  ...{ id: "ns/dns/udp/", family: "IPv4", protocol: "udp", port: 53, clusterAddress: "10.96.0.10", nodePort: 30053 },
  ...{ externalAddresses: ["198.51.100.1"], balancerAddresses: ["203.0.113.1"], sourceRanges: [], affinitySeconds: 0 },
  ...{ internalLocal: false, externalLocal: false, healthCheckNodePort: 0, localReady: [] },
  ...{ clusterEndpoints: [], localEndpoints: [], hasEndpoints: true, serving: ["10.244.0.2:5353"] },
};
const machine = new Set(["192.0.2.1"]);
/** As `conntrack -L -p udp` prints it. */
const line = (target: string, targetPort: number, answers: string, answersPort: number, more = "") =>
  `udp      17 28 src=10.244.0.9 dst=${target} sport=4000 dport=${targetPort} ${more}src=${answers} dst=10.244.0.9 sport=${answersPort} dport=4000 mark=0 use=1`;

for (const [name, stale, text] of [
  ["to a serving endpoint", false, line("10.96.0.10", 53, "10.244.0.2", 5353)],
  ["to one that is gone", true, line("10.96.0.10", 53, "10.244.0.3", 5353)],
  ["to another port of one that serves", true, line("10.96.0.10", 53, "10.244.0.2", 53)],
  ["from before there was any", true, line("10.96.0.10", 53, "10.96.0.10", 53, "[UNREPLIED] ")],
  ["to an external address", true, line("198.51.100.1", 53, "10.244.0.3", 5353)],
  ["to a balancer's", true, line("203.0.113.1", 53, "10.244.0.3", 5353)],
  ["with packets counted", true, line("203.0.113.1", 53, "10.244.0.3", 5353, "packets=3 bytes=99 [UNREPLIED] ")],
  ["to a node port", true, line("192.0.2.1", 30053, "10.244.0.3", 5353)],
  ["to a node port, serving", false, line("192.0.2.1", 30053, "10.244.0.2", 5353)],
  ["to the same port elsewhere", false, line("192.0.2.77", 30053, "192.0.2.77", 30053)],
  ["to another port of the service's address", false, line("10.96.0.10", 54, "10.244.0.3", 5353)],
  ["to an address of nobody's", false, line("8.8.8.8", 53, "8.8.8.8", 53)],
] as const)
  test(`flow: ${name}: ${stale ? "forgotten" : "kept"}`, () => {
    const flow = parseFlow(text);
    assert.ok(flow);
    assert.equal(isStale(udpFrontends([port]), flow, machine), stale);
  });

test("flow: without a serving endpoint all are kept, and TCP is none of it", () => {
  assert.equal(
    udpFrontends([
      { ...port, serving: [] },
      { ...port, protocol: "tcp" },
    ]).size,
    0,
  );
});

test("flow: IPv6 addresses are compared as they are printed", () => {
  const six = { ...port, family: "IPv6" as const, clusterAddress: "fd00:96::a", serving: ["[fd00:244::2]:5353"] };
  const flow = (answers: string) => parseFlow(line("fd00:96::a", 53, answers, 5353));
  const of = (answers: string) => isStale(udpFrontends([six]), flow(answers) ?? assert.fail(), machine);
  assert.deepEqual([of("fd00:244::2"), of("fd00:244::3")], [false, true]);
});

test("flow: lines of other kinds are passed over", () => {
  assert.equal(parseFlow("conntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown."), undefined);
  assert.equal(parseFlow(""), undefined);
});
