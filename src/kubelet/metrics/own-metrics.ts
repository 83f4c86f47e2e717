/** Of `/metrics`, what need not be counted: read when somebody asks. Made with the first scrape, since watching collections isn't free. */
import { collectProcess } from "#base";
import { isStatic } from "../core/phase.ts";
import type { KubeletHost } from "../host.ts";
import type { PodDisk } from "../stats/pod-disk.ts";
import type { KubeletMetrics } from "./kubelet-metrics.ts";

export interface OwnMetricsOptions {
  readonly host: KubeletHost;
  readonly nodeName: string;
  readonly cgroupVersion: number;
  /** Volumes of all pods that somebody claims, and where logs are. */
  disks(): Promise<readonly PodFigures[]>;
}

export interface PodFigures {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly logs: readonly { readonly container: string; readonly bytes: number }[];
  readonly claims: readonly (PodDisk["volumes"][number] & {
    readonly capacityBytes: number;
    readonly availableBytes: number;
    readonly inodes: number;
    readonly inodesFree: number;
  })[];
}

export function collectOwn({ registry }: KubeletMetrics, options: OwnMetricsOptions): void {
  const { host, nodeName, cgroupVersion } = options;
  collectProcess(registry);
  const gauge = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
    registry.gauge(`kubelet_${name}`, `[ALPHA] ${help}`, labels);
  gauge("node_name", "The node's name. The count is always 1.", ["node"]).with(nodeName).set(1);
  gauge("cgroup_version", "cgroup version on the hosts.", []).with().set(cgroupVersion);
  gauge(
    "metrics_provider",
    "Metrics provider used by kubelet to collect container stats. Values can be 'cadvisor' and 'cri'",
    ["provider"],
  )
    .with("cadvisor")
    .set(1);
  const pods = gauge("running_pods", "Number of pods that have a running pod sandbox", []).with();
  const containers = gauge("running_containers", "Number of containers currently running", ["container_state"]);
  const desired = gauge(
    "desired_pods",
    "The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.",
    ["static"],
  );
  const active = gauge(
    "active_pods",
    "The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver.",
    ["static"],
  );
  const mirrors = gauge(
    "mirror_pods",
    "The number of mirror pods the kubelet will try to create (one per admitted static pod)",
    [],
  ).with();
  const debug = gauge(
    "managed_ephemeral_containers",
    "Current number of ephemeral containers in pods managed by this kubelet.",
    [],
  ).with();
  const logBytes = gauge(
    "container_log_filesystem_used_bytes",
    "Bytes used by the container's logs on the filesystem.",
    ["uid", "namespace", "pod", "container"],
  );
  const ofClaims = ["namespace", "persistentvolumeclaim"] as const;
  const volumes = [
    ["available_bytes", "Number of available bytes in the volume", ({ availableBytes }) => availableBytes],
    ["capacity_bytes", "Capacity in bytes of the volume", ({ capacityBytes }) => capacityBytes],
    ["inodes", "Maximum number of inodes in the volume", ({ inodes }) => inodes],
    ["inodes_free", "Number of free inodes in the volume", ({ inodesFree }) => inodesFree],
    ["inodes_used", "Number of used inodes in the volume", ({ used }) => used.inodes],
    ["used_bytes", "Number of used bytes in the volume", ({ used }) => used.bytes],
  ] satisfies readonly (readonly [string, string, (claim: PodFigures["claims"][number]) => number])[];
  const volumeGauges = volumes.map(
    ([name, help, value]) => [gauge(`volume_stats_${name}`, help, ofClaims), value] as const,
  );

  registry.onCollect(async () => {
    const all = [...host.runtimes().values()];
    pods.set(all.filter(({ sandboxes }) => sandboxes[0]?.ready).length);
    containers.clear();
    for (const { state } of all.flatMap((each) => each.containers)) containers.with(state).add(1);
    const shown = host.pods();
    const isOver = (phase: string | undefined) => phase === "Failed" || phase === "Succeeded";
    for (const own of [true, false]) {
      const some = shown.filter((pod) => isStatic(pod) === own);
      const label = own ? "true" : "";
      desired.with(label).set(some.length);
      active.with(label).set(some.filter(({ status }) => !isOver(status?.phase)).length);
      if (own) mirrors.set(some.length);
    }
    debug.set(shown.reduce((sum, { spec }) => sum + (spec?.ephemeralContainers?.length ?? 0), 0));
    logBytes.clear();
    for (const [family] of volumeGauges) family.clear();
    for (const { namespace, pod, uid, logs, claims } of await options.disks()) {
      for (const { container, bytes } of logs) logBytes.with(uid, namespace, pod, container).set(bytes);
      for (const claim of claims)
        for (const [family, value] of volumeGauges) family.with(namespace, claim.claim ?? "").set(value(claim));
    }
  });
}
