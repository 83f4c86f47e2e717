/** Whom the node asks first to go: upstream's order. Pure. */
import { podTotal } from "../core/resources.ts";
import type { PodView } from "../core/types.ts";
import type { FileSystemLayout, Signal } from "./thresholds.ts";
import { signals } from "./thresholds.ts";

export interface FileUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** What one pod uses; what isn't known is missing. */
export interface PodUsage {
  /** Working set. */
  readonly memoryBytes?: number;
  readonly processes?: number;
  readonly containers: readonly ContainerUsage[];
  /** By name, also those that aren't on the node's disk. */
  readonly volumes: ReadonlyMap<string, FileUsage>;
  /** All that it has on the node's disks. */
  readonly ephemeral?: FileUsage;
}

export interface ContainerUsage {
  readonly name: string;
  readonly memoryBytes?: number;
  /** What it wrote beside its volumes. */
  readonly rootfs?: FileUsage;
  readonly logs?: FileUsage;
}

export type UsageOf = (pod: PodView) => PodUsage | undefined;
type Compare = (a: PodView, b: PodView) => number;
type Part = "rootfs" | "logs" | "volumes";

/** First: who should go first. */
export function rankPods(
  pods: readonly PodView[],
  signal: Signal,
  { usageOf, layout }: { usageOf: UsageOf; layout: FileSystemLayout },
): PodView[] {
  const { resource } = signals[signal];
  if (resource === "memory") {
    const over = (pod: PodView) => (usageOf(pod)?.memoryBytes ?? 0) - request(pod, "memory");
    return sorted(pods, [unknownFirst(usageOf), truthFirst((pod) => over(pod) > 0), byPriority, mostFirst(over)]);
  }
  if (resource === "pids") {
    const used = (pod: PodView) => usageOf(pod)?.processes ?? 0;
    return sorted(pods, [byPriority, unknownFirst(usageOf), mostFirst(used)]);
  }
  const parts = measuredParts(signal, layout);
  const kind = resource === "inodes" ? "inodes" : "bytes";
  const used = (pod: PodView) => diskUsage(pod, usageOf(pod), parts)[kind];
  const exceeds = (pod: PodView) => used(pod) > (kind === "bytes" ? request(pod, "ephemeral-storage") : 0);
  // Bytes that were asked for count against inodes too: so does upstream.
  const over = (pod: PodView) => used(pod) - request(pod, "ephemeral-storage");
  return sorted(pods, [unknownFirst(usageOf), truthFirst(exceeds), byPriority, mostFirst(over)]);
}

/** What of a pod is on the disk that is short. */
export function measuredParts(signal: Signal, { dedicated, split }: FileSystemLayout): readonly Part[] {
  const isImages = signal.startsWith("imagefs.");
  if (!dedicated) return ["rootfs", "logs", "volumes"];
  if (split) return isImages ? [] : ["logs", "volumes", "rootfs"];
  return signal.startsWith("nodefs.") ? ["logs", "volumes"] : ["rootfs"];
}

/** What can be freed before a pod has to go. */
export function reclaimable(
  signal: Signal,
  { dedicated, split }: FileSystemLayout,
): readonly ("containers" | "images")[] {
  if (signals[signal].condition !== "DiskPressure") return [];
  if (!dedicated) return ["containers", "images"];
  const isImages = signal.startsWith("imagefs.");
  if (split) return isImages ? ["images"] : ["containers"];
  return signal.startsWith("nodefs.") ? [] : ["containers", "images"];
}

function diskUsage(pod: PodView, usage: PodUsage | undefined, parts: readonly Part[]): FileUsage {
  const local = (pod.spec?.volumes ?? []).filter(
    ({ hostPath, emptyDir, configMap, gitRepo }) => hostPath || configMap || gitRepo || (emptyDir && !emptyDir.medium),
  );
  const found = [
    ...(usage?.containers ?? []).flatMap(({ rootfs, logs }) => [
      parts.includes("rootfs") ? rootfs : undefined,
      parts.includes("logs") ? logs : undefined,
    ]),
    ...(parts.includes("volumes") ? local.map(({ name }) => usage?.volumes.get(name)) : []),
  ];
  return found.reduce<FileUsage>(
    (sum, each) => ({ bytes: sum.bytes + (each?.bytes ?? 0), inodes: sum.inodes + (each?.inodes ?? 0) }),
    { bytes: 0, inodes: 0 },
  );
}

const request = (pod: PodView, name: string): number => podTotal(pod, { kind: "requests", name }).total;

const byPriority: Compare = (a, b) => (a.spec?.priority ?? 0) - (b.spec?.priority ?? 0);
const mostFirst =
  (of: (pod: PodView) => number): Compare =>
  (a, b) =>
    of(b) - of(a);
const truthFirst =
  (of: (pod: PodView) => boolean): Compare =>
  (a, b) =>
    Number(of(b)) - Number(of(a));
/** Who can't be measured could be anything. */
const unknownFirst = (usageOf: UsageOf): Compare => truthFirst((pod) => usageOf(pod) === undefined);

function sorted(pods: readonly PodView[], order: readonly Compare[]): PodView[] {
  return [...pods].sort((a, b) => {
    for (const compare of order) {
      const difference = compare(a, b);
      if (difference !== 0) return difference;
    }
    return 0;
  });
}
