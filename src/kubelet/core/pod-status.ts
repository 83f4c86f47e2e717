/**
 * The whole status of a pod as the node reports it. Pure: everything it depends on comes in, so a status can be made at any moment
 * (a probe turned, a container ended) without asking the runtime.
 */
import type { ContainerState, ContainerStatus, PodCondition, PodStatus } from "#api";
import { formatTime } from "#machinery";
import { isKubeletCondition, podConditions } from "./conditions.ts";
import { type ContainerStatusInput, containerStatuses, type ListInput } from "./container-status.ts";
import { finalStatus } from "./final-status.ts";
import { anyInSandbox, type PodPhase, podPhase } from "./phase.ts";
import { podQos } from "./qos.ts";
import { mustRestartAll } from "./restart-all.ts";
import {
  allContainers,
  type ContainerSpec,
  type ContainerStatusView,
  ephemeralContainers,
  isHostNetwork,
  isTerminalPhase,
  type PodStatusView,
  type PodView,
} from "./types.ts";

/** A verdict on the whole pod from outside its containers: eviction, deadline, refusal. */
export interface PodVerdict {
  readonly phase: "Failed";
  readonly reason: string;
  readonly message: string;
  /** Also reported: DisruptionTarget of an eviction. */
  readonly condition?: PodCondition;
}

export interface PodStatusInput extends ContainerStatusInput {
  /** What was reported last; of the API when the node just started. */
  readonly old: PodStatusView;
  readonly hostIPs: readonly string[];
  readonly now: number;
  readonly verdict: PodVerdict | undefined;
  readonly waitsForVolumes?: boolean | undefined;
  /** Conditions about a change of resources under way. */
  readonly resizeConditions?: readonly PodCondition[] | undefined;
}

export function podStatus(pod: PodView, input: PodStatusInput): PodStatus {
  const { runtime, old, now, verdict, ended } = input;
  const isRestartingAll = mustRestartAll(pod, runtime, old);
  const list = (
    kind: ListInput["kind"],
    specs: readonly ContainerSpec[] = [],
    before: readonly ContainerStatusView[] = [],
  ) => shorten(pod, containerStatuses(pod, specs, { ...input, kind, old: before, isRestartingAll }));
  const init = list("init", pod.spec?.initContainers, old.initContainerStatuses);
  const main = list("main", pod.spec?.containers, old.containerStatuses);
  const debug = list("debug", ephemeralContainers(pod), old.ephemeralContainerStatuses);
  const computed = podPhase(pod, [...init, ...main], { ended, initialized: anyInSandbox(pod, runtime) });
  const phase = finalPhase(pod, { ...input, computed });
  const isEvicted = verdict !== undefined && phase === "Failed" && ended;
  const kept = phase === old.phase && verdict === undefined;
  const reason = isEvicted ? verdict.reason : kept ? old.reason || pod.status?.reason : undefined;
  const message = isEvicted ? verdict.message : kept ? old.message || pod.status?.message : undefined;
  const time = formatTime(now);
  // The node says that it ended the pod when it has.
  const disruption = isEvicted ? verdict.condition : undefined;
  const others = (pod.status?.conditions ?? [])
    .filter(({ type }) => !isKubeletCondition(type) && type !== disruption?.type)
    .map((condition) => ({ ...condition }));
  if (disruption) others.push({ lastTransitionTime: time, ...disruption });

  const podIPs = addressesOf(pod, input);
  const { generation } = pod.metadata;
  const status: PodStatus = {
    ...(generation ? { observedGeneration: generation } : {}),
    phase,
    conditions: podConditions(pod, {
      // Nobody should go on using a pod that the node is ending.
      phase: verdict ? "Failed" : phase,
      initStatuses: init,
      statuses: main,
      runtime,
      others,
      waitsForVolumes: input.waitsForVolumes ?? false,
      resize: ended ? [] : (input.resizeConditions ?? []),
      old,
      now: time,
    }),
    ...(reason ? { reason } : {}),
    ...(message ? { message } : {}),
    ...(input.hostIPs[0] ? { hostIP: input.hostIPs[0], hostIPs: input.hostIPs.map((ip) => ({ ip })) } : {}),
    ...(podIPs[0] ? { podIP: podIPs[0], podIPs: podIPs.map((ip) => ({ ip })) } : {}),
    startTime: old.startTime ?? time,
    ...(init.length > 0 ? { initContainerStatuses: init } : {}),
    containerStatuses: main,
    ...(debug.length > 0 ? { ephemeralContainerStatuses: debug } : {}),
    qosClass: old.qosClass ?? podQos(pod),
  };
  return ended ? finalStatus(pod, status) : status;
}

/** What all containers of a pod may say at their ends: a status must stay small. */
const messageBytesMax = 12 * 1024;

function shorten(pod: PodView, statuses: ContainerStatus[]): ContainerStatus[] {
  const bytesMax = Math.floor(messageBytesMax / Math.max(1, allContainers(pod).length));
  const short = (state: ContainerState | undefined): void => {
    const { terminated } = state ?? {};
    if (terminated?.message && Buffer.byteLength(terminated.message) > bytesMax)
      terminated.message = Buffer.from(terminated.message).toString("utf8", 0, bytesMax);
  };
  for (const { state, lastState } of statuses) {
    short(state);
    short(lastState);
  }
  return statuses;
}

/** A phase that ended never goes back; a verdict counts once the containers are gone. */
function finalPhase(
  pod: PodView,
  {
    computed,
    old,
    verdict,
    ended,
  }: { computed: PodPhase; old: PodStatusView; verdict?: PodVerdict | undefined; ended: boolean },
): PodPhase {
  if (isTerminalPhase(pod.status?.phase)) return pod.status?.phase as PodPhase; // checked on this line
  if (isTerminalPhase(old.phase)) return old.phase as PodPhase; // checked on this line
  if (verdict) return ended ? "Failed" : computed === "Failed" || computed === "Succeeded" ? "Running" : computed;
  return computed;
}

/** Pod addresses; those of the host when it uses the host's network. An address that was reported stays while the pod ends. */
function addressesOf(pod: PodView, { runtime, old, hostIPs }: PodStatusInput): readonly string[] {
  if (isHostNetwork(pod)) {
    const [first = hostIPs[0]] = old.podIPs?.flatMap(({ ip }) => (ip ? [ip] : [])) ?? [];
    const second = hostIPs.slice(1, 2).filter((ip) => isV6(ip) !== isV6(first ?? ""));
    return first ? [first, ...second] : [];
  }
  const sandbox = runtime.sandboxes[0];
  if (sandbox?.ready && sandbox.ips.length > 0) return primaryFirst(sandbox.ips, hostIPs[0]);
  // Between two sandboxes there is no address; after the last one the old address tells where it was.
  return (old.podIPs ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
}

const isV6 = (ip: string): boolean => ip.includes(":");

/** At most one address of each family, that of the node's family first. */
function primaryFirst(ips: readonly string[], hostIP: string | undefined): string[] {
  const preferV6 = hostIP ? isV6(hostIP) : false;
  const pick = (v6: boolean) => ips.find((ip) => isV6(ip) === v6);
  return [pick(preferV6), pick(!preferV6)].filter((ip): ip is string => ip !== undefined);
}

/** The status of a pod that the node refuses to run. */
export function refusedStatus(
  pod: PodView,
  { reason, message, now }: { reason: string; message: string; now: number },
): PodStatus {
  const { generation } = pod.metadata;
  return {
    ...(generation ? { observedGeneration: generation } : {}),
    phase: "Failed",
    reason,
    message: `Pod was rejected: ${message}`,
    startTime: formatTime(now),
    qosClass: podQos(pod),
  };
}
