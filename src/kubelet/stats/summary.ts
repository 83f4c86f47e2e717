/** `/stats/summary`, in the shape of upstream's stats v1alpha1. What isn't known is left out. */
import { uptime } from "node:os";
import { formatTime } from "#machinery";
import type { CriClient } from "../cri/client.ts";
import { type DiskSpace, readDisk, readProcesses } from "../node/machine.ts";
import type { FolderSize } from "./folder-size.ts";
import type { GroupUsage } from "./group-usage.ts";
import { type InterfacePackets, readInterfaces } from "./network.ts";
import { type PodDisk, type PodDiskOptions, readLayers, readPodDisk } from "./pod-disk.ts";
import { readProcessUsage } from "./process-usage.ts";
import { type ContainerLook, containerKey, type NodeLook, type PodLook, podKey, type Sampler } from "./sampler.ts";

export interface SummaryOptions extends PodDiskOptions {
  readonly nodeName: string;
  readonly cri: CriClient;
  readonly sampler: Sampler;
  /** On the disk that counts as the node's. */
  readonly rootDir: string;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly startedMs: number;
  /** Of the runtime, if it is the node's own. */
  runtimePid(): Promise<number | undefined>;
  readonly now: () => number;
}

export async function makeSummary(options: SummaryOptions, { cpuAndMemoryOnly }: { cpuAndMemoryOnly: boolean }) {
  const { nodeName, sampler, now, memoryBytes, swapBytes } = options;
  const look = await sampler.lookWithRates();
  const files = cpuAndMemoryOnly ? undefined : await lookAtFiles(options, look);
  const ofGroup = (usage: GroupUsage | undefined, key: string) =>
    usage && groupStats(usage, { rate: sampler.rate(key), brief: cpuAndMemoryOnly });
  // The whole machine's limits are what it has.
  const whole = look.node && {
    ...look.node,
    memory: { ...look.node.memory, limitBytes: memoryBytes, swapLimitBytes: swapBytes },
  };
  return {
    node: {
      nodeName,
      systemContainers: await systemContainers(options, look, ofGroup(look.podsGroup, "pods")),
      startTime: formatTime(now() - uptime() * 1000),
      ...ofGroup(whole, "node"),
      ...files?.node,
    },
    pods: look.pods.map((pod) => podStats(pod, { ofGroup, files: files?.pods.get(pod) })),
  };
}

type OfGroup = (usage: GroupUsage | undefined, key: string) => ReturnType<typeof groupStats> | undefined;

function podStats(look: PodLook, { ofGroup, files }: { ofGroup: OfGroup; files: PodFiles | undefined }) {
  const { pod, usage, containers, sandbox } = look;
  const { name, namespace, uid } = pod.metadata;
  return {
    podRef: { name, namespace, uid },
    startTime: sandbox ? formatTime(sandbox.createdAt) : null,
    containers: containers.map((each) => ({
      name: each.name,
      startTime: formatTime(each.container.createdAt),
      ...ofGroup(each.usage, containerKey(each.container)),
      ...files?.containers.get(each),
    })),
    ...ofGroup(usage, podKey(pod)),
    ...files?.pod,
    ...(files && { process_stats: { process_count: processesOf(look) } }),
  };
}

export const processesOf = ({ containers }: PodLook): number =>
  containers.reduce((sum, each) => sum + (each.usage?.pids.length ?? 0), 0);

function groupStats(usage: GroupUsage, { rate, brief }: { rate: number | undefined; brief: boolean }) {
  const { timeMs, cpuNanoSeconds, memory, pressure } = usage;
  const { usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, limitBytes, swapBytes } = memory;
  const time = formatTime(timeMs);
  const left = (limit: number | undefined, used: number) =>
    limit === undefined ? undefined : Math.max(0, limit - used);
  const available = left(limitBytes, workingSetBytes);
  const swap = left(memory.swapLimitBytes, swapBytes);
  return {
    cpu: {
      time,
      ...(rate !== undefined && { usageNanoCores: rate }),
      usageCoreNanoSeconds: cpuNanoSeconds,
      ...(pressure && { psi: pressure.cpu }),
    },
    memory: {
      time,
      ...(available !== undefined && { availableBytes: available }),
      usageBytes,
      workingSetBytes,
      rssBytes,
      pageFaults,
      majorPageFaults,
      ...(pressure && { psi: pressure.memory }),
    },
    ...(!brief && { io: { time, ...(pressure && { psi: pressure.io }) } }),
    swap: { time, ...(swap !== undefined && { swapAvailableBytes: swap }), swapUsageBytes: swapBytes },
  };
}

/** The kubelet is this process, whatever else it does. */
async function systemContainers(
  { startedMs, now, runtimePid }: SummaryOptions,
  { podsGroup }: NodeLook,
  pods: ReturnType<typeof groupStats> | undefined,
) {
  const time = formatTime(now());
  const runtime = await runtimePid();
  const processes = [
    ["kubelet", process.pid, startedMs] as const,
    ...(runtime === undefined ? [] : [["runtime", runtime, undefined] as const]),
  ];
  const found = processes.flatMap(([name, pid, since]) => {
    const usage = readProcessUsage(pid);
    if (!usage) return [];
    const { cpuNanoSeconds, rssBytes, pageFaults, majorPageFaults, startedAgoMs } = usage;
    // Since it started: nobody looked before.
    const usageNanoCores = Math.round((cpuNanoSeconds / Math.max(1, startedAgoMs)) * 1000);
    const bytes = { usageBytes: rssBytes, workingSetBytes: rssBytes, rssBytes };
    return [
      {
        name,
        startTime: formatTime(since ?? now() - startedAgoMs),
        cpu: { time, usageNanoCores, usageCoreNanoSeconds: cpuNanoSeconds },
        memory: { time, ...bytes, pageFaults, majorPageFaults },
      },
    ];
  });
  return [...found, ...(podsGroup ? [{ name: "pods", startTime: formatTime(startedMs), ...pods }] : [])];
}

interface PodFiles {
  readonly pod: object;
  readonly containers: ReadonlyMap<ContainerLook, object>;
}

async function lookAtFiles(options: SummaryOptions, { pods }: NodeLook) {
  const { cri, rootDir, now } = options;
  const [disk, { imageFilesystems = [] }, layers, processes] = await Promise.all([
    readDisk(rootDir),
    cri.image.imageFsInfo({}),
    readLayers(cri),
    readProcesses(),
  ]);
  const time = formatTime(now());
  const disks = new Map<string, Promise<DiskSpace>>();
  const diskAt = (path: string) => {
    const known = disks.get(path) ?? readDisk(path).catch(() => disk);
    disks.set(path, known);
    return known;
  };
  const [imageFs] = imageFilesystems;
  const at = imageFs?.fsId?.mountpoint ?? "";
  const image = fsStats(imageFs ? formatTime(imageFs.timestamp / 1e6) : time, at ? await diskAt(at) : disk, {
    bytes: imageFs?.usedBytes?.value ?? 0,
    inodes: imageFs?.inodesUsed?.value ?? 0,
  });
  const found = new Map<PodLook, PodFiles>();
  for (const pod of pods) found.set(pod, await podFiles(pod));
  const interfaces = readInterfaces("self");
  return {
    node: {
      ...(interfaces && { network: networkStats(time, interfaces) }),
      fs: fsStats(time, disk, { bytes: disk.usedBytes, inodes: disk.inodes - disk.inodesFree }),
      runtime: { imageFs: image, containerFs: image },
      rlimit: { time, maxpid: processes.max, curproc: processes.running },
    },
    pods: found,
  };

  async function podFiles(look: PodLook): Promise<PodFiles> {
    const { pod, sandboxPid } = look;
    const request = { containers: look.containers.map(({ container }) => container), layers };
    const own = await readPodDisk(pod, request, options);
    const interfaces = sandboxPid === undefined ? undefined : readInterfaces(sandboxPid);
    const containers = new Map<ContainerLook, object>();
    for (const each of look.containers) {
      const { rootfs, logs } = own.containers.get(each.container.id) ?? {};
      containers.set(each, {
        ...(rootfs && {
          rootfs: fsStats(
            formatTime(rootfs.timeMs),
            rootfs.mountpoint ? await diskAt(rootfs.mountpoint) : disk,
            rootfs,
          ),
        }),
        ...(logs && { logs: fsStats(time, disk, logs) }),
      });
    }
    const volume = await Promise.all(own.volumes.map((each) => volumeStats(look, each)));
    return {
      containers,
      pod: {
        ...(interfaces && { network: networkStats(time, interfaces) }),
        ...(volume.length > 0 && { volume }),
        "ephemeral-storage": fsStats(time, disk, own.ephemeral),
      },
    };
  }

  async function volumeStats({ pod }: PodLook, { name, path, used, claim }: PodDisk["volumes"][number]) {
    const { namespace } = pod.metadata;
    const pvcRef = claim === undefined ? {} : { pvcRef: { name: claim, namespace } };
    return { ...fsStats(time, await diskAt(path), used), name, ...pvcRef };
  }
}

const fsStats = (time: string, disk: DiskSpace, used: FolderSize) => ({
  time,
  availableBytes: disk.availableBytes,
  capacityBytes: disk.capacityBytes,
  usedBytes: used.bytes,
  inodesFree: disk.inodesFree,
  inodes: disk.inodes,
  inodesUsed: used.inodes,
});

/** The default interface's counters stand for all, and beside all. */
function networkStats(time: string, all: readonly InterfacePackets[]) {
  const interfaces = all.map(({ name, rxBytes, rxErrors, txBytes, txErrors }) => {
    return { name, rxBytes, rxErrors, txBytes, txErrors };
  });
  return { time, name: "", ...interfaces.find(({ name }) => name === "eth0"), interfaces };
}
