/** `/stats/summary`, in the shape of upstream's stats v1alpha1. What isn't known is left out. */
import { stat } from "node:fs/promises";
import { uptime } from "node:os";
import { formatTime } from "#machinery";
import type { PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { type DiskSpace, readDisk, readProcesses } from "../node/machine.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import { type FolderSize, folderSize } from "./folder-size.ts";
import type { GroupUsage } from "./group-usage.ts";
import { type InterfaceCounters, readInterfaces } from "./network.ts";
import { type ContainerLook, containerKey, type NodeLook, type PodLook, podKey, type Sampler } from "./sampler.ts";

export interface SummaryOptions {
  readonly nodeName: string;
  readonly cri: CriClient;
  readonly sampler: Sampler;
  readonly layout: NodeLayout;
  /** On the disk that counts as the node's. */
  readonly rootDir: string;
  readonly memoryBytes: number;
  readonly startedMs: number;
  readonly now: () => number;
}

/** A rate of what has no group. */
const rateOfSelf = () => {
  const { user, system } = process.cpuUsage();
  return Math.round(((user + system) / process.uptime()) * 1000);
};

export async function makeSummary(options: SummaryOptions, { cpuAndMemoryOnly }: { cpuAndMemoryOnly: boolean }) {
  const { nodeName, sampler, now, memoryBytes } = options;
  const look = await sampler.lookWithRates();
  const boot = formatTime(now() - uptime() * 1000);
  const files = cpuAndMemoryOnly ? undefined : await lookAtFiles(options, look);
  return {
    node: {
      nodeName,
      systemContainers: systemContainers(options, look),
      startTime: boot,
      ...(look.node && cpuAndMemory(look.node, sampler.rate("node"), memoryBytes)),
      ...(files?.node.network && { network: files.node.network }),
      ...(files && { fs: files.node.fs, runtime: files.node.runtime, rlimit: files.node.rlimit }),
      ...(look.node && swapOf(look.node)),
    },
    pods: look.pods.map((pod) => podStats(pod, { sampler, files: files?.pods.get(pod) })),
  };
}

function podStats(look: PodLook, { sampler, files }: { sampler: Sampler; files: PodFiles | undefined }) {
  const { pod, usage, containers } = look;
  const { name, namespace, uid } = pod.metadata;
  const processes = containers.reduce((sum, each) => sum + (each.usage?.pids.length ?? 0), look.sandboxPid ? 1 : 0);
  return {
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime ?? pod.metadata.creationTimestamp ?? null,
    containers: containers.map((each) => ({
      name: each.name,
      startTime: formatTime(each.container.startedAt),
      ...(each.usage && cpuAndMemory(each.usage, sampler.rate(containerKey(each.container)))),
      ...files?.containers.get(each),
      ...(each.usage && swapOf(each.usage)),
    })),
    ...(usage && cpuAndMemory(usage, sampler.rate(podKey(pod)))),
    ...(files?.network && { network: files.network }),
    ...(files && files.volumes.length > 0 && { volume: files.volumes }),
    ...(files && { "ephemeral-storage": files.ephemeral }),
    process_stats: { process_count: processes },
    ...(usage && swapOf(usage)),
  };
}

function cpuAndMemory({ timeMs, cpuNanoSeconds, memory }: GroupUsage, rate: number | undefined, most?: number) {
  const { usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, limitBytes = most } = memory;
  const time = formatTime(timeMs);
  const cpu = { time, ...(rate !== undefined && { usageNanoCores: rate }), usageCoreNanoSeconds: cpuNanoSeconds };
  const available = limitBytes === undefined ? {} : { availableBytes: Math.max(0, limitBytes - workingSetBytes) };
  return { cpu, memory: { time, ...available, usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults } };
}

const swapOf = ({ timeMs, memory }: GroupUsage) => ({
  swap: { time: formatTime(timeMs), swapUsageBytes: memory.swapBytes },
});

/** The kubelet is this process, whatever else it does. */
function systemContainers({ startedMs, now, sampler }: SummaryOptions, look: NodeLook) {
  const time = formatTime(now());
  const { user, system } = process.cpuUsage();
  const { rss } = process.memoryUsage();
  const { majorPageFault, minorPageFault } = process.resourceUsage();
  const kubelet = {
    name: "kubelet",
    startTime: formatTime(startedMs),
    cpu: { time, usageNanoCores: rateOfSelf(), usageCoreNanoSeconds: (user + system) * 1000 },
    memory: {
      time,
      usageBytes: rss,
      workingSetBytes: rss,
      rssBytes: rss,
      pageFaults: minorPageFault,
      majorPageFaults: majorPageFault,
    },
  };
  const { podsGroup } = look;
  const pods = podsGroup && {
    name: "pods",
    startTime: formatTime(startedMs),
    ...cpuAndMemory(podsGroup, sampler.rate("pods")),
    ...swapOf(podsGroup),
  };
  return [kubelet, ...(pods ? [pods] : [])];
}

type FsStats = ReturnType<typeof fsStats>;

interface PodFiles {
  readonly network: ReturnType<typeof networkStats> | undefined;
  readonly volumes: readonly object[];
  readonly containers: ReadonlyMap<ContainerLook, { rootfs: FsStats; logs: FsStats }>;
  readonly ephemeral: FsStats;
}

async function lookAtFiles(options: SummaryOptions, { pods }: NodeLook) {
  const { cri, rootDir, now } = options;
  const [disk, { imageFilesystems = [] }, { stats = [] }, processes, interfaces] = await Promise.all([
    readDisk(rootDir),
    cri.image.imageFsInfo({}),
    cri.runtime.listContainerStats({}),
    readProcesses(),
    readInterfaces("self"),
  ]);
  const time = formatTime(now());
  const [imageFs] = imageFilesystems;
  const imageDisk = imageFs?.fsId?.mountpoint ? await readDisk(imageFs.fsId.mountpoint) : disk;
  const image = fsStats(time, imageDisk, {
    bytes: imageFs?.usedBytes?.value ?? 0,
    inodes: imageFs?.inodesUsed?.value ?? 0,
  });
  const layers = new Map(stats.map(({ attributes, writableLayer }) => [attributes?.id ?? "", writableLayer]));
  const found = new Map<PodLook, PodFiles>();
  await Promise.all(pods.map(async (pod) => void found.set(pod, await podFiles(pod))));
  return {
    node: {
      network: interfaces && networkStats(time, interfaces),
      fs: fsStats(time, disk, { bytes: disk.usedBytes, inodes: disk.inodes - disk.inodesFree }),
      runtime: { imageFs: image, containerFs: image },
      rlimit: { time, maxpid: processes.max, curproc: processes.running },
    },
    pods: found,
  };

  async function podFiles(look: PodLook): Promise<PodFiles> {
    const [interfaces, volumes] = await Promise.all([
      look.sandboxPid === undefined ? undefined : readInterfaces(look.sandboxPid),
      podVolumes(options, look.pod, time),
    ]);
    const containers = new Map<ContainerLook, { rootfs: FsStats; logs: FsStats }>();
    let [bytes, inodes] = [0, 0];
    for (const each of look.containers) {
      const layer = layers.get(each.container.id);
      const own = { bytes: layer?.usedBytes?.value ?? 0, inodes: layer?.inodesUsed?.value ?? 0 };
      const log = await logSize(each.container.logPath);
      containers.set(each, { rootfs: fsStats(time, imageDisk, own), logs: fsStats(time, disk, log) });
      bytes += own.bytes + log.bytes;
      inodes += own.inodes + log.inodes;
    }
    for (const { size, ephemeral } of volumes) {
      if (!ephemeral) continue;
      bytes += size.bytes;
      inodes += size.inodes;
    }
    return {
      network: interfaces && networkStats(time, interfaces),
      volumes: volumes.map(({ stats: shown }) => shown),
      containers,
      ephemeral: fsStats(time, disk, { bytes, inodes }),
    };
  }
}

async function logSize(path: string): Promise<FolderSize> {
  const found = path === "" ? undefined : await stat(path).catch(() => undefined);
  return { bytes: found ? found.blocks * 512 : 0, inodes: found ? 1 : 0 };
}

/** As volumes/ names their folders. */
const plugins = [
  ["emptyDir", "empty-dir"],
  ["configMap", "configmap"],
  ["secret", "secret"],
  ["downwardAPI", "downward-api"],
  ["projected", "projected"],
] as const;

async function podVolumes({ layout }: SummaryOptions, pod: PodView, time: string) {
  const places = layout.pod(pod.metadata.uid ?? "");
  const found = await Promise.all(
    (pod.spec?.volumes ?? []).map(async (volume) => {
      const plugin = plugins.find(([field]) => volume[field] !== undefined)?.[1];
      if (plugin === undefined) return undefined;
      for (const path of [places.volume(plugin, volume.name), places.memoryVolume(plugin, volume.name)]) {
        const size = await folderSize(path);
        if (!size) continue;
        const stats = { ...fsStats(time, await readDisk(path), size), name: volume.name };
        return { size, stats, ephemeral: !path.startsWith(places.memory) && volume.emptyDir?.medium !== "Memory" };
      }
      return undefined;
    }),
  );
  return found.filter((each) => each !== undefined);
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
function networkStats(time: string, interfaces: readonly InterfaceCounters[]) {
  const own = interfaces.find(({ name }) => name === "eth0");
  return { time, name: "", ...own, interfaces };
}
