/** The whole way of an autoscaler: scale, metrics, decision, status and events, with the words that users of upstream search for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HorizontalPodAutoscaler, MetricSpec, Scale } from "#api";
import { type ApiRequest, formatTime, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testNow, testPod } from "../lib/fixture.ts";
import { horizontalPodAutoscalerController } from "./controller.ts";

const autoscalersPath = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
const scalePath = "/apis/apps/v1/namespaces/default/deployments/web/scale";
const resourcePath = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
const customPath = "/apis/custom.metrics.k8s.io";
const externalPath = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue";

const cpu = (averageUtilization: number): MetricSpec => ({
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization } },
});
const external = (value: string, averageValue?: string): MetricSpec => ({
  type: "External",
  external: {
    metric: { name: "queue", selector: { matchLabels: { of: "web" } } },
    target: averageValue ? { type: "AverageValue", averageValue } : { type: "Value", value },
  },
});

interface World {
  readonly replicas?: number;
  readonly selector?: string;
  readonly spec?: Partial<HorizontalPodAutoscaler["spec"]>;
  readonly status?: HorizontalPodAutoscaler["status"];
  /** By path; a function may throw. */
  readonly answers?: Readonly<Record<string, unknown>>;
  readonly scaleToZero?: boolean;
  readonly other?: Partial<HorizontalPodAutoscaler["spec"]>;
  /** Writes of the scale that are refused. */
  readonly conflicts?: number;
}

const groups: Readonly<Record<string, unknown>> = {
  "/apis/apps": { name: "apps", versions: [{ groupVersion: "apps/v1", version: "v1" }] },
  "/apis/apps/v1": {
    resources: [
      { name: "deployments", kind: "Deployment", namespaced: true },
      { name: "deployments/scale", kind: "Scale", namespaced: true },
      { name: "daemonsets", kind: "DaemonSet", namespaced: true },
    ],
  },
  "/apis/example.com": undefined,
};

/** Of `replicas` pods, each of which uses so much of its 1 cpu. */
const usage = (...milli: number[]) => ({
  items: milli.map((value, at) => ({
    metadata: { name: `web-${at}` },
    timestamp: formatTime(testNow),
    window: "15s",
    containers: [{ name: "c", usage: { cpu: `${value}m`, memory: "64Mi" } }],
  })),
});

async function look(world: World) {
  const { replicas = 3, selector = "app=web", spec = {}, status, answers = {}, other } = world;
  const transport = new FakeTransport();
  const pods = world.replicas === 0 ? 0 : replicas;
  for (let at = 0; at < pods; at++) {
    const pod = testPod({ name: `web-${at}`, readySince: 500 });
    pod.metadata.labels = { app: "web" };
    pod.spec = { containers: [{ name: "c", image: "i", resources: { requests: { cpu: "1" } } }] };
    pod.status = { ...pod.status, phase: "Running", startTime: formatTime(testNow - 600_000) };
    transport.create("/api/v1/namespaces/default/pods", pod);
  }
  const autoscaler = (name: string, own: typeof spec, seen?: typeof status): HorizontalPodAutoscaler => ({
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name, namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      minReplicas: 1,
      maxReplicas: 10,
      metrics: [cpu(50)],
      ...own,
    },
    ...(seen && { status: seen }),
  });
  if (other) transport.create(autoscalersPath, autoscaler("other", other));
  transport.create(autoscalersPath, autoscaler("hpa", spec, status));
  const written: number[] = [];
  const asked: string[] = [];
  let conflicts = world.conflicts ?? 0;
  const all: Record<string, unknown> = { ...groups, [resourcePath]: usage(...Array(pods).fill(500)), ...answers };
  transport.intercept = ({ method, path, query, body }: ApiRequest) => {
    if (path === scalePath && !(path in answers)) {
      if (method === "PUT") {
        if (conflicts-- > 0) throw statusError.modified({ group: "apps", resource: "deployments" }, "web");
        written.push((body as Scale).spec?.replicas ?? -1);
        return body;
      }
      return { metadata: { name: "web" }, spec: { replicas }, status: { replicas, selector } };
    }
    if (path in all) {
      if (Object.keys(query ?? {}).length > 0) asked.push(`${path}?${new URLSearchParams(query as never)}`);
      const answer = all[path];
      if (answer === undefined) throw statusError.unknownPath();
      return typeof answer === "function" ? answer() : answer;
    }
    if (/^\/apis\/(custom|external|metrics)/.test(path)) throw statusError.unknownPath();
    return undefined;
  };
  const running = runController(horizontalPodAutoscalerController, transport, {
    autoscaling: { scaleToZero: world.scaleToZero ?? false },
  });
  const seen = () => transport.objects.get(`${autoscalersPath}/hpa`) as HorizontalPodAutoscaler;
  await running.until(() => transport.watching >= 2);
  const rounds = other ? 2 : 1;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < 30; turn++) await new Promise((next) => setImmediate(next));
    assert.equal(written.length, 0, "nothing happens before the first period is over");
    running.clock.advance(15_000);
    for (let turn = 0; turn < 30; turn++) await new Promise((next) => setImmediate(next));
    if (other) break;
  }
  await running.stop();
  const conditions = (seen().status?.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`);
  const events = running.events.filter(({ about }) => about.endsWith("/hpa"));
  return { status: seen().status, written, asked, conditions, events: events.map((e) => `${e.reason}: ${e.message}`) };
}

const able = "AbleToScale=True SucceededGetScale";

test("autoscaler: goes up with usage and says so", async () => {
  const { status, written, conditions, events, asked } = await look({
    answers: { [resourcePath]: usage(800, 900, 1000) },
  });
  assert.deepEqual(written, [6]);
  assert.deepEqual(asked, [`${resourcePath}?labelSelector=app%3Dweb`]);
  assert.deepEqual(conditions, [
    "AbleToScale=True SucceededRescale",
    "ScalingActive=True ValidMetricFound",
    "ScalingLimited=False DesiredWithinRange",
  ]);
  assert.deepEqual(events, [
    "SuccessfulRescale: New size: 6; reason: cpu resource utilization (percentage of request) above target",
  ]);
  assert.deepEqual(status?.currentMetrics, [
    { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 90, averageValue: "900m" } } },
  ]);
  assert.equal(status?.currentReplicas, 3);
  assert.equal(status?.desiredReplicas, 6);
  assert.equal(status?.lastScaleTime, formatTime(testNow + 15_000));
});

test("autoscaler: at the target nothing is written but the status", async () => {
  const { status, written, conditions, events } = await look({ answers: { [resourcePath]: usage(500, 520, 500) } });
  assert.deepEqual([written, events], [[], []]);
  assert.deepEqual(conditions[0], "AbleToScale=True ReadyForNewScale");
  assert.equal(status?.desiredReplicas, 3);
  assert.equal(status?.lastScaleTime, undefined);
});

test("autoscaler: down waits for the window of the last recommendation", async () => {
  const { written, conditions } = await look({ answers: { [resourcePath]: usage(50, 50, 50) } });
  assert.deepEqual(written, []);
  assert.equal(conditions[0], "AbleToScale=True ScaleDownStabilized");
});

const withoutMetrics: readonly [name: string, world: World, written: number[], event: string][] = [
  [
    "above the most",
    { replicas: 12 },
    [10],
    "SuccessfulRescale: New size: 10; reason: Current number of replicas above Spec.MaxReplicas",
  ],
  [
    "below the least",
    { replicas: 1, spec: { minReplicas: 4 } },
    [4],
    "SuccessfulRescale: New size: 4; reason: Current number of replicas below Spec.MinReplicas",
  ],
];
for (const [name, world, written, event] of withoutMetrics) {
  test(`autoscaler: ${name} no metric is asked`, async () => {
    const found = await look(world);
    assert.deepEqual([found.written, found.events, found.asked], [written, [event], []]);
    assert.equal(found.status?.currentMetrics, null);
  });
}

test("autoscaler: no replicas wanted means hands off", async () => {
  const { written, conditions, events } = await look({ replicas: 0 });
  assert.deepEqual([written, events], [[], []]);
  assert.deepEqual(conditions, [able, "ScalingActive=False ScalingDisabled"]);
});

test("autoscaler: goes to nothing and back where it may", async () => {
  const spec = { minReplicas: 0, metrics: [external("10")] };
  const down = await look({
    replicas: 1,
    spec: {
      ...spec,
      behavior: {
        scaleDown: {
          stabilizationWindowSeconds: 0,
          selectPolicy: "Max",
          policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
        },
      },
    },
    answers: { [externalPath]: { items: [{ value: "0" }] } },
    scaleToZero: true,
  });
  assert.deepEqual(down.written, [0]);
  assert.ok(down.conditions.includes("ScaledToZero=True ScaledToZero"));
  const before = { desiredReplicas: 0, conditions: [{ type: "ScaledToZero", status: "True", reason: "ScaledToZero" }] };
  const answers = { [externalPath]: { items: [{ value: "25" }] } };
  const up = await look({ replicas: 0, spec, answers, status: before, scaleToZero: true });
  assert.deepEqual(up.written, [3]);
  assert.ok(up.conditions.includes("ScaledToZero=False NotScaledToZero"));
  const byHand = await look({ replicas: 0, spec, answers, scaleToZero: true });
  assert.deepEqual([byHand.written, byHand.conditions.at(-1)], [[], "ScalingActive=False ScalingDisabled"]);
  const closed = await look({ replicas: 0, spec, answers, status: before });
  assert.deepEqual([closed.written, closed.conditions.some((each) => each.startsWith("ScaledToZero"))], [[], false]);
});

const refused: readonly [name: string, world: World, conditions: string[], events: string[]][] = [
  [
    "nobody serves the kind",
    { spec: { scaleTargetRef: { apiVersion: "example.com/v1", kind: "Thing", name: "x" } } },
    ["AbleToScale=False FailedGetScale"],
    ['FailedGetScale: no matches for kind "Thing" in group "example.com"'],
  ],
  [
    "a group that can't be read",
    { spec: { scaleTargetRef: { apiVersion: "a/b/c", kind: "Thing", name: "x" } } },
    ["AbleToScale=False FailedGetScale"],
    ["FailedGetScale: unexpected GroupVersion string: a/b/c"],
  ],
  [
    "a kind without a scale",
    { spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "DaemonSet", name: "x" } } },
    ["AbleToScale=False FailedGetScale"],
    ["FailedGetScale: could not find scale subresource for apps/v1, Resource=daemonsets in discovery information"],
  ],
  [
    "the target is gone",
    {
      answers: {
        [scalePath]: () => {
          throw statusError.notFound({ group: "apps", resource: "deployments" }, "web");
        },
      },
    },
    ["AbleToScale=False FailedGetScale"],
    ['FailedGetScale: deployments.apps "web" not found'],
  ],
  [
    "the target has no selector",
    { selector: "" },
    [able, "ScalingActive=False InvalidSelector"],
    ["SelectorRequired: selector is required", "FailedComputeMetricsReplicas: selector is required"],
  ],
  [
    "a selector that can't be read",
    { selector: "a b" },
    [able, "ScalingActive=False InvalidSelector"],
    [
      "InvalidSelector: couldn't convert selector into a corresponding internal selector object: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
      "FailedComputeMetricsReplicas: couldn't convert selector into a corresponding internal selector object: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    ],
  ],
  [
    "two autoscalers of the same pods",
    { other: {} },
    [able, "ScalingActive=False AmbiguousSelector"],
    [
      "AmbiguousSelector: pods by selector app=web are controlled by multiple HPAs: [{hpa default} {other default}]",
      "FailedComputeMetricsReplicas: pods by selector app=web are controlled by multiple HPAs: [{hpa default} {other default}]",
    ],
  ],
  [
    "nobody serves metrics",
    { answers: { [resourcePath]: undefined } },
    [able, "ScalingActive=False FailedGetResourceMetric"],
    [
      "FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
      "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
    ],
  ],
  [
    "nothing was measured yet",
    { answers: { [resourcePath]: { items: [] } } },
    [able, "ScalingActive=False FailedGetResourceMetric"],
    [
      "FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
      "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
    ],
  ],
  [
    "no custom metrics",
    {
      spec: {
        metrics: [
          { type: "Pods", pods: { metric: { name: "qps" }, target: { type: "AverageValue", averageValue: "5" } } },
        ],
      },
    },
    [able, "ScalingActive=False FailedGetPodsMetric"],
    [
      "FailedGetPodsMetric: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
      "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get pods metric value: unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
    ],
  ],
  [
    "no external metrics",
    { spec: { metrics: [external("5")] } },
    [able, "ScalingActive=False FailedGetExternalMetric"],
    [
      "FailedGetExternalMetric: unable to get external metric default/queue/&LabelSelector{MatchLabels:map[string]string{of: web,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
      "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get queue external metric value: failed to get external metric queue: unable to get external metric default/queue/&LabelSelector{MatchLabels:map[string]string{of: web,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
    ],
  ],
];
for (const [name, world, conditions, events] of refused) {
  test(`autoscaler: ${name}`, async () => {
    const found = await look(world);
    assert.deepEqual(found.written, []);
    assert.deepEqual(found.events, events);
    assert.deepEqual(found.conditions, conditions);
  });
}

test("autoscaler: a metric that fails doesn't keep from going up, but from going down", async () => {
  const metrics = [cpu(50), external("1")];
  const up = await look({ spec: { metrics }, answers: { [resourcePath]: usage(900, 900, 900) } });
  assert.deepEqual(up.written, [6]);
  assert.deepEqual(
    up.status?.currentMetrics?.map(({ type }) => type),
    ["Resource", ""],
  );
  const down = await look({ spec: { metrics }, answers: { [resourcePath]: usage(50, 50, 50) } });
  assert.deepEqual(down.written, []);
  assert.equal(down.conditions.at(-1), "ScalingActive=False FailedGetExternalMetric");
});

const custom = (version: string) => ({
  [customPath]: { versions: [{ version: "v9" }, { version }], preferredVersion: { version: "v9" } },
});
const measured: readonly [name: string, world: World, replicas: number, asked: string, shown: unknown][] = [
  ...["v1beta1", "v1beta2"].map((version): [string, World, number, string, unknown] => {
    const path = `${customPath}/${version}/namespaces/default/pods/*/qps`.replace("*", encodeURIComponent("*"));
    const target = { type: "AverageValue", averageValue: "10" };
    const pods = { metric: { name: "qps", selector: { matchLabels: { a: "b" } } }, target };
    const items = [0, 1, 2].map((at) => ({
      describedObject: { name: `web-${at}` },
      value: "20",
      timestamp: formatTime(testNow),
    }));
    return [
      `pods in ${version}`,
      { spec: { metrics: [{ type: "Pods", pods }] }, answers: { ...custom(version), [path]: { items } } },
      6,
      `${path}?labelSelector=app%3Dweb&metricLabelSelector=a%3Db`,
      { type: "Pods", pods: { metric: pods.metric, current: { averageValue: "20" } } },
    ];
  }),
  [
    "an object",
    {
      spec: {
        metrics: [
          {
            type: "Object",
            object: {
              describedObject: { apiVersion: "apps/v1", kind: "Deployment", name: "front" },
              metric: { name: "hits", selector: {} },
              target: { type: "Value", value: "100" },
            },
          },
        ],
      },
      answers: {
        ...custom("v1beta2"),
        [`${customPath}/v1beta2/namespaces/default/deployments.apps/front/hits`]: { items: [{ value: "150" }] },
      },
    },
    5,
    "",
    {
      type: "Object",
      object: {
        describedObject: { apiVersion: "apps/v1", kind: "Deployment", name: "front" },
        metric: { name: "hits", selector: {} },
        current: { value: "150" },
      },
    },
  ],
  [
    "the namespace",
    {
      spec: {
        metrics: [
          {
            type: "Object",
            object: {
              describedObject: { apiVersion: "v1", kind: "Namespace", name: "elsewhere" },
              metric: { name: "hits" },
              target: { type: "AverageValue", averageValue: "30" },
            },
          },
        ],
      },
      answers: {
        ...custom("v1beta2"),
        [`${customPath}/v1beta2/namespaces/default/metrics/hits`]: { items: [{ value: "150" }] },
      },
    },
    5,
    "",
    {
      type: "Object",
      object: {
        describedObject: { apiVersion: "v1", kind: "Namespace", name: "elsewhere" },
        metric: { name: "hits" },
        current: { averageValue: "50" },
      },
    },
  ],
  [
    "external, shared",
    {
      spec: { metrics: [external("", "10")] },
      answers: { [externalPath]: { items: [{ value: "25" }, { value: "15500m" }] } },
    },
    5,
    `${externalPath}?labelSelector=of%3Dweb`,
    {
      type: "External",
      external: {
        metric: { name: "queue", selector: { matchLabels: { of: "web" } } },
        current: { averageValue: "13500m" },
      },
    },
  ],
  [
    "one container's memory",
    {
      spec: {
        metrics: [
          {
            type: "ContainerResource",
            containerResource: {
              name: "memory",
              container: "c",
              target: { type: "AverageValue", averageValue: "32Mi" },
            },
          },
        ],
      },
    },
    6,
    `${resourcePath}?labelSelector=app%3Dweb`,
    {
      type: "ContainerResource",
      containerResource: { name: "memory", container: "c", current: { averageValue: "64Mi" } },
    },
  ],
];
for (const [name, world, replicas, asked, shown] of measured) {
  test(`autoscaler: follows ${name}`, async () => {
    const found = await look(world);
    assert.deepEqual(
      found.events.filter((event) => !event.startsWith("SuccessfulRescale")),
      [],
    );
    assert.deepEqual(found.written, [replicas]);
    assert.deepEqual(found.asked, asked === "" ? [] : [asked]);
    assert.deepEqual(found.status?.currentMetrics, [shown]);
  });
}

test("autoscaler: a scale that others write too is written again, and in the end that is said", async () => {
  const answers = { [resourcePath]: usage(900, 900, 900) };
  assert.deepEqual((await look({ answers, conflicts: 3 })).written, [6]);
  const failed = await look({ answers, conflicts: 99 });
  const why =
    'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply your changes to the latest version and try again';
  assert.deepEqual(failed.written, []);
  assert.deepEqual(failed.events, [
    `FailedRescale: New size: 6; reason: cpu resource utilization (percentage of request) above target; error: ${why}`,
  ]);
  assert.equal(failed.conditions[0], "AbleToScale=False FailedUpdateScale");
});
