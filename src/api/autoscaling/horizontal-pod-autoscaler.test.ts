import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { horizontalPodAutoscalerKind as kind, withScaleToZero } from "./horizontal-pod-autoscaler.ts";

const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
const sent = (spec: object = {}) => ({ spec: { scaleTargetRef, maxReplicas: 5, ...spec } });
const errorsOf = (spec: object) => tryCreate(kind, sent(spec)).errors;
const cpu = (averageUtilization: number) => ({
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization } },
});

test("autoscaler: what a client leaves out", () => {
  const { object, errors } = tryCreate(kind, sent({ behavior: { scaleUp: { selectPolicy: "Disabled" } } }));
  assert.deepEqual(errors, []);
  const percent = { type: "Percent", value: 100, periodSeconds: 15 };
  assert.deepEqual(object.spec, {
    scaleTargetRef,
    minReplicas: 1,
    maxReplicas: 5,
    metrics: [cpu(80)],
    behavior: {
      scaleUp: {
        stabilizationWindowSeconds: 0,
        selectPolicy: "Disabled",
        policies: [{ type: "Pods", value: 4, periodSeconds: 15 }, percent],
      },
      scaleDown: { selectPolicy: "Max", policies: [percent] },
    },
  });
});

test("autoscaler: how many replicas, and of what", () => {
  const noGroup = 'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group';
  const cases: [object, string[]][] = [
    [
      { maxReplicas: 0 },
      [
        "spec.maxReplicas: Required value: must be set and greater than 0",
        "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
      ],
    ],
    [{ minReplicas: 6 }, ["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"]],
    [
      { minReplicas: 0 },
      [
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
      ],
    ],
    [
      { scaleTargetRef: {} },
      [
        "spec.scaleTargetRef.kind: Required value",
        "spec.scaleTargetRef.name: Required value",
        'spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group',
      ],
    ],
    [{ scaleTargetRef: { apiVersion: "v1", kind: "Pod", name: "p" } }, [noGroup]],
    [{ scaleTargetRef: { apiVersion: "v1", kind: "ReplicationController", name: "p" } }, []],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(errorsOf(spec), errors, JSON.stringify(spec));
  const { object: old } = tryCreate(kind, sent({ scaleTargetRef: { apiVersion: "v1", kind: "Pod", name: "p" } }));
  const rename = (name: string) =>
    tryUpdate(kind, old, { change: ({ spec }) => void Object.assign(spec.scaleTargetRef, { name }) }).errors;
  assert.deepEqual(rename("q"), []);
});

test("autoscaler: metrics", () => {
  const at = "spec.metrics[0]";
  const metric = { name: "m" };
  const cases: [object, string[]][] = [
    [{ type: "Resource" }, [`${at}.resource: Required value: must populate information for the given metric source`]],
    [{ ...cpu(0) }, [`${at}.resource.target.averageUtilization: Invalid value: 0: must be greater than 0`]],
    [
      { type: "Pods", pods: { metric: { name: "a/b" }, target: { type: "AverageValue" } } },
      [
        `${at}.pods.metric.name: Invalid value: "a/b": may not contain '/'`,
        `${at}.pods.target.averageValue: Required value: must specify a positive target averageValue`,
      ],
    ],
    [
      { type: "External", external: { metric, target: { type: "Value", value: "1", averageValue: "-1" } } },
      [
        `${at}.external.target.averageValue: Invalid value: "-1": must be positive`,
        `${at}.external.target.value: Forbidden: may not set both a target value for metric and a per-pod target`,
      ],
    ],
    [
      { ...cpu(5), pods: { metric, target: { type: "AverageValue", averageValue: "1" } } },
      [`${at}.pods: Forbidden: must populate the given metric source only`],
    ],
    [
      {
        type: "Object",
        object: { describedObject: { apiVersion: "v1", kind: "Service", name: "s" }, metric, target: {} },
      },
      [
        `${at}.object.target.type: Required value: must specify a metric target type`,
        `${at}.object.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue`,
        `${at}.object.target.averageValue: Required value: must set either a target value or averageValue`,
      ],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(errorsOf({ metrics: [spec] }), errors, JSON.stringify(spec));
  const odd = `${at}.type: Unsupported value: "Odd": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"`;
  assert.deepEqual(errorsOf({ metrics: [{ type: "Odd" }] }), [odd, odd]);
});

test("autoscaler: behaviour", () => {
  const policies = [{ type: "Odd", value: 0, periodSeconds: 9999 }];
  const scaleUp = { stabilizationWindowSeconds: 9999, selectPolicy: "Odd", policies, tolerance: "-1" };
  const at = "spec.behavior.scaleUp";
  assert.deepEqual(errorsOf({ behavior: { scaleUp } }), [
    `${at}.stabilizationWindowSeconds: Invalid value: 9999: must be less than or equal to 3600`,
    `${at}.selectPolicy: Unsupported value: "Odd": supported values: "Disabled", "Max", "Min"`,
    `${at}.policies[0].type: Unsupported value: "Odd": supported values: "Percent", "Pods"`,
    `${at}.policies[0].value: Invalid value: 0: must be greater than zero`,
    `${at}.policies[0].periodSeconds: Invalid value: 9999: must be less than or equal to 1800`,
    `${at}.tolerance: Invalid value: "-1": must be greater than or equal to 0`,
  ]);
});

test("autoscaler: cells", () => {
  const memory = {
    type: "Resource",
    resource: { name: "memory", target: { type: "AverageValue", averageValue: "100Mi" } },
  };
  const external = {
    type: "External",
    external: { metric: { name: "e" }, target: { type: "AverageValue", averageValue: "3" } },
  };
  const { object } = tryCreate(kind, sent({ metrics: [cpu(80), memory] }));
  const current = { averageUtilization: 40, averageValue: "400m" };
  object.status = { desiredReplicas: 1, currentMetrics: [{ type: "Resource", resource: { name: "cpu", current } }] };
  const targets = () => tryColumns(kind, object).Targets;
  assert.equal(targets(), "cpu: 40%/80%, memory: <unknown>/100Mi");
  object.spec.metrics = [external, memory, external];
  assert.equal(targets(), "<unknown>/3 (avg), memory: <unknown>/100Mi + 1 more...");
  assert.equal(tryColumns(kind, object).Reference, "Deployment/web");
});

test("autoscaler: none at least where the feature gate lets it, with a metric that doesn't come from pods", () => {
  const [open] = withScaleToZero([kind as never]); // kinds of all types are in one list
  assert.ok(open);
  const external = { type: "External", external: { metric: { name: "e" }, target: { type: "Value", value: "3" } } };
  const errorsIn = (of: typeof kind, metrics: object[]) => tryCreate(of, sent({ minReplicas: 0, metrics })).errors;
  const toZero = open as unknown as typeof kind; // of the same type
  assert.deepEqual(errorsIn(toZero, [external]), []);
  assert.deepEqual(errorsIn(toZero, [cpu(80)]), [
    "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
  ]);
  assert.deepEqual(errorsIn(kind, [external]), [
    "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
  ]);
});
