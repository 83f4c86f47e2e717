/** The conditions that the node owns in a pod's status. */
import type { PodCondition } from "#api";
import { anyStarted, type PodPhase } from "./phase.ts";
import { mayRestartAll, restartingAll, restartingAllVerdict } from "./restart-all.ts";
import { currentSandbox } from "./sandbox-state.ts";
import { type ContainerStatusView, isSidecar, type PodRuntime, type PodStatusView, type PodView } from "./types.ts";

type Verdict = Pick<PodCondition, "status" | "reason" | "message">;

const kubeletConditions = new Set([
  "PodReadyToStartContainers",
  "Initialized",
  "Ready",
  "ContainersReady",
  "PodScheduled",
  "PodResizePending",
  "PodResizeInProgress",
  restartingAll.condition,
]);

export const isKubeletCondition = (type: string): boolean => kubeletConditions.has(type);

export interface ConditionInput {
  readonly phase: PodPhase;
  readonly initStatuses: readonly ContainerStatusView[];
  readonly statuses: readonly ContainerStatusView[];
  readonly runtime: PodRuntime;
  /** Of the pod as the API shows it: source of readiness gates, kept as they are. */
  readonly others: readonly PodCondition[];
  /** Its volumes aren't all there yet. */
  readonly waitsForVolumes: boolean;
  /** Of a change of resources under way. */
  readonly resize: readonly PodCondition[];
  /** What was reported last, for transition times. */
  readonly old: PodStatusView;
  /** RFC 3339. */
  readonly now: string;
}

/** All conditions of the pod: ours, then those of others. */
export function podConditions(pod: PodView, input: ConditionInput): PodCondition[] {
  const { runtime, others, resize, old, now } = input;
  const containersReady = containersReadyVerdict(pod, input);
  const { sandbox, wrong } = currentSandbox(pod, runtime);
  // A node that was started again sets volumes up once more, beside what runs.
  const isWaiting = input.waitsForVolumes && runtime.containers.length === 0;
  const verdicts: [string, Verdict][] = [
    ["PodReadyToStartContainers", verdict(sandbox !== undefined && !wrong && !isWaiting)],
    ["Initialized", initializedVerdict(pod, input)],
    ["Ready", containersReady.status === "True" ? gatesVerdict(pod, others) : containersReady],
    ["ContainersReady", containersReady],
    ["PodScheduled", verdict(true)],
    ...(mayRestartAll(pod)
      ? [[restartingAll.condition, restartingAllVerdict(pod, input)] satisfies [string, Verdict]]
      : []),
  ];
  const generation = pod.metadata.generation;
  const ours = verdicts.map(([type, { status, reason, message }]): PodCondition => {
    const before = old.conditions?.find((condition) => condition.type === type);
    return {
      type,
      ...(generation && type !== restartingAll.condition ? { observedGeneration: generation } : {}),
      status,
      lastTransitionTime: before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : now,
      ...(reason ? { reason } : {}),
      ...(message ? { message } : {}),
    };
  });
  return [...others, ...resize, ...ours];
}

const verdict = (ok: boolean): Verdict => ({ status: ok ? "True" : "False" });

function initializedVerdict(pod: PodView, { phase, initStatuses, statuses, old }: ConditionInput): Verdict {
  const specs = pod.spec?.initContainers ?? [];
  const byName = new Map([...initStatuses, ...statuses].map((status) => [status.name, status]));
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const container of specs) {
    const status = byName.get(container.name);
    if (!status) unknown.push(container.name);
    else if (isSidecar(container) ? status.started !== true : !status.ready) incomplete.push(container.name);
  }
  if (phase === "Succeeded" && unknown.length === 0) return { status: "True", reason: "PodCompleted" };
  if (anyStarted(pod, byName)) return verdict(true);
  // Once initialized is always initialized, also while init containers run again.
  if (old.conditions?.some(({ type, status }) => type === "Initialized" && status === "True")) return verdict(true);
  return problems("ContainersNotInitialized", [
    ["containers with unknown status", unknown],
    ["containers with incomplete status", incomplete],
  ]);
}

function containersReadyVerdict(pod: PodView, { phase, initStatuses, statuses }: ConditionInput): Verdict {
  const byName = new Map([...initStatuses, ...statuses].map((status) => [status.name, status]));
  const unknown: string[] = [];
  const unready: string[] = [];
  const counted = [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])];
  for (const { name } of counted) {
    const status = byName.get(name);
    if (!status) unknown.push(name);
    else if (!status.ready) unready.push(name);
  }
  if (phase === "Succeeded" && unknown.length === 0) return { status: "False", reason: "PodCompleted" };
  if (phase === "Failed") return { status: "False", reason: "PodFailed" };
  return problems("ContainersNotReady", [
    ["containers with unknown status", unknown],
    ["containers with unready status", unready],
  ]);
}

/** Ready also needs every readiness gate, which somebody else reports as a condition. */
function gatesVerdict(pod: PodView, others: readonly PodCondition[]): Verdict {
  const messages = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = others.find(({ type }) => type === conditionType);
    if (!found)
      return [`corresponding condition of pod readiness gate ${JSON.stringify(conditionType)} does not exist.`];
    if (found.status === "True") return [];
    return [`the status of pod readiness gate ${JSON.stringify(conditionType)} is not "True", but ${found.status}`];
  });
  return messages.length === 0
    ? verdict(true)
    : { status: "False", reason: "ReadinessGatesNotReady", message: messages.join(", ") };
}

function problems(reason: string, lists: readonly (readonly [string, readonly string[]])[]): Verdict {
  const found = lists.filter(([, names]) => names.length > 0).map(([what, names]) => `${what}: [${names.join(" ")}]`);
  return found.length === 0 ? verdict(true) : { status: "False", reason, message: found.join(", ") };
}
