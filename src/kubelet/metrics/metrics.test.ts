/** What is counted while the node works, and how it is shown. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#api";
import { FakeClock, printMetrics } from "#base";
import { type CriClient, CriError } from "../cri/client.ts";
import { createFakeInformers } from "#testing";
import { createKubeletMetrics, imageSizeText, type KubeletMetrics } from "./kubelet-metrics.ts";
import { meterRuntime } from "./meter-runtime.ts";
import { followPodStarts } from "./pod-starts.ts";

const lines = async (registry: KubeletMetrics["registry"], pattern: RegExp) =>
  [...printMetrics(await registry.collect(), "text")]
    .join("")
    .split("\n")
    .filter((line) => pattern.test(line) && !line.startsWith("#"));

const pod: Pod = {
  metadata: { name: "p", namespace: "ns", uid: "u", creationTimestamp: new Date(0).toISOString() },
  spec: { containers: [{ name: "c", image: "i" }], initContainers: [{ name: "init", image: "i" }] },
};

test("calls of the runtime are counted under upstream's names, and what came of them", async () => {
  const metrics = createKubeletMetrics();
  const pulls: [string, boolean][] = [];
  const answers: Record<string, () => unknown> = {
    runPodSandbox: () => ({ podSandboxId: "s" }),
    createContainer: () => ({ containerId: "id" }),
    startContainer: () => ({}),
    updateContainerResources: () => ({}),
    podSandboxStatus: () => {
      throw new CriError("PodSandboxStatus", "NOT_FOUND", "gone");
    },
  };
  const service = (methods: typeof answers) =>
    Object.fromEntries(Object.entries(methods).map(([name, answer]) => [name, async () => answer()]));
  const plain = {
    runtime: service(answers),
    image: service({ pullImage: () => ({}), imageStatus: () => ({ image: { size: 20 * 2 ** 20 } }) }),
  } as unknown as CriClient; // what is called of it
  const { runtime, image } = meterRuntime(plain, {
    metrics,
    podOf: () => pod,
    onPull: (uid, seconds) => pulls.push([uid, seconds >= 0]),
  });
  await runtime.runPodSandbox({ runtimeHandler: "" });
  for (const name of ["init", "c"]) {
    const sandboxConfig = { metadata: { uid: "u" } };
    await runtime.createContainer({ podSandboxId: "s", config: { metadata: { name } }, sandboxConfig });
    await runtime.startContainer({ containerId: "id" });
  }
  await runtime.updateContainerResources({ containerId: "id" });
  await assert.rejects(runtime.podSandboxStatus({ podSandboxId: "s" }), { code: "NOT_FOUND" });
  await image.pullImage({ image: { image: "i" }, sandboxConfig: { metadata: { uid: "u" } } });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(pulls, [["u", true]]);
  assert.deepEqual(await lines(metrics.registry, /_total/), [
    'kubelet_runtime_operations_errors_total{operation_type="podsandbox_status"} 1',
    'kubelet_runtime_operations_total{operation_type="run_podsandbox"} 1',
    'kubelet_runtime_operations_total{operation_type="create_container"} 2',
    'kubelet_runtime_operations_total{operation_type="start_container"} 2',
    'kubelet_runtime_operations_total{operation_type="update_container"} 1',
    'kubelet_runtime_operations_total{operation_type="podsandbox_status"} 1',
    'kubelet_runtime_operations_total{operation_type="pull_image"} 1',
    'kubelet_started_containers_total{container_type="init_container"} 1',
    'kubelet_started_containers_total{container_type="container"} 1',
    "kubelet_started_pods_errors_total 0",
    "kubelet_started_pods_total 1",
  ]);
  assert.deepEqual(await lines(metrics.registry, /image_pull_duration_seconds_count/), [
    'kubelet_image_pull_duration_seconds_count{image_size_in_bytes="10MB-100MB"} 1',
  ]);
  assert.deepEqual([0, 1, 10 * 2 ** 20, 2 ** 31, 2 ** 40].map(imageSizeText), [
    "N/A",
    "0-10MB",
    "0-10MB",
    "1GB-5GB",
    "GT100GB",
  ]);
});

test("probes: a line for each result, none when the container's probes have ended", async () => {
  const { probes, prober } = createKubeletMetrics();
  const probe = { type: "readiness", container: "c", pod } as const;
  prober.probed(probe, true, 0.02);
  prober.probed(probe, false, 0.2);
  prober.probed(probe, undefined, 20);
  const labels = 'container="c",namespace="ns",pod="p"';
  const results = await lines(probes, /probe_total/);
  assert.deepEqual(
    results,
    ["successful", "failed", "unknown"].map(
      (result) => `prober_probe_total{${labels},pod_uid="u",probe_type="Readiness",result="${result}"} 1`,
    ),
  );
  const [count] = await lines(probes, /probe_duration_seconds_count/);
  assert.equal(count, `prober_probe_duration_seconds_count{${labels},probe_type="Readiness"} 3`);
  prober.ended(probe);
  assert.deepEqual(await lines(probes, /^prober/), []);
});

test("pod starts: from creation until all containers are seen running, without pulls and init containers", async () => {
  const informers = createFakeInformers();
  const pods = informers.of("v1/pods");
  const put = (one: Pod) => informers.set("v1/pods", one);
  const clock = new FakeClock(9000);
  const metrics = createKubeletMetrics();
  const starts = followPodStarts(pods, { metrics, clock });
  const at = (seconds: number) => new Date(seconds * 1000).toISOString();
  put(pod);
  put({
    ...pod,
    metadata: { ...pod.metadata, name: "old", uid: "old" },
    status: { startTime: at(1) },
  });
  starts.pulled("u", 3);
  const running = {
    startTime: at(1),
    initContainerStatuses: [{ name: "init", state: { terminated: { startedAt: at(4), finishedAt: at(5) } } }],
    containerStatuses: [{ name: "c", state: { running: { startedAt: at(8) } } }],
  } as Pod["status"] & object; // what is read of them
  put({ ...pod, status: running });
  put({ ...pod, status: { ...running, phase: "Running" } });
  assert.deepEqual(
    await lines(metrics.registry, /start_(sli|total)_duration_seconds_(sum|count)/),
    [
      "kubelet_first_network_pod_start_sli_duration_seconds 5",
      "kubelet_pod_start_sli_duration_seconds_sum 5",
      "kubelet_pod_start_sli_duration_seconds_count 1",
      "kubelet_pod_start_total_duration_seconds_sum 9",
      "kubelet_pod_start_total_duration_seconds_count 1",
    ].filter((line) => !line.startsWith("kubelet_first")),
  );
  starts.close();
});
