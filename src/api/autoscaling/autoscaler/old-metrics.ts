/**
 * Metrics as autoscaling/v1 has them, as JSON in annotations: other names for the same, and the type of a target follows
 * from what is set. Amounts that are no pointers in Go are there even when nobody set them, as "0".
 */
import type { MetricSpec, MetricStatus } from "../../types.d.ts";

type Json = Record<string, unknown>;

/** Where the value is in v2, its name in v1, and what v1 has when there is none. */
type Rename = readonly [path: string, oldName: string, zero?: unknown];

const sources = ["object", "pods", "resource", "containerResource", "external"] as const;
type Source = (typeof sources)[number];

const name: Rename = ["name", "name", ""];
const container: Rename = ["container", "container", ""];
const metric: Rename = ["metric.name", "metricName", ""];
const selector: Rename = ["metric.selector", "selector"];
const described: Rename = ["describedObject", "target", { kind: "", name: "" }];

/** In the order in which Go prints the v1 struct. */
const specRenames: Readonly<Record<Source, readonly Rename[]>> = {
  object: [described, metric, ["target.value", "targetValue", "0"], selector, ["target.averageValue", "averageValue"]],
  pods: [metric, ["target.averageValue", "targetAverageValue", "0"], selector],
  resource: [
    name,
    ["target.averageUtilization", "targetAverageUtilization"],
    ["target.averageValue", "targetAverageValue"],
  ],
  containerResource: [
    name,
    ["target.averageUtilization", "targetAverageUtilization"],
    ["target.averageValue", "targetAverageValue"],
    container,
  ],
  external: [
    metric,
    ["metric.selector", "metricSelector"],
    ["target.value", "targetValue"],
    ["target.averageValue", "targetAverageValue"],
  ],
};

const resourceStatus: readonly Rename[] = [
  name,
  ["current.averageUtilization", "currentAverageUtilization"],
  ["current.averageValue", "currentAverageValue", "0"],
];

const statusRenames: Readonly<Record<Source, readonly Rename[]>> = {
  object: [
    described,
    metric,
    ["current.value", "currentValue", "0"],
    selector,
    ["current.averageValue", "averageValue"],
  ],
  pods: [metric, ["current.averageValue", "currentAverageValue", "0"], selector],
  resource: resourceStatus,
  containerResource: [...resourceStatus, container],
  external: [
    metric,
    ["metric.selector", "metricSelector"],
    ["current.value", "currentValue", "0"],
    ["current.averageValue", "currentAverageValue"],
  ],
};

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const childOf = (value: Json, key: string): Json => {
  const child = value[key];
  return isObject(child) ? child : {};
};

function valueAt(source: Json, path: string): unknown {
  const [first = "", second] = path.split(".");
  return second === undefined ? source[first] : childOf(source, first)[second];
}

function setAt(target: Json, path: string, value: unknown): void {
  const [first = "", second] = path.split(".");
  target[first] = second === undefined ? value : { ...childOf(target, first), [second]: value };
}

function rename(from: object, renames: Readonly<Record<Source, readonly Rename[]>>, toOld: boolean): Json {
  const metrics = from as Json; // looked at by name only
  const result: Json = { type: metrics.type ?? "" };
  for (const source of sources) {
    const before = metrics[source];
    if (!isObject(before)) continue;
    const after: Json = {};
    for (const [path, oldName, zero] of renames[source]) {
      const value = valueAt(before, toOld ? path : oldName) ?? zero;
      if (value !== undefined) setAt(after, toOld ? oldName : path, value);
    }
    result[source] = after;
  }
  return result;
}

/** Of a target that a v1 metric has. */
function targetType(source: Source, target: Json): string {
  if (source === "external") return target.value === undefined ? "AverageValue" : "Value";
  if (source === "object") return target.averageValue === undefined ? "Value" : "AverageValue";
  return target.averageUtilization === undefined ? "AverageValue" : "Utilization";
}

export const specToOld = (spec: MetricSpec): object => rename(spec, specRenames, true);

export function specFromOld(old: object): MetricSpec {
  const spec = rename(old, specRenames, false);
  for (const source of sources) {
    const after = spec[source];
    if (!isObject(after)) continue;
    const target = childOf(after, "target");
    after.target = { type: targetType(source, target), ...target };
  }
  return spec as unknown as MetricSpec; // every field it needs is in the table
}

export const statusToOld = (status: MetricStatus): object => rename(status, statusRenames, true);

export function statusFromOld(old: object): MetricStatus {
  const status = rename(old, statusRenames, false);
  for (const source of sources) {
    const after = status[source];
    if (isObject(after)) after.current ??= {};
  }
  return status as unknown as MetricStatus; // every field it needs is in the table
}
