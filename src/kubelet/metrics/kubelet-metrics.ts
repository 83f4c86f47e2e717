/**
 * What the node counts about itself, under upstream's names (pkg/kubelet/metrics). Counted while it happens: calls of the runtime, evictions,
 * probes, starts. What is known anyway is read when somebody asks (own-metrics.ts).
 */
import { exponentialBounds, type Family, type Gauge, type Histogram, MetricRegistry } from "#base";
import type { ProbeType } from "../core/types.ts";
import type { Probed, ProberOptions } from "../probes/prober.ts";

export type KubeletMetrics = ReturnType<typeof createKubeletMetrics>;

/** Prometheus' own. */
const usualBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const startBounds = [
  0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
];
const pullBounds = [1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];

export function createKubeletMetrics() {
  const registry = new MetricRegistry();
  const counter = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
    registry.counter(`kubelet_${name}`, `[ALPHA] ${help}`, labels);
  const seconds = <const L extends readonly string[]>(
    name: string,
    help: string,
    { bounds = usualBounds, labels }: { bounds?: readonly number[]; labels: L },
  ): Family<Histogram, L> => registry.histogram(`kubelet_${name}`, `[ALPHA] ${help}`, { bounds, labels });
  const gauge = (name: string, help: string): Gauge => registry.gauge(`kubelet_${name}`, `[ALPHA] ${help}`, []).with();
  const probes = new MetricRegistry();
  const probeResults = probes.counter(
    "prober_probe_total",
    "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
    ["container", "namespace", "pod", "pod_uid", "probe_type", "result"],
  );
  const workerSeconds = seconds(
    "pod_worker_duration_seconds",
    "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync",
    { labels: ["operation_type"] },
  );
  const probeSeconds = probes.histogram(
    "prober_probe_duration_seconds",
    "[ALPHA] Duration in seconds for a probe response.",
    { bounds: usualBounds, labels: ["container", "namespace", "pod", "probe_type"] },
  );
  probes
    .gauge("process_start_time_seconds", "[ALPHA] Start time of the process since unix epoch in seconds.", [])
    .with()
    .set(Math.round(performance.timeOrigin) / 1000);

  return {
    /** `/metrics`. */
    registry,
    /** `/metrics/probes`. */
    probes,
    evictions: counter("evictions", "Cumulative number of pod evictions by eviction signal", ["eviction_signal"]),
    evictionAge: seconds(
      "eviction_stats_age_seconds",
      "Time between when stats are collected, and when pod is evicted based on those stats by eviction signal",
      { labels: ["eviction_signal"] },
    ),
    calls: counter("runtime_operations_total", "Cumulative number of runtime operations by operation type.", [
      "operation_type",
    ]),
    callErrors: counter(
      "runtime_operations_errors_total",
      "Cumulative number of runtime operation errors by operation type.",
      ["operation_type"],
    ),
    callSeconds: seconds(
      "runtime_operations_duration_seconds",
      "Duration in seconds of runtime operations. Broken down by operation type.",
      { bounds: exponentialBounds(0.005, 2.5, 14), labels: ["operation_type"] },
    ),
    sandboxSeconds: seconds(
      "run_podsandbox_duration_seconds",
      "Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler.",
      { labels: ["runtime_handler"] },
    ),
    sandboxErrors: counter(
      "run_podsandbox_errors_total",
      "Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler.",
      ["runtime_handler"],
    ),
    pullSeconds: seconds("image_pull_duration_seconds", "Duration in seconds to pull an image.", {
      bounds: pullBounds,
      labels: ["image_size_in_bytes"],
    }),
    startedPods: counter("started_pods_total", "Cumulative number of pods started", []).with(),
    startedPodErrors: counter("started_pods_errors_total", "Cumulative number of errors when starting pods", []).with(),
    startedContainers: counter("started_containers_total", "Cumulative number of containers started", [
      "container_type",
    ]),
    startedContainerErrors: counter(
      "started_containers_errors_total",
      "Cumulative number of errors when starting containers",
      ["container_type", "code"],
    ),
    startSeconds: seconds(
      "pod_start_duration_seconds",
      "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
      { bounds: startBounds, labels: [] },
    ).with(),
    startSliSeconds: seconds(
      "pod_start_sli_duration_seconds",
      "Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
      { bounds: startBounds, labels: [] },
    ),
    startTotalSeconds: seconds(
      "pod_start_total_duration_seconds",
      "Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
      { bounds: startBounds, labels: [] },
    ),
    firstStartSliSeconds: registry
      .gauge(
        "kubelet_first_network_pod_start_sli_duration_seconds",
        "[INTERNAL] Duration in seconds to start the first network pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
        [],
      )
      .with(),
    containersPerPod: seconds("containers_per_pod_count", "The number of containers per pod.", {
      bounds: exponentialBounds(1, 2, 5),
      labels: [],
    }).with(),
    /** A worker's step, in the words of upstream's. */
    worked(stage: "new" | "running" | "stopping" | "ended", took: number): void {
      const operations = { new: "create", running: "sync", stopping: "kill", ended: "terminated" } as const;
      workerSeconds.with(operations[stage]).observe(took);
    },
    listSeconds: seconds("pleg_relist_duration_seconds", "Duration in seconds for relisting pods in PLEG.", {
      labels: [],
    }).with(),
    listedPodSeconds: seconds(
      "pleg_pod_relist_duration_seconds",
      "Duration in seconds for relisting a single pod in PLEG.",
      { labels: [] },
    ).with(),
    listSeen: gauge("pleg_last_seen_seconds", "Timestamp in seconds when PLEG was last seen active."),
    refusals: counter("admission_rejections_total", "Cumulative number pod admission rejections by the Kubelet.", [
      "reason",
    ]),

    prober: {
      probed(probe, ok, took) {
        const { container, namespace, pod, uid, type } = labelsOf(probe);
        const result = ok === undefined ? "unknown" : ok ? "successful" : "failed";
        probeResults.with(container, namespace, pod, uid, type, result).inc();
        probeSeconds.with(container, namespace, pod, type).observe(took);
      },
      ended(probe) {
        const { container, namespace, pod, uid, type } = labelsOf(probe);
        for (const result of ["successful", "failed", "unknown"])
          probeResults.remove(container, namespace, pod, uid, type, result);
        probeSeconds.remove(container, namespace, pod, type);
      },
    } satisfies ProberOptions["meter"],
  };
}

function labelsOf({ type, pod, container }: Probed) {
  const { namespace = "", name = "", uid = "" } = pod.metadata;
  return { container, namespace, pod: name, uid, type: typeName(type) };
}

const typeName = (type: ProbeType): string => type.charAt(0).toUpperCase() + type.slice(1);

const mebi = 2 ** 20;
const sizes: readonly (readonly [above: number, text: string])[] = [
  [100 * 1024 * mebi, "GT100GB"],
  [60 * 1024 * mebi, "60GB-100GB"],
  [40 * 1024 * mebi, "40GB-60GB"],
  [30 * 1024 * mebi, "30GB-40GB"],
  [20 * 1024 * mebi, "20GB-30GB"],
  [10 * 1024 * mebi, "10GB-20GB"],
  [5 * 1024 * mebi, "5GB-10GB"],
  [1024 * mebi, "1GB-5GB"],
  [500 * mebi, "500MB-1GB"],
  [100 * mebi, "100MB-500MB"],
  [10 * mebi, "10MB-100MB"],
  [0, "0-10MB"],
];

/** How metrics name the size of an image. */
export const imageSizeText = (bytes: number): string => sizes.find(([above]) => bytes > above)?.[1] ?? "N/A";
