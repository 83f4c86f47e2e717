/**
 * Changing a running pod's cpu and memory, the pure part: which resources a pod has been given while its spec asks for others, what has to be done
 * to its containers and in which order, what statuses and events say. Follows upstream's allocation manager and computePodResizeAction.
 */
import { type ContainerStatus, type PodSpec, type PodStatus, podSums } from "#api";
import { compareQuantities, milliQuantityOf, printQuantity, quantityOf } from "#machinery";
import { milliOf, unitsOf } from "./quantity.ts";
import { podQos } from "./qos.ts";
import { effectiveLimit, podTotal } from "./resources.ts";
import {
  type ContainerSpec,
  type ContainerStatusView,
  isSidecar,
  newestContainer,
  type PodRuntime,
  type PodView,
  type RuntimeContainer,
} from "./types.ts";

export type Requirements = NonNullable<ContainerSpec["resources"]>;
type Amounts = Readonly<Record<string, string>>;

/** By container, and of the pod as a whole. */
export interface PodResources {
  readonly ContainerResources: Readonly<Record<string, Requirements>>;
  readonly PodLevelResources: Requirements | null;
}

export const resizable = ["memory", "cpu"] as const;
export type ResizableName = (typeof resizable)[number];

const parts = ({ spec }: PodView): ContainerSpec[] => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];

export const resourcesOf = (pod: PodView): PodResources => ({
  ContainerResources: Object.fromEntries(parts(pod).map(({ name, resources = {} }) => [name, resources])),
  PodLevelResources: pod.spec?.resources ?? null,
});

const sameAmounts = (a: Amounts = {}, b: Amounts = {}): boolean =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].every((name) => {
    const [left, right] = [a[name], b[name]];
    return left === right || (left !== undefined && right !== undefined && compareQuantities(left, right) === 0);
  });

const sameRequirements = (a: Requirements | null = null, b: Requirements | null = null): boolean =>
  a === b || (sameAmounts(a?.requests, b?.requests) && sameAmounts(a?.limits, b?.limits));

/** The pod as this node has granted it; the same object when that is what its spec says. */
export function withResources(pod: PodView, granted: PodResources | undefined): PodView {
  if (!granted || !pod.spec) return pod;
  let isOther = false;
  const give = (container: ContainerSpec): ContainerSpec => {
    const resources = granted.ContainerResources[container.name];
    if (!resources || sameRequirements(resources, container.resources)) return container;
    isOther = true;
    return { ...container, resources };
  };
  const { resources: _, ...spec } = pod.spec;
  const containers = pod.spec.containers.map(give);
  const initContainers = pod.spec.initContainers?.map(give);
  const whole = granted.PodLevelResources;
  if (!sameRequirements(whole, pod.spec.resources)) isOther = true;
  if (!isOther) return pod;
  return {
    ...pod,
    spec: {
      ...spec,
      containers,
      ...(initContainers ? { initContainers } : {}),
      ...(whole ? { resources: whole } : {}),
    },
  };
}

/** Does it ask for more than before? Requests only. */
export const asksForMore = (before: PodView, after: PodView): boolean =>
  resizable.some((name) => {
    const of = (pod: PodView) => podTotal(pod, { kind: "requests", name }).total;
    return of(after) > of(before);
  });

interface Amount {
  readonly request: number;
  readonly limit: number;
}
type Sizes = Readonly<Record<ResizableName, Amount>>;

const sizesOf = (container: ContainerSpec, pod: PodView | undefined): Sizes => ({
  cpu: { request: milliOf(container.resources?.requests?.cpu), limit: milliOf(effectiveLimit(pod, container, "cpu")) },
  memory: {
    request: unitsOf(container.resources?.requests?.memory),
    limit: unitsOf(effectiveLimit(pod, container, "memory")),
  },
});

const sameSizes = (a: Sizes, b: Sizes): boolean =>
  resizable.every((name) => a[name].request === b[name].request && a[name].limit === b[name].limit);

export interface ContainerUpdate {
  readonly container: ContainerSpec;
  readonly id: string;
  readonly from: Sizes;
  readonly to: Sizes;
}

export interface ResizePlan {
  /** Names of containers that have to restart for it. */
  readonly restart: ReadonlySet<string>;
  /** In the order in which they are done: what shrinks first. */
  readonly updates: Readonly<Record<ResizableName, readonly ContainerUpdate[]>>;
  readonly podLevel: boolean;
  /** Something has to be done. */
  readonly hasWork: boolean;
  /** Sizes are as they were granted. An init container's is nobody's business after it. */
  readonly isDone: boolean;
}

const nothing: ResizePlan = {
  restart: new Set(),
  updates: { memory: [], cpu: [] },
  podLevel: false,
  hasWork: false,
  isDone: true,
};

/** `actuated`: what the runtime was told; undefined: this pod was never resized. */
export function planResize(pod: PodView, runtime: PodRuntime, actuated: PodResources | undefined): ResizePlan {
  if (!actuated) return nothing;
  const restart = new Set<string>();
  const updates: Record<ResizableName, ContainerUpdate[]> = { memory: [], cpu: [] };
  let isDone = true;
  for (const container of parts(pod)) {
    const running = newestContainer(runtime, container.name);
    const was = actuated.ContainerResources[container.name];
    if (running?.state !== "running" || !was) continue;
    const from = sizesOf({ ...container, resources: was }, undefined);
    const to = sizesOf(container, pod);
    if (sameSizes(from, to)) continue;
    isDone &&= !counts(pod, container);
    const differs = resizable.filter(
      (name) => from[name].request !== to[name].request || from[name].limit !== to[name].limit,
    );
    if (
      differs.some((name) =>
        container.resizePolicy?.some(
          (policy) => policy.resourceName === name && policy.restartPolicy === "RestartContainer",
        ),
      )
    ) {
      restart.add(container.name);
      continue;
    }
    for (const name of differs) {
      const key = from[name].limit === to[name].limit ? "request" : "limit";
      const update = { container, id: running.id, from, to };
      if (to[name][key] > from[name][key]) updates[name].push(update);
      else updates[name].unshift(update);
    }
  }
  const levels = (resources: Requirements | null | undefined) =>
    sizesOf({ name: "", resources: resources ?? {} }, undefined);
  const podLevel = !sameSizes(levels(actuated.PodLevelResources), levels(pod.spec?.resources));
  const hasWork = podLevel || restart.size + updates.cpu.length + updates.memory.length > 0;
  return { restart, updates, podLevel, hasWork, isDone: isDone && !podLevel };
}

/** Sidecars and the pod's main containers. */
const counts = ({ spec }: PodView, container: ContainerSpec): boolean =>
  isSidecar(container) || (spec?.containers.some(({ name }) => name === container.name) ?? false);

/** `Pod resize started: {…}`, with what is asked for. */
export function resizeMessage(
  what: string,
  { spec }: PodView,
  { generation, error }: { generation: number; error?: string | undefined },
): string {
  const list = (containers: readonly ContainerSpec[] = []) =>
    containers.map(({ name, resources = {} }) => ({ name, resources: sorted(resources) }));
  const init = list(spec?.initContainers);
  const summary = {
    ...(init.length > 0 ? { initContainers: init } : {}),
    containers: list(spec?.containers),
    generation,
    ...(error ? { error } : {}),
  };
  return `${what}: ${JSON.stringify(summary)}`;
}

function sorted({ limits, requests }: Requirements): object {
  const byName = (amounts: Amounts) => Object.fromEntries(Object.entries(amounts).sort());
  return { ...(limits ? { limits: byName(limits) } : {}), ...(requests ? { requests: byName(requests) } : {}) };
}

export const isResizeCondition = (type: string): boolean =>
  type === "PodResizePending" || type === "PodResizeInProgress";

/** Sizes of a running container as the API shows them: what the runtime says, else what it was told. */
export function resourcesStatus(
  spec: ContainerSpec,
  { state, resources: actual }: RuntimeContainer,
  { old, actuated }: { old: ContainerStatusView | undefined; actuated: Requirements | undefined },
): NonNullable<ContainerStatus["resources"]> {
  const resources: Requirements = spec.resources ?? {};
  if (state !== "running") return structuredClone(resources) as NonNullable<ContainerStatus["resources"]>; // a copy
  const keeps = old?.state?.running !== undefined;
  const told = (kind: "limits" | "requests", name: ResizableName) =>
    actuated?.[kind]?.[name] ?? (keeps ? old?.resources?.[kind]?.[name] : undefined);
  // Below the smallest that the kernel takes nobody can tell what was asked for.
  const cpu = (said: number | undefined, granted: string | undefined, min: number) =>
    said && (said > min || milliOf(granted) > min) ? milli(said) : undefined;
  const shown = { limits: { ...resources.limits }, requests: { ...resources.requests } };
  const put = (kind: "limits" | "requests", name: ResizableName, said: string | undefined) => {
    const value = said ?? (actual && name === "cpu" ? undefined : told(kind, name));
    if (resources[kind] && value !== undefined) shown[kind][name] = like(shown[kind][name], value);
  };
  put("limits", "cpu", cpu(actual?.cpuLimitMilli, resources.limits?.cpu, 10));
  put("limits", "memory", actual?.memoryLimitBytes ? bytes(actual.memoryLimitBytes) : undefined);
  put("requests", "cpu", cpu(actual?.cpuRequestMilli, resources.requests?.cpu, 2));
  put("requests", "memory", undefined);
  return {
    ...(resources.claims ? { claims: resources.claims.map((claim) => ({ ...claim })) } : {}),
    ...(resources.limits ? { limits: shown.limits } : {}),
    ...(resources.requests ? { requests: shown.requests } : {}),
  };
}

/** The text that people wrote, when it means the same. */
const like = (written: string | undefined, value: string): string =>
  written !== undefined && compareQuantities(written, value) === 0 ? written : value;
const milli = (value: number): string => printQuantity(milliQuantityOf(value));
const bytes = (value: number): string => printQuantity(quantityOf(value, "BinarySI"));

/** Sum of a resource list over a pod as its status shows it. */
export const podAmounts = ({ spec }: PodView, kind: "requests" | "limits"): Record<string, string> =>
  Object.fromEntries(
    [...(spec ? podSums(spec as PodSpec, kind) : [])].map(([name, sum]) => [name, printQuantity(sum)]), // only read
  );

/** Of the pod as a whole, when its group has what it was granted. */
export function podResourcesStatus(pod: PodView): Pick<PodStatus, "resources" | "allocatedResources"> {
  const requests = podAmounts(pod, "requests");
  const limits = podAmounts(pod, "limits");
  return {
    resources: {
      ...(Object.keys(limits).length > 0 ? { limits } : {}),
      ...(Object.keys(requests).length > 0 ? { requests } : {}),
    },
    ...(Object.keys(requests).length > 0 ? { allocatedResources: requests } : {}),
  };
}

export interface PendingResize {
  readonly pod: PodView;
  /** It asks for more than it has. */
  readonly grows: boolean;
  /** Since when it waits; undefined: it is new. */
  readonly since: number | undefined;
}

/** Who is tried first: what shrinks, then by priority, by class, by how long it has waited. */
export function resizeOrder(a: PendingResize, b: PendingResize): number {
  const priority = ({ pod }: PendingResize) => pod.spec?.priority ?? 0;
  const guaranteed = ({ pod }: PendingResize) => (podQos(pod) === "Guaranteed" ? 1 : 0);
  return (
    Number(a.grows) - Number(b.grows) ||
    priority(b) - priority(a) ||
    guaranteed(b) - guaranteed(a) ||
    (a.since ?? Number.POSITIVE_INFINITY) - (b.since ?? Number.POSITIVE_INFINITY) ||
    0
  );
}
