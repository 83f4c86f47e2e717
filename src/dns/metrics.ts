/** Counts under CoreDNS' names, for dashboards and alerts that were written for it. */
import { exponentialBounds, type MetricRegistry } from "#base";
import type { Observer } from "./answers.ts";
import type { Forwarder } from "./forward/forwarder.ts";
import { isIn } from "./records.ts";
import { codes, types } from "./wire.ts";

const sizeBounds = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];
const timeBounds = exponentialBounds(0.000_25, 2, 16);
/** Types with a name of their own; all others are `other`. */
const typeNames = new Map(Object.entries(types).map(([name, type]) => [type as number, name]));
const codeNames: Readonly<Record<number, string>> = {
  ...{ [codes.noError]: "NOERROR", [codes.formatError]: "FORMERR", [codes.serverFailure]: "SERVFAIL" },
  ...{ [codes.nameError]: "NXDOMAIN", [codes.notImplemented]: "NOTIMP", [codes.refused]: "REFUSED" },
};

export interface DnsMetricsOptions {
  readonly metrics: MetricRegistry;
  readonly domains: readonly string[];
  readonly port: number;
  readonly forwarder: Pick<Forwarder, "cache">;
}

export function observeDns({ metrics, domains, port, forwarder }: DnsMetricsOptions): Observer {
  const server = `dns://:${port}`;
  const view = "";
  const place = ["server", "zone", "view"] as const;
  const requests = metrics.counter(
    "coredns_dns_requests_total",
    "Counter of DNS requests made per zone, protocol and family.",
    [...place, ...(["proto", "family", "type"] as const)],
  );
  const responses = metrics.counter("coredns_dns_responses_total", "Counter of response status codes.", [
    ...place,
    ...(["rcode", "plugin"] as const),
  ]);
  const histogram = <const L extends readonly string[]>(
    name: string,
    help: string,
    labels: L,
    bounds: readonly number[],
  ) => metrics.histogram(`coredns_dns_${name}`, help, { bounds, labels });
  const duration = histogram(
    ...(["request_duration_seconds", "Histogram of the time (in seconds) each request took per zone."] as const),
    ...([place, timeBounds] as const),
  );
  const sized = [...place, "proto"] as const;
  const requestSize = histogram(
    ...(["request_size_bytes", "Size of the EDNS0 UDP buffer in bytes (64K for TCP) per zone and protocol."] as const),
    ...([sized, sizeBounds] as const),
  );
  const responseSize = histogram(
    ...(["response_size_bytes", "Size of the returned response in bytes."] as const),
    ...([sized, sizeBounds] as const),
  );
  collectCache(metrics, { server, view, forwarder });
  return (query, { answer, startedMs, udp, isIpv6 }) => {
    const asked = "code" in query ? undefined : query;
    const zone = asked ? (domains.find((domain) => isIn(asked.name, domain)) ?? ".") : "dropped";
    const proto = udp ? "udp" : "tcp";
    const type = asked ? (typeNames.get(asked.type) ?? "other") : "other";
    const where = zone === "." || zone === "dropped" ? zone : `${zone}.`;
    requests.with(server, where, view, proto, isIpv6 ? "2" : "1", type).inc();
    const code = answer[3]! & 0xf; // a header
    const plugin = where === "." ? "forward" : asked ? "kubernetes" : "";
    responses.with(server, where, view, codeNames[code] ?? String(code), plugin).inc();
    duration.with(server, where, view).observe((performance.now() - startedMs) / 1000);
    requestSize.with(server, where, view, proto).observe(asked?.bytesMax ?? 0);
    responseSize.with(server, where, view, proto).observe(answer.length);
  };
}

function collectCache(
  metrics: MetricRegistry,
  { server, view, forwarder }: { server: string; view: string; forwarder: Pick<Forwarder, "cache"> },
): void {
  const cached = ["server", "type", "zones", "view"] as const;
  const entries = metrics.gauge("coredns_cache_entries", "The number of elements in the cache.", cached);
  const hits = metrics.counter("coredns_cache_hits_total", "The count of cache hits.", cached);
  const misses = metrics.counter("coredns_cache_misses_total", "The count of cache misses.", [
    "server",
    "zones",
    "view",
  ]);
  metrics.onCollect(() => {
    const { cache } = forwarder;
    entries.with(server, "success", ".", view).set(cache.size);
    hits.with(server, "success", ".", view).value = cache.hits;
    misses.with(server, ".", view).value = cache.misses;
  });
}
