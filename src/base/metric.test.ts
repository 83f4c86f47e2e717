import assert from "node:assert/strict";
import { test } from "node:test";
import { exponentialBounds, MetricRegistry, seriesMax } from "./metric.ts";
import { type MetricFormat, metricFormatOf, printMetrics } from "./metric-text.ts";

async function show(registry: MetricRegistry, format: MetricFormat = "text"): Promise<string> {
  return [...printMetrics(await registry.collect(), format)].join("");
}

test("metrics: counters and gauges, by name, with their labels", async () => {
  const registry = new MetricRegistry();
  const requests = registry.counter("requests_total", "Requests.", ["verb", "code"]);
  requests.with("GET", "200").inc();
  requests.with("GET", "200").inc(2);
  requests.with("PUT", "409").inc();
  registry.gauge("open", "What is\nopen \\ now.", []).with().set(1.5);
  registry.counter("unused_total", "Never.", []);
  const text = [
    "# HELP open What is\\nopen \\\\ now.\n# TYPE open gauge\nopen 1.5\n",
    '# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{verb="GET",code="200"} 3\n',
    'requests_total{verb="PUT",code="409"} 1\n',
  ];
  assert.equal(await show(registry), text.join(""));
});

test("metrics: a histogram counts up to each bound, and beyond", async () => {
  const registry = new MetricRegistry();
  const sizes = registry.histogram("sizes", "Sizes.", { bounds: [1, 10], labels: ["of"] });
  const some = sizes.with('a"b');
  for (const value of [0.5, 1, 2, 100]) some.observe(value);
  some.observe(3, 2);
  const text = [
    "# HELP sizes Sizes.\n# TYPE sizes histogram\n",
    'sizes_bucket{of="a\\"b",le="1"} 2\nsizes_bucket{of="a\\"b",le="10"} 5\nsizes_bucket{of="a\\"b",le="+Inf"} 6\n',
    'sizes_sum{of="a\\"b"} 109.5\nsizes_count{of="a\\"b"} 6\n',
  ];
  assert.equal(await show(registry), text.join(""));
  assert.match(await show(registry, "openmetrics"), /le="1\.0"} 2\n/);
});

test("metrics: in OpenMetrics a counter keeps its name", async () => {
  const registry = new MetricRegistry();
  registry.counter("a_total", "A.", []).with().inc();
  registry.counter("b_count", "B.", []).with().inc();
  const text =
    "# HELP a A.\n# TYPE a counter\na_total 1\n# HELP b_count B.\n# TYPE b_count unknown\nb_count 1\n# EOF\n";
  assert.equal(await show(registry, "openmetrics"), text);
  assert.equal(metricFormatOf("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), "openmetrics");
  assert.equal(metricFormatOf("text/plain"), "text");
});

test("metrics: what is known anyway is read when someone asks", async () => {
  const registry = new MetricRegistry();
  const queue = ["a"];
  const depth = registry.gauge("depth", "Depth.", []);
  registry.onCollect(() => depth.with().set(queue.length));
  assert.match(await show(registry), /depth 1\n/);
  queue.push("b");
  assert.match(await show(registry), /depth 2\n/);
});

test("metrics: two who declare the same name count together; series are bounded", async () => {
  const registry = new MetricRegistry();
  registry.counter("a_total", "A.", ["x"]).with("1").inc();
  const again = registry.counter("a_total", "A.", ["x"]);
  again.with("1").inc();
  assert.match(await show(registry), /a_total\{x="1"} 2\n/);
  for (let at = 0; at < seriesMax + 5; at++) again.with(`v${at}`).inc();
  assert.equal([...again.series()].length, seriesMax);
  again.remove("1");
  assert.doesNotMatch(await show(registry), /x="1"/);
});

test("metrics: bounds that grow by a factor", () => {
  assert.deepEqual(exponentialBounds(1000, 10, 3), [1000, 10_000, 100_000]);
});
