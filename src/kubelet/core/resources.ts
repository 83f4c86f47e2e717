/**
 * Kubernetes resources as the kernel takes them: cpu shares and quota, memory limit, huge pages, swap, OOM score; of a container and of a pod
 * as a whole. Formulas and edge cases (a limit of the pod stands in for a missing one of a container) are upstream's.
 */
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { LinuxContainerResources } from "../cri/types.d.ts";
import { podQos } from "./qos.ts";
import { milliOf, unitsOf } from "./quantity.ts";
import { type ContainerSpec, isSidecar, type PodView } from "./types.ts";

export const sharesMin = 2;
const sharesMax = 262_144;
const quotaPeriodUs = 100_000;
const quotaMinUs = 1000;
const systemCriticalPriority = 2_000_000_000;
/** Memory limits that the kernel applies by pages. */
const pageBytes = 4096;

export const cpuShares = (milli: number): number =>
  milli === 0 ? sharesMin : Math.min(sharesMax, Math.max(sharesMin, Math.floor((milli * 1024) / 1000)));

/** Microseconds of cpu in each period; 0: no limit. */
export const cpuQuotaUs = (milli: number, periodUs = quotaPeriodUs): number =>
  milli === 0 ? 0 : Math.max(quotaMinUs, Math.floor((milli * periodUs) / 1000));

/** Back to thousandths, rounded as upstream does; 0: nothing is known. */
export const milliOfShares = (shares: number): number => (shares >= sharesMin ? Math.ceil((shares * 1000) / 1024) : 0);
export const milliOfQuota = (quotaUs: number, periodUs: number): number =>
  quotaUs <= 0 || periodUs <= 0 ? 0 : Math.floor((quotaUs * 1000) / periodUs);

/** v2 has weights from 1 to 10000 where v1 has shares from 2 to 262144. */
export const weightOf = (shares: number): number =>
  shares >= sharesMax ? 10_000 : 1 + Math.floor(((shares - 2) * 9999) / 262_142);
export const sharesOf = (weight: number): number => Math.floor(((weight - 1) * 262_142) / 9999) + 2;

export interface KernelResources {
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  /** 0: no limit is set; -1: none, explicitly. */
  readonly cpuQuotaUs: number;
  /** Bytes; 0: no limit. */
  readonly memoryLimitBytes: number;
}

export interface HugepageLimit {
  /** `2MB`, `1GB`: as the kernel names page sizes. */
  readonly pageSize: string;
  readonly limit: number;
}

/** What of the node decides about the numbers of its containers. */
export interface ResourceFacts {
  readonly config: Readonly<KubeletConfiguration>;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly cgroupVersion: 1 | 2;
  /** The kernel can limit the swap of a group. */
  readonly hasSwapControl: boolean;
  /** As the kernel names them. */
  readonly pageSizes: readonly string[];
  /** Bytes that pods may use together. */
  allocatableMemory(): number;
}

/** What CPU and memory manager gave a container. */
export interface CpuAssignment {
  /** As in cpuset.cpus: `0-1,4`. */
  readonly cpus: string;
  readonly mems: string;
  /** Nobody else uses these. */
  readonly isExclusive: boolean;
}

const hasPodLevel = ({ spec }: PodView): boolean =>
  [spec?.resources?.requests, spec?.resources?.limits].some((list) =>
    Object.keys(list ?? {}).some((name) => name === "cpu" || name === "memory" || name.startsWith("hugepages-")),
  );

/** The limits of a container, or those of its pod where it has none. */
export function effectiveLimit(pod: PodView | undefined, { resources }: ContainerSpec, name: "cpu" | "memory"): string {
  const own = resources?.limits?.[name];
  if (own !== undefined && milliOf(own) > 0) return own;
  return pod?.spec?.resources?.limits?.[name] ?? own ?? "0";
}

export function containerResources(
  container: ContainerSpec,
  { pod, periodUs = quotaPeriodUs }: { pod?: PodView; periodUs?: number } = {},
): KernelResources {
  const cpuLimit = milliOf(effectiveLimit(pod, container, "cpu"));
  const request = container.resources?.requests?.cpu;
  return {
    cpuShares: cpuShares(request === undefined ? cpuLimit : milliOf(request)),
    cpuPeriodUs: periodUs,
    cpuQuotaUs: cpuQuotaUs(cpuLimit, periodUs),
    memoryLimitBytes: unitsOf(effectiveLimit(pod, container, "memory")),
  };
}

/** `2Mi` of a resource's name as the kernel writes it: `2MB`. */
export function kernelPageSize(bytes: number): string {
  const units = ["B", "KB", "MB", "GB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
  return `${size}${units[unit]}`;
}

const hugepagesIn = (list: Readonly<Record<string, string>> | undefined): HugepageLimit[] =>
  Object.entries(list ?? {}).flatMap(([name, quantity]) =>
    name.startsWith("hugepages-")
      ? [{ pageSize: kernelPageSize(unitsOf(name.slice("hugepages-".length))), limit: unitsOf(quantity) }]
      : [],
  );

export const hugepageLimits = ({ resources }: ContainerSpec): HugepageLimit[] => hugepagesIn(resources?.limits);

/** All that the runtime is told of one container's resources. */
export function linuxResources(
  pod: PodView,
  container: ContainerSpec,
  facts: ResourceFacts,
  cpus?: CpuAssignment,
): LinuxContainerResources {
  const { config } = facts;
  const { cpuCFSQuota } = config;
  const kernel = containerResources(container, { pod, periodUs: config.cpuCFSQuotaPeriod * 1000 });
  const asked = new Map(
    [...hugepagesIn(hasPodLevel(pod) ? pod.spec?.resources?.limits : {}), ...hugepageLimits(container)].map((each) => [
      each.pageSize,
      each.limit,
    ]),
  );
  const unified = { ...oomGroup(facts), ...memoryQos(pod, container, facts) };
  const swap = swapOf(pod, container, facts);
  if (swap !== undefined && facts.cgroupVersion === 2) Object.assign(unified, { "memory.swap.max": String(swap) });
  return {
    cpuShares: kernel.cpuShares,
    ...(cpuCFSQuota ? { cpuPeriod: kernel.cpuPeriodUs, cpuQuota: cpus?.isExclusive ? -1 : kernel.cpuQuotaUs } : {}),
    memoryLimitInBytes: kernel.memoryLimitBytes,
    oomScoreAdj: oomScoreAdj(pod, container, facts.memoryBytes),
    hugepageLimits: facts.pageSizes.map((pageSize) => ({ pageSize, limit: asked.get(pageSize) ?? 0 })),
    ...(Object.keys(unified).length > 0 ? { unified } : {}),
    // Memory and swap together: as much as memory alone, so no swap beyond it.
    ...(facts.hasSwapControl && facts.cgroupVersion === 1 ? { memorySwapLimitInBytes: kernel.memoryLimitBytes } : {}),
    ...(cpus?.cpus ? { cpusetCpus: cpus.cpus } : {}),
    ...(cpus?.mems ? { cpusetMems: cpus.mems } : {}),
  };
}

const oomGroup = ({ cgroupVersion, config }: ResourceFacts): Record<string, string> =>
  cgroupVersion === 2 && !(config.singleProcessOOMKill ?? false) ? { "memory.oom.group": "1" } : {};

export const hasMemoryQos = ({ config, cgroupVersion }: Pick<ResourceFacts, "config" | "cgroupVersion">): boolean =>
  cgroupVersion === 2 && config.featureGates.MemoryQoS === true;

function memoryQos(pod: PodView, { resources }: ContainerSpec, facts: ResourceFacts): Record<string, string> {
  if (!hasMemoryQos(facts)) return {};
  const { memoryReservationPolicy, memoryThrottlingFactor } = facts.config;
  const request = unitsOf(resources?.requests?.memory);
  const limit = unitsOf(resources?.limits?.memory);
  const reserved: Record<string, string> =
    request > 0 && memoryReservationPolicy === "TieredReservation"
      ? { [podQos(pod) === "Guaranteed" ? "memory.min" : "memory.low"]: String(request) }
      : { "memory.min": "0", "memory.low": "0" };
  if (request === limit) return reserved;
  const ceiling = limit || facts.allocatableMemory();
  const high = Math.floor((request + (ceiling - request) * memoryThrottlingFactor) / pageBytes) * pageBytes;
  return ceiling > 0 && high > request ? { ...reserved, "memory.high": String(high) } : reserved;
}

/** May this container swap? Only burstable ones that ask for memory, by their share of it. */
export function swapBehavior(
  pod: PodView,
  { resources }: ContainerSpec,
  facts: ResourceFacts,
): "NoSwap" | "LimitedSwap" {
  if (facts.config.memorySwap.swapBehavior !== "LimitedSwap" || !facts.hasSwapControl || facts.cgroupVersion === 1)
    return "NoSwap";
  if ((pod.spec?.priority ?? 0) >= systemCriticalPriority || podQos(pod) !== "Burstable") return "NoSwap";
  const request = unitsOf(resources?.requests?.memory);
  const limit = unitsOf(resources?.limits?.memory);
  return (request === 0 && limit === 0) || request === limit ? "NoSwap" : "LimitedSwap";
}

/** Bytes of swap; undefined: the kernel can't limit it. */
function swapOf(pod: PodView, container: ContainerSpec, facts: ResourceFacts): number | undefined {
  if (!facts.hasSwapControl) return undefined;
  const request = unitsOf(container.resources?.requests?.memory);
  if (swapBehavior(pod, container, facts) === "NoSwap" || request > facts.memoryBytes) return 0;
  return Math.floor((request / facts.memoryBytes) * facts.swapBytes);
}

export interface PodGroupResources extends KernelResources {
  /** By page size; page sizes that aren't named may not be used. */
  readonly hugepages: readonly HugepageLimit[];
  readonly unified: Readonly<Record<string, string>>;
}

/** The pod's cgroup: what its containers may use together. A limit counts only if every container has one. */
export function podCgroupResources(
  pod: PodView,
  { config, cgroupVersion = 1 }: { config?: Readonly<KubeletConfiguration>; cgroupVersion?: 1 | 2 } = {},
): PodGroupResources {
  const { cpu } = podTotals(pod, "requests");
  const limits = podTotals(pod, "limits");
  const qos = podQos(pod);
  const periodUs = (config?.cpuCFSQuotaPeriod ?? quotaPeriodUs / 1000) * 1000;
  const hasLimit = (total: Total) => qos === "Guaranteed" || (qos === "Burstable" && total.complete);
  const quota = config?.cpuCFSQuota === false ? -1 : cpuQuotaUs(limits.cpu.total, periodUs);
  const sizes = new Set(
    [pod.spec, ...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].flatMap((part) =>
      Object.keys({ ...part?.resources?.requests, ...part?.resources?.limits }).filter((name) =>
        name.startsWith("hugepages-"),
      ),
    ),
  );
  const memoryRequest = podTotal(pod, { kind: "requests", name: "memory" }).total;
  const reserves =
    config &&
    hasMemoryQos({ config, cgroupVersion }) &&
    config.memoryReservationPolicy === "TieredReservation" &&
    memoryRequest > 0;
  return {
    cpuShares: qos === "BestEffort" ? sharesMin : cpuShares(cpu.total),
    cpuPeriodUs: periodUs,
    cpuQuotaUs: hasLimit(limits.cpu) ? quota : 0,
    memoryLimitBytes: hasLimit(limits.memory) ? limits.memory.total : 0,
    hugepages: [...sizes].map((name) => ({
      pageSize: kernelPageSize(unitsOf(name.slice("hugepages-".length))),
      limit: podTotal(pod, { kind: "requests", name }).total,
    })),
    unified: reserves ? { [qos === "Guaranteed" ? "memory.min" : "memory.low"]: String(memoryRequest) } : {},
  };
}

interface Total {
  total: number;
  /** Every container names it, or the pod as a whole does. */
  complete: boolean;
}

/** Sums as the scheduler counts them: containers plus sidecars, or the largest init container if that is more; overhead on top. */
export const podTotals = (pod: PodView, kind: "requests" | "limits"): { cpu: Total; memory: Total } => ({
  cpu: podTotal(pod, { kind, name: "cpu" }),
  memory: podTotal(pod, { kind, name: "memory" }),
});

/** Of one resource: thousandths of cpu, whole units of everything else. */
export function podTotal(pod: PodView, { kind, name }: { kind: "requests" | "limits"; name: string }): Total {
  const { initContainers = [], containers = [], overhead, resources } = pod.spec ?? {};
  const read = name === "cpu" ? milliOf : unitsOf;
  const withOverhead = (total: number) => total + (total > 0 || kind === "requests" ? read(overhead?.[name]) : 0);
  const whole = resources?.[kind]?.[name];
  if (whole !== undefined) return { total: withOverhead(read(whole)), complete: read(whole) > 0 };
  const of = (container: ContainerSpec) =>
    read(
      container.resources?.[kind]?.[name] ?? (kind === "requests" ? container.resources?.limits?.[name] : undefined),
    );
  let sidecars = 0;
  let initPeak = 0;
  let complete = true;
  for (const container of initContainers) {
    if (isSidecar(container)) sidecars += of(container);
    const needed = sidecars + (isSidecar(container) ? 0 : of(container));
    complete &&= needed > 0;
    initPeak = Math.max(initPeak, needed);
  }
  const sum = sidecars + containers.reduce((total, container) => total + of(container), 0);
  complete &&= containers.every((container) => of(container) > 0);
  return { total: withOverhead(Math.max(sum, initPeak)), complete };
}

/** -1000 (never kill) to 1000 (kill first). `memoryBytes`: of the machine. */
export function oomScoreAdj(pod: PodView, container: ContainerSpec, memoryBytes: number): number {
  const { priority = 0, priorityClassName, containers = [], initContainers = [], resources } = pod.spec ?? {};
  if (priority >= systemCriticalPriority && priorityClassName === "system-node-critical") return -997;
  const qos = podQos(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const request = (spec: ContainerSpec) => unitsOf(spec.resources?.requests?.memory);
  // What the pod asks for beyond its containers is theirs in equal parts.
  const all = [...containers, ...initContainers.filter(isSidecar)];
  const rest = unitsOf(resources?.requests?.memory) - all.reduce((sum, each) => sum + request(each), 0);
  const share = Object.keys(resources?.requests ?? {}).length > 0 ? Math.max(0, Math.floor(rest / all.length)) : 0;
  const score = (bytes: number) => 1000 - Math.floor((1000 * (bytes + share)) / memoryBytes);
  // A sidecar is not sacrificed before the containers it serves.
  const adjusted = isSidecar(container)
    ? Math.min(score(request(container)), score(Math.min(...containers.map(request))))
    : score(request(container));
  // Always behind guaranteed pods and before best-effort ones.
  return Math.min(999, Math.max(3, adjusted));
}
