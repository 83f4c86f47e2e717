/** Kubernetes resources as the kernel takes them: cpu shares and quota, memory limit, OOM score. */
import { podQos } from "./qos.ts";
import { milliOf, unitsOf } from "./quantity.ts";
import { type ContainerSpec, isSidecar, type PodView } from "./types.ts";

const sharesMin = 2;
const sharesMax = 262_144;
const quotaPeriodUs = 100_000;
const quotaMinUs = 1000;
const systemCriticalPriority = 2_000_000_000;

export const cpuShares = (milli: number): number =>
  milli === 0 ? sharesMin : Math.min(sharesMax, Math.max(sharesMin, Math.floor((milli * 1024) / 1000)));

/** Microseconds of cpu in each period; 0: no limit. */
export const cpuQuotaUs = (milli: number): number =>
  milli === 0 ? 0 : Math.max(quotaMinUs, Math.floor((milli * quotaPeriodUs) / 1000));

export interface KernelResources {
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  readonly cpuQuotaUs: number;
  /** Bytes; 0: no limit. */
  readonly memoryLimitBytes: number;
}

export interface HugepageLimit {
  /** `2MB`, `1GB`: as the kernel names page sizes. */
  readonly pageSize: string;
  readonly limit: number;
}

export function containerResources({ resources }: ContainerSpec): KernelResources {
  const cpuLimit = milliOf(resources?.limits?.cpu);
  const cpuRequest = resources?.requests?.cpu === undefined ? cpuLimit : milliOf(resources.requests.cpu);
  return {
    cpuShares: cpuShares(cpuRequest),
    cpuPeriodUs: quotaPeriodUs,
    cpuQuotaUs: cpuQuotaUs(cpuLimit),
    memoryLimitBytes: unitsOf(resources?.limits?.memory),
  };
}

export function hugepageLimits({ resources }: ContainerSpec): HugepageLimit[] {
  return Object.entries(resources?.limits ?? {}).flatMap(([name, quantity]) => {
    if (!name.startsWith("hugepages-")) return [];
    const bytes = unitsOf(name.slice("hugepages-".length));
    const units = ["B", "KB", "MB", "GB"];
    let size = bytes;
    let unit = 0;
    for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
    return [{ pageSize: `${size}${units[unit]}`, limit: unitsOf(quantity) }];
  });
}

/** The pod's cgroup: what its containers may use together. A limit counts only if every container has one. */
export function podCgroupResources(pod: PodView): KernelResources {
  const { cpu } = podTotals(pod, "requests");
  const limits = podTotals(pod, "limits");
  const qos = podQos(pod);
  return {
    cpuShares: qos === "BestEffort" ? sharesMin : cpuShares(qos === "Guaranteed" ? limits.cpu.total : cpu.total),
    cpuPeriodUs: quotaPeriodUs,
    cpuQuotaUs: limits.cpu.complete ? cpuQuotaUs(limits.cpu.total) : 0,
    memoryLimitBytes: limits.memory.complete ? limits.memory.total : 0,
  };
}

interface Total {
  total: number;
  /** Every container names it. */
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
  const whole = resources?.[kind]?.[name];
  if (whole !== undefined) return { total: read(whole), complete: true };
  const of = (container: ContainerSpec) =>
    read(
      container.resources?.[kind]?.[name] ?? (kind === "requests" ? container.resources?.limits?.[name] : undefined),
    );
  let sidecars = 0;
  let initPeak = 0;
  for (const container of initContainers) {
    if (isSidecar(container)) sidecars += of(container);
    initPeak = Math.max(initPeak, sidecars + (isSidecar(container) ? 0 : of(container)));
  }
  const sum = sidecars + containers.reduce((total, container) => total + of(container), 0);
  const complete = [...initContainers, ...containers].every((container) => of(container) > 0);
  return {
    total: Math.max(sum, initPeak) + (complete || kind === "requests" ? read(overhead?.[name]) : 0),
    complete,
  };
}

/** -1000 (never kill) to 1000 (kill first). `memoryBytes`: of the machine. */
export function oomScoreAdj(pod: PodView, container: ContainerSpec, memoryBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= systemCriticalPriority) return -997;
  const qos = podQos(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const score = (spec: ContainerSpec) => {
    const request = unitsOf(spec.resources?.requests?.memory);
    const adjusted = 1000 - Math.floor((1000 * request) / memoryBytes);
    // Always behind guaranteed pods and before best-effort ones.
    return Math.min(999, Math.max(3, adjusted));
  };
  const own = score(container);
  if (!isSidecar(container)) return own;
  // A sidecar is not sacrificed before the containers it serves.
  return Math.min(own, ...(pod.spec?.containers ?? []).map(score));
}
