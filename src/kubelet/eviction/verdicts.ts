/** Why a pod has to go or isn't taken, in upstream's words. Pure. */
import { isTolerated, parseQuantity, printQuantity, quantityOf, quantitySign } from "#machinery";
import type { Refusal } from "../core/admission.ts";
import { podQos } from "../core/qos.ts";
import { podTotal } from "../core/resources.ts";
import { unitsOf } from "../core/quantity.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { PodUsage } from "./rank.ts";
import type { Observations } from "./state.ts";
import {
  type PressureCondition,
  printAmount,
  printBytes,
  signals,
  type StarvedResource,
  type Threshold,
} from "./thresholds.ts";

export const evictedReason = "Evicted";
/** Pods of this priority and above keep the cluster running. */
const criticalPriority = 2_000_000_000;

/** Not evicted, and taken under pressure: they keep the node running, and static pods would not come back. */
export function isCritical({ metadata, spec }: PodView): boolean {
  const source = metadata.annotations?.["kubernetes.io/config.source"];
  if (source !== undefined && source !== "api") return true;
  if (metadata.annotations?.["kubernetes.io/config.mirror"] !== undefined) return true;
  return (spec?.priority ?? 0) >= criticalPriority;
}

/** Why a pod isn't taken now; undefined: it is. */
export function refuseUnderPressure(pod: PodView, conditions: readonly PressureCondition[]): Refusal | undefined {
  if (conditions.length === 0 || isCritical(pod)) return undefined;
  if (conditions.length === 1 && conditions[0] === "MemoryPressure") {
    if (podQos(pod) !== "BestEffort") return undefined;
    const taint = { key: "node.kubernetes.io/memory-pressure", effect: "NoSchedule" };
    if (isTolerated(taint, pod.spec?.tolerations)) return undefined;
  }
  return { reason: evictedReason, message: `The node had condition: [${conditions.join(" ")}]. ` };
}

export interface Eviction {
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** For a lack of the whole node. */
export function evictionFor(
  pod: PodView,
  resource: StarvedResource,
  { usage, due, observations }: { usage: PodUsage | undefined; due: readonly Threshold[]; observations: Observations },
): Eviction {
  let message = `The node was low on resource: ${resource}. `;
  for (const { signal, value } of due) {
    const seen = observations.get(signal);
    if (signals[signal].resource !== resource || !seen) continue;
    message += `Threshold quantity: ${printAmount(value, seen.capacity)}, available: ${printAvailable(signal, seen.available)}. `;
    break;
  }
  if (!usage) return { message, annotations: {} };
  const annotations: Record<string, string> = {};
  const exceeds = (what: string, used: string, asked: string) =>
    `${what} was using ${used}, request is ${asked}, has larger consumption of ${resource}. `;
  const whole = resource === "memory" ? pod.spec?.resources?.requests?.memory : undefined;
  if (whole !== undefined && usage.memoryBytes !== undefined) {
    const used = printBytes(usage.memoryBytes);
    message += exceeds(`Pod ${pod.metadata.name}`, used, printText(whole));
    annotations.offending_pod = pod.metadata.name ?? "";
    annotations.offending_pod_usage = used;
  }
  const specs = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const names: string[] = [];
  const amounts: string[] = [];
  for (const each of usage.containers) {
    const spec = specs.find(({ name }) => name === each.name);
    if (!spec) continue;
    const asked = spec.resources?.requests?.[resource];
    let used: number | undefined;
    if (resource === "memory") used = each.memoryBytes;
    else if (resource === "ephemeral-storage" && each.rootfs && each.logs) used = each.rootfs.bytes + each.logs.bytes;
    if (used === undefined || used <= unitsOf(asked)) continue;
    names.push(each.name);
    amounts.push(printBytes(used));
    message += exceeds(`Container ${each.name}`, printBytes(used), asked === undefined ? "0" : printText(asked));
  }
  annotations.offending_containers = names.join(",");
  annotations.offending_containers_usage = amounts.join(",");
  annotations.starved_resource = resource;
  return { message, annotations };
}

const printAvailable = (signal: Threshold["signal"], available: number): string =>
  /inodesFree|^pid/.test(signal) ? printQuantity(quantityOf(available, "DecimalSI")) : printBytes(available);

const printText = (text: string): string => printQuantity(parseQuantity(text));

/** Signals of metrics, for limits of one pod. */
export type LimitSignal = "emptydirfs.limit" | "ephemeralpodfs.limit" | "ephemeralcontainerfs.limit";

/** Does anything limit what this pod writes? Others need not be measured. */
export function hasStorageLimit(pod: PodView): boolean {
  const { volumes = [], containers = [], initContainers = [], resources } = pod.spec ?? {};
  return (
    resources?.limits?.["ephemeral-storage"] !== undefined ||
    [...containers, ...initContainers].some((each) => each.resources?.limits?.["ephemeral-storage"] !== undefined) ||
    volumes.some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined)
  );
}

/** The first of its own limits that a pod exceeds. */
export function exceededLimit(
  pod: PodView,
  usage: PodUsage,
  { dedicated }: { dedicated: boolean },
): { signal: LimitSignal; message: string } | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    const limit = emptyDir?.sizeLimit === undefined ? undefined : parseQuantity(emptyDir.sizeLimit);
    const used = usage.volumes.get(name)?.bytes;
    if (!limit || quantitySign(limit) <= 0 || used === undefined || used <= unitsOf(emptyDir?.sizeLimit)) continue;
    const message = `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(printQuantity(limit))}. `;
    return { signal: "emptydirfs.limit", message };
  }
  const whole = podStorageLimit(pod);
  if (whole && (usage.ephemeral?.bytes ?? 0) > whole.bytes) {
    const message = `Pod ephemeral local storage usage exceeds the total limit of containers ${whole.text}. `;
    return { signal: "ephemeralpodfs.limit", message };
  }
  for (const { name, logs, rootfs } of usage.containers) {
    const spec = pod.spec?.containers.find((container) => container.name === name);
    const limit = spec && storageLimit(spec);
    const used = (logs?.bytes ?? 0) + (dedicated ? 0 : (rootfs?.bytes ?? 0));
    if (limit === undefined || unitsOf(limit) === 0 || used <= unitsOf(limit)) continue;
    const message = `Container ${name} exceeded its local ephemeral storage limit ${JSON.stringify(printText(limit))}. `;
    return { signal: "ephemeralcontainerfs.limit", message };
  }
  return undefined;
}

const storageLimit = ({ resources }: Pick<ContainerSpec, "resources">): string | undefined =>
  resources?.limits?.["ephemeral-storage"];

/** Of all containers together; printed in the way of the first. */
function podStorageLimit(pod: PodView): { bytes: number; text: string } | undefined {
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const first = [...containers, ...initContainers].map(storageLimit).find((limit) => limit !== undefined);
  if (first === undefined) return undefined;
  const bytes = podTotal(pod, { kind: "limits", name: "ephemeral-storage" }).total;
  return { bytes, text: printQuantity(quantityOf(bytes, parseQuantity(first).format)) };
}
