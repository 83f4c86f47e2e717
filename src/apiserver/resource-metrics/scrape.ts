/** What a kubelet says at `/metrics/resource`: ours and upstream's alike. */
import type { ContainerPoint, NodeUsage, UsagePoint } from "#api";

type Draft<T> = { -readonly [K in keyof T]?: T[K] };

const line = /^(\w+)(?:\{(.*)\})? (\S+)(?: (\d+))?$/;
const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** `now`: of lines without a time of their own. Containers that lack one of the numbers are left out. */
export function parseResourceMetrics(text: string, now: number): NodeUsage {
  const node: Draft<UsagePoint> = {};
  const containers = new Map<string, Draft<ContainerPoint>>();
  for (const each of text.split("\n")) {
    const [, name = "", labels = "", value = "", time] = line.exec(each) ?? [];
    const number = Number(value);
    const timeMs = time === undefined ? now : Number(time);
    if (name === "node_cpu_usage_seconds_total") Object.assign(node, { timeMs, cpuNanoSeconds: number * 1e9 });
    else if (name === "node_memory_working_set_bytes") node.memoryBytes = number;
    else if (name.startsWith("container_")) {
      const found = Object.fromEntries([...labels.matchAll(label)].map(([, key = "", said = ""]) => [key, said]));
      const { namespace = "", pod = "", container = "" } = found;
      const key = `${namespace}/${pod}/${container}`;
      const point = containers.get(key) ?? { namespace, pod, container };
      containers.set(key, point);
      if (name === "container_cpu_usage_seconds_total") Object.assign(point, { timeMs, cpuNanoSeconds: number * 1e9 });
      else if (name === "container_memory_working_set_bytes") point.memoryBytes = number;
      else if (name === "container_start_time_seconds") point.startedMs = number * 1000;
    }
  }
  return {
    node: isPoint(node) ? node : undefined,
    containers: [...containers.values()].filter(isContainerPoint),
  };
}

const isContainerPoint = (point: Draft<ContainerPoint>): point is ContainerPoint =>
  isPoint(point) && "startedMs" in point;

const isPoint = (point: Draft<UsagePoint>): point is UsagePoint =>
  point.timeMs !== undefined && point.cpuNanoSeconds !== undefined && point.memoryBytes !== undefined;
