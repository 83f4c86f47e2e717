/**
 * The whole status of a pod as the node reports it. Pure: everything it depends on comes in, so a status can be made at any moment
 * (a probe turned, a container ended) without asking the runtime.
 */
import type { PodCondition, PodStatus } from "#api";
import { isKubeletCondition, podConditions } from "./conditions.ts";
import { containerStatuses, type StartProblem } from "./container-status.ts";
import { type PodPhase, podPhase } from "./phase.ts";
import { podQos } from "./qos.ts";
import { formatTime } from "#machinery";
import {
  ephemeralContainers,
  isHostNetwork,
  isTerminalPhase,
  type PodRuntime,
  type PodStatusView,
  type PodView,
  type ProbeResults,
} from "./types.ts";

/** A verdict on the whole pod from outside its containers: eviction, deadline, refusal. */
export interface PodVerdict {
  readonly phase: "Failed";
  readonly reason: string;
  readonly message: string;
  /** Also reported: DisruptionTarget of an eviction. */
  readonly condition?: PodCondition;
}

export interface PodStatusInput {
  readonly runtime: PodRuntime;
  readonly runtimeName: string;
  readonly probes: ProbeResults;
  readonly problems: ReadonlyMap<string, StartProblem>;
  /** What was reported last; of the API when the node just started. */
  readonly old: PodStatusView;
  readonly hostIPs: readonly string[];
  readonly now: number;
  /** Every container was stopped for good (deletion, eviction, deadline). */
  readonly ended: boolean;
  readonly verdict: PodVerdict | undefined;
}

export function podStatus(pod: PodView, input: PodStatusInput): PodStatus {
  const { runtime, old, now, verdict, ended } = input;
  const common = { ...input, problems: input.problems, ended };
  const init = containerStatuses(pod, pod.spec?.initContainers ?? [], {
    ...common,
    old: old.initContainerStatuses ?? [],
    isInit: true,
  });
  const main = containerStatuses(pod, pod.spec?.containers ?? [], {
    ...common,
    old: old.containerStatuses ?? [],
    isInit: false,
  });
  const debug = containerStatuses(pod, ephemeralContainers(pod), {
    ...common,
    old: old.ephemeralContainerStatuses ?? [],
    isInit: false,
  });
  const phase = finalPhase(pod, { computed: podPhase(pod, [...init, ...main], { ended }), ...input });
  const keepsReason = phase === old.phase && verdict === undefined;
  const reason = verdict && phase === "Failed" && ended ? verdict.reason : keepsReason ? old.reason : undefined;
  const message = verdict && phase === "Failed" && ended ? verdict.message : keepsReason ? old.message : undefined;
  const time = formatTime(now);
  const others = (pod.status?.conditions ?? [])
    .filter(({ type }) => !isKubeletCondition(type) && type !== verdict?.condition?.type)
    .map((condition) => ({ ...condition }));
  if (verdict?.condition) others.push({ lastTransitionTime: time, ...verdict.condition });

  const podIPs = addressesOf(pod, input);
  const generation = pod.metadata.generation;
  return {
    ...(generation ? { observedGeneration: generation } : {}),
    phase,
    conditions: podConditions(pod, {
      phase,
      initStatuses: init,
      statuses: main,
      runtime,
      others,
      old: old.conditions ?? [],
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
  if (isHostNetwork(pod)) return hostIPs.slice(0, 1);
  const sandbox = runtime.sandboxes[0];
  if (sandbox?.ready && sandbox.ips.length > 0) return primaryFirst(sandbox.ips, hostIPs[0]);
  // Between two sandboxes there is no address; after the last one the old address tells where it was.
  return (old.podIPs ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
}

/** At most one address of each family, that of the node's family first. */
function primaryFirst(ips: readonly string[], hostIP: string | undefined): string[] {
  const isV6 = (ip: string) => ip.includes(":");
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
