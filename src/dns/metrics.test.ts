import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricRegistry, printMetrics } from "#base";
import { observeDns } from "./metrics.ts";
import { query } from "./test-upstream.ts";
import { readQuery, writeRefusal } from "./wire.ts";

test("metrics: requests and answers under CoreDNS' names", async () => {
  const metrics = new MetricRegistry();
  const forwarder = { cache: { size: 3, hits: 2, misses: 1 } };
  const observe = observeDns({ metrics, domains: ["cluster.local"], port: 53, forwarder });
  for (const [raw, udp] of [
    [query("web.ns.svc.cluster.local"), true],
    [query("example.org", "AAAA"), false],
    [query("x", "A", { questions: [] }), true],
  ] as const) {
    const asked = readQuery(raw, udp);
    assert.ok(asked);
    const answer = writeRefusal(asked, "code" in asked ? asked.code : 3);
    observe(asked, { answer, startedMs: performance.now(), udp, isIpv6: false });
  }
  const text = [...printMetrics(await metrics.collect(), "text")].join("");
  for (const line of [
    'coredns_dns_requests_total{server="dns://:53",zone="cluster.local.",view="",proto="udp",family="1",type="A"} 1',
    'coredns_dns_requests_total{server="dns://:53",zone=".",view="",proto="tcp",family="1",type="AAAA"} 1',
    'coredns_dns_responses_total{server="dns://:53",zone="cluster.local.",view="",rcode="NXDOMAIN",plugin="kubernetes"} 1',
    'coredns_dns_responses_total{server="dns://:53",zone="dropped",view="",rcode="FORMERR",plugin=""} 1',
    'coredns_dns_response_size_bytes_bucket{server="dns://:53",zone="dropped",view="",proto="udp",le="100"} 1',
    'coredns_cache_entries{server="dns://:53",type="success",zones=".",view=""} 3',
  ])
    assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
});
