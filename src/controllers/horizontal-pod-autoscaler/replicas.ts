/**
 * How many replicas a metric asks for. Pure: metrics and pods in, a count out. Follows upstream's replica calculator to the last rounding,
 * hence whole thousandths as bigint where Go has int64 and floats where it has float64.
 *
 * What isn't measured decides as little as it can: pods without metrics count as idle when more are wanted and as busy when fewer are,
 * pods that aren't ready count as idle when more are wanted, and if that turns the direction nothing is done.
 */
import { timeMs } from "#machinery";
import { isDeleting, nameOf } from "../lib/objects.ts";
import { isPodReady, podCondition, type SeenPod } from "../lib/pods.ts";
import { int64Max, milliOf } from "./milli.ts";
import { pooledRequest } from "./pod-request.ts";

export interface PodMetric {
  readonly timestampMs: number;
  readonly windowMs: number;
  /** Thousandths. */
  readonly value: bigint;
}

/** By the pod's name. */
export type PodMetrics = ReadonlyMap<string, PodMetric>;

/** Changes of usage up to this part of the target are none. */
export interface Tolerances {
  readonly down: number;
  readonly up: number;
}

export interface ReplicaContext {
  readonly pods: readonly SeenPod[];
  readonly tolerances: Tolerances;
  readonly cpuInitializationMs: number;
  readonly initialReadinessMs: number;
  readonly now: number;
}

export interface Proposal {
  readonly replicas: number;
  /** Of one pod or of the object, in thousandths. */
  readonly usage: bigint;
  /** In percent of what was requested. */
  readonly utilization?: number;
}

/** No count follows; the message is what users see. */
export class MetricError extends Error {
  override name = "MetricError";
}

export const int32Max = 2 ** 31 - 1;

const isWithin = ({ down, up }: Tolerances, ratio: number): boolean => 1 - down <= ratio && ratio <= 1 + up;

/** Go leaves open what becomes of a count beyond int32; the most there can be is what is meant. */
const whole = (count: number): number => Math.min(int32Max, Math.ceil(count));

interface Groups {
  readonly ready: number;
  readonly unready: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
  readonly ignored: ReadonlySet<string>;
}

export function groupPods(
  { pods, cpuInitializationMs, initialReadinessMs, now }: ReplicaContext,
  metrics: PodMetrics,
  resource: string,
): Groups {
  const [unready, missing, ignored] = [new Set<string>(), new Set<string>(), new Set<string>()];
  let ready = 0;
  for (const pod of pods) {
    const name = nameOf(pod);
    const metric = metrics.get(name);
    if (isDeleting(pod) || pod.status?.phase === "Failed") ignored.add(name);
    else if (pod.status?.phase === "Pending") unready.add(name);
    else if (!metric) missing.add(name);
    else if (resource === "cpu" && isColdStart(pod, metric)) unready.add(name);
    else ready++;
  }
  return { ready, unready, missing, ignored };

  /** What a pod burns while it starts says nothing of its load. */
  function isColdStart(pod: SeenPod, metric: PodMetric): boolean {
    const condition = podCondition(pod, "Ready");
    const startMs = timeMs(pod.status?.startTime);
    if (!condition || Number.isNaN(startMs)) return true;
    const changedMs = timeMs(condition.lastTransitionTime);
    // Go's zero time is before everything.
    const turnedMs = Number.isNaN(changedMs) ? Number.NEGATIVE_INFINITY : changedMs;
    if (startMs + cpuInitializationMs > now)
      return condition.status === "False" || metric.timestampMs < turnedMs + metric.windowMs;
    return condition.status === "False" && startMs + initialReadinessMs > turnedMs;
  }
}

/** Ratio of usage to target, and what is shown of it. */
interface Usage {
  readonly ratio: number;
  readonly usage: bigint;
  readonly utilization?: number;
}

function utilizationOf(metrics: PodMetrics, requests: ReadonlyMap<string, bigint>, target: number): Usage {
  let [used, requested, count] = [0n, 0n, 0n];
  for (const [name, { value }] of metrics) {
    const request = requests.get(name);
    if (request === undefined) continue;
    used += value;
    requested += request;
    count++;
  }
  if (requested === 0n) throw new MetricError("no metrics returned matched known pods");
  const utilization = Number(BigInt.asIntN(32, (used * 100n) / requested));
  return { ratio: utilization / target, usage: used / count, utilization };
}

function averageOf(metrics: PodMetrics, target: bigint): Usage {
  let total = 0n;
  for (const { value } of metrics.values()) total += value;
  const usage = total / BigInt(metrics.size);
  return { ratio: Number(usage) / Number(target), usage };
}

interface PerPodInput {
  readonly metrics: PodMetrics;
  readonly current: number;
  readonly resource: string;
  usageOf(metrics: PodMetrics): Usage;
  /** What a pod without metrics is taken to use when there may be too many. */
  busy(pod: string): bigint;
}

/** Metrics of each pod, whatever they are measured against. */
function perPodReplicas(context: ReplicaContext, { metrics, current, resource, usageOf, busy }: PerPodInput): Proposal {
  const { tolerances } = context;
  const { ready, unready, missing, ignored } = groupPods(context, metrics, resource);
  const counted = new Map([...metrics].filter(([name]) => !ignored.has(name) && !unready.has(name)));
  if (counted.size === 0) throw new MetricError("did not receive metrics for targeted pods (pods might be unready)");
  const { ratio, ...shown } = usageOf(counted);
  const idleUnready = unready.size > 0 && ratio > 1;
  if (!idleUnready && missing.size === 0)
    return { ...shown, replicas: isWithin(tolerances, ratio) ? current : whole(ratio * ready) };
  const assume = (pods: Iterable<string>, value: (pod: string) => bigint) => {
    for (const pod of pods) counted.set(pod, { timestampMs: 0, windowMs: 0, value: value(pod) });
  };
  if (ratio < 1) assume(missing, busy);
  else if (ratio > 1) assume(missing, () => 0n);
  if (idleUnready) assume(unready, () => 0n);
  const again = usageOf(counted).ratio;
  const keeps = isWithin(tolerances, again) || (ratio < 1 && again > 1) || (ratio > 1 && again < 1);
  const replicas = whole(again * counted.size);
  const turns = (again < 1 && replicas > current) || (again > 1 && replicas < current);
  return { ...shown, replicas: keeps || turns ? current : replicas };
}

function somePods({ pods }: ReplicaContext): readonly SeenPod[] {
  if (pods.length === 0) throw new MetricError("no pods returned by selector while calculating replica count");
  return pods;
}

export interface PerPod {
  readonly metrics: PodMetrics;
  readonly current: number;
  /** "": a metric that isn't a resource. */
  readonly resource: string;
}

/** Against a percentage of what the pods, or one container of each, request. */
export function utilizationReplicas(
  context: ReplicaContext,
  { target, container, ...input }: PerPod & { target: number; container: string },
): Proposal {
  const requests = new Map<string, bigint>();
  const pods = somePods(context);
  // That nothing is measured matters more than what isn't requested.
  let missing: unknown;
  try {
    for (const pod of pods) requests.set(nameOf(pod), requestOf(pod, { resource: input.resource, container }));
  } catch (error) {
    missing = error;
  }
  return perPodReplicas(context, {
    ...input,
    usageOf(metrics) {
      if (missing) throw missing;
      return utilizationOf(metrics, requests, target);
    },
    busy: (pod) => ((requests.get(pod) ?? 0n) * BigInt(Math.max(100, target))) / 100n,
  });
}

/** Against an amount for each pod, in thousandths. */
export function averageReplicas(context: ReplicaContext, { target, ...input }: PerPod & { target: bigint }): Proposal {
  somePods(context);
  return perPodReplicas(context, { ...input, usageOf: (metrics) => averageOf(metrics, target), busy: () => target });
}

/** One value for all, against a target for all. */
export function totalReplicas(
  context: ReplicaContext,
  { usage, target, current }: { usage: bigint; target: bigint; current: number },
): Proposal {
  const ratio = Number(usage) / Number(target);
  // Without replicas nobody is ready, and the tolerance would keep it so.
  if (current === 0) return { replicas: whole(ratio), usage };
  if (isWithin(context.tolerances, ratio)) return { replicas: current, usage };
  let ready: number;
  try {
    ready = somePods(context).filter((pod) => pod.status?.phase === "Running" && isPodReady(pod)).length;
  } catch (error) {
    if (error instanceof MetricError) throw new MetricError(`unable to calculate ready pods: ${error.message}`);
    throw error;
  }
  return { replicas: whole(ratio * ready), usage };
}

/** One value for all, against a target for each replica there is. */
export function sharedReplicas(
  { tolerances }: ReplicaContext,
  { usage, target, current }: { usage: bigint; target: bigint; current: number },
): Proposal {
  const ratio = Number(usage) / (Number(target) * current);
  const replicas = isWithin(tolerances, ratio) ? current : whole(Number(usage) / Number(target));
  const share = Math.ceil(Number(usage) / Math.max(1, current));
  return { replicas, usage: share >= Number(int64Max) ? int64Max : BigInt(share) };
}

/** External values together; more than Go can count is the most it can. */
export function sumOf(values: readonly bigint[]): bigint {
  let sum = 0n;
  for (const value of values) {
    if (value > 0n && sum > int64Max - value) return int64Max;
    sum += value;
  }
  return sum;
}

function requestOf(pod: SeenPod, { resource, container }: { resource: string; container: string }): bigint {
  const { containers = [], initContainers = [], resources } = pod.spec ?? {};
  if (container === "" && Object.keys(resources?.requests ?? {}).length > 0) {
    const pooled = pooledRequest(pod, resource);
    if (pooled === undefined) throw new MetricError(`missing pod-level request for ${resource} in Pod ${nameOf(pod)}`);
    return pooled;
  }
  let total = 0n;
  for (const each of [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === "Always")]) {
    if (container !== "" && container !== each.name) continue;
    const request = each.resources?.requests?.[resource];
    if (request === undefined)
      throw new MetricError(`missing request for ${resource} in container ${each.name} of Pod ${nameOf(pod)}`);
    total += milliOf(request);
    if (container !== "") return total;
  }
  if (container !== "") throw new MetricError(`container ${container} not found in Pod ${nameOf(pod)}`);
  return total;
}
