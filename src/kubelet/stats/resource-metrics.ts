/** `/metrics/resource`: what metrics-server and collectors read of a node, in names and help of upstream. */
import { type MetricRow, printFamily } from "./print-family.ts";
import type { NodeLook } from "./sampler.ts";

const cpu = (of: string) => `[STABLE] Cumulative cpu time consumed by the ${of} in core-seconds`;
const memory = (of: string) => `[STABLE] Current working set of the ${of} in bytes`;
const swap = (of: string, rest = "") =>
  `[ALPHA] Current ${rest}swap usage of the ${of} in bytes. Reported only on non-windows systems`;

/** In the order of names, as Go's registry prints them. */
export function printResourceMetrics({ node, pods }: NodeLook): string {
  const ofContainers = pods.flatMap(({ pod, containers }) =>
    containers.flatMap(({ name, container, usage }) => {
      const { name: podName = "", namespace = "" } = pod.metadata;
      return usage ? [{ labels: { container: name, namespace, pod: podName }, usage, container }] : [];
    }),
  );
  const ofPods = pods.flatMap(({ pod, usage }) => {
    const { name = "", namespace = "" } = pod.metadata;
    return usage ? [{ labels: { namespace, pod: name }, usage }] : [];
  });
  const ofNode = node ? [{ labels: {}, usage: node }] : [];
  const rows = <T extends { labels: MetricRow["labels"]; usage: NonNullable<NodeLook["node"]> }>(
    of: readonly T[],
    value: (usage: T["usage"]) => number,
  ): MetricRow[] => of.map(({ labels, usage }) => ({ labels, value: value(usage), timeMs: usage.timeMs }));
  const seconds = ({ cpuNanoSeconds }: NonNullable<NodeLook["node"]>) => cpuNanoSeconds / 1e9;
  const bytes = ({ memory: { workingSetBytes } }: NonNullable<NodeLook["node"]>) => workingSetBytes;
  const swapped = ({ memory: { swapBytes } }: NonNullable<NodeLook["node"]>) => swapBytes;
  const started = ofContainers.map(({ labels, container }) => ({ labels, value: container.createdAt / 1000 }));
  const scrape = "1 if there was an error while getting container metrics, 0 otherwise";
  const families: readonly [name: string, type: "counter" | "gauge", help: string, rows: readonly MetricRow[]][] = [
    ["container_cpu_usage_seconds_total", "counter", cpu("container"), rows(ofContainers, seconds)],
    ["container_memory_working_set_bytes", "gauge", memory("container"), rows(ofContainers, bytes)],
    [
      "container_start_time_seconds",
      "gauge",
      "[STABLE] Start time of the container since unix epoch in seconds",
      started,
    ],
    [
      "container_swap_limit_bytes",
      "gauge",
      "[ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems",
      rows(
        ofContainers.filter(({ usage }) => usage.memory.swapLimitBytes !== undefined),
        ({ memory: { swapLimitBytes = 0, swapBytes } }) => Math.max(swapLimitBytes, swapBytes),
      ),
    ],
    [
      "container_swap_usage_bytes",
      "gauge",
      "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
      rows(ofContainers, swapped),
    ],
    ["node_cpu_usage_seconds_total", "counter", cpu("node"), rows(ofNode, seconds)],
    ["node_memory_working_set_bytes", "gauge", memory("node"), rows(ofNode, bytes)],
    ["node_swap_usage_bytes", "gauge", swap("node"), rows(ofNode, swapped)],
    ["pod_cpu_usage_seconds_total", "counter", cpu("pod"), rows(ofPods, seconds)],
    ["pod_memory_working_set_bytes", "gauge", memory("pod"), rows(ofPods, bytes)],
    [
      "pod_swap_usage_bytes",
      "gauge",
      "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
      rows(ofPods, swapped),
    ],
    ["resource_scrape_error", "gauge", `[STABLE] ${scrape}`, [{ labels: {}, value: 0 }]],
  ];
  return families.map(([name, type, help, all]) => printFamily({ name, type, help, rows: all })).join("");
}
