/** What `kubectl get pods` shows. The words for STATUS follow upstream's printers: scripts match on them. */
import { ageColumn, none, printAge } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import { isSidecar } from "../../pod-spec/containers-of.ts";
import type { Container, ContainerStateTerminated, ContainerStatus, Pod } from "../../types.d.ts";

interface Summary {
  readonly ready: number;
  readonly total: number;
  readonly status: string;
  readonly restarts: number;
  /** When the last restart happened; "" for never. */
  readonly lastRestart: string;
}

interface Restarts {
  count: number;
  last: string;
}

function countRestarts(restarts: Restarts, { restartCount = 0, lastState }: ContainerStatus): void {
  restarts.count += restartCount;
  const finished = lastState?.terminated?.finishedAt ?? "";
  if (finished > restarts.last) restarts.last = finished;
}

export function summarizePod(pod: Pod): Summary {
  const { spec, status = {}, metadata } = pod;
  const initContainers = new Map(spec?.initContainers?.map((each) => [each.name, each]));
  const total = (spec?.containers?.length ?? 0) + [...initContainers.values()].filter(isSidecar).length;
  const phase = status.phase ?? "";
  const isGated = status.conditions?.some(
    ({ type, reason }) => type === "PodScheduled" && reason === "SchedulingGated",
  );
  let text = isGated ? "SchedulingGated" : status.reason || phase;

  const init = summarizeInit(status.initContainerStatuses ?? [], initContainers);
  let { ready, restarts } = init;
  if (init.waitsFor !== undefined) text = init.waitsFor;
  if (init.waitsFor === undefined || isTrue(pod, "Initialized")) {
    restarts = init.sidecarRestarts;
    let hasRunning = false;
    for (const container of [...(status.containerStatuses ?? [])].reverse()) {
      countRestarts(restarts, container);
      const reason = reasonOf(container);
      if (reason !== undefined) text = reason;
      else if (container.ready && container.state?.running) {
        hasRunning = true;
        ready++;
      }
    }
    if (text === "Completed" && hasRunning) text = isTrue(pod, "Ready") ? "Running" : "NotReady";
  }
  if (metadata?.deletionTimestamp) {
    if (status.reason === "NodeLost") text = "Unknown";
    else if (phase !== "Failed" && phase !== "Succeeded") text = "Terminating";
  }
  return { ready, total, status: text, restarts: restarts.count, lastRestart: restarts.last };
}

const isTrue = ({ status }: Pod, condition: string): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === condition && value === "True") ?? false;

/** Why a container isn't running; undefined when it says nothing. */
function reasonOf({ state }: ContainerStatus): string | undefined {
  if (state?.waiting?.reason) return state.waiting.reason;
  return state?.terminated && endOf(state.terminated);
}

const endOf = ({ reason, signal, exitCode }: ContainerStateTerminated): string =>
  reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode ?? 0}`);

interface InitSummary {
  readonly ready: number;
  readonly restarts: Restarts;
  readonly sidecarRestarts: Restarts;
  /** What the pod is still doing before its containers start; undefined when it is done. */
  readonly waitsFor: string | undefined;
}

function summarizeInit(statuses: readonly ContainerStatus[], containers: ReadonlyMap<string, Container>): InitSummary {
  const restarts: Restarts = { count: 0, last: "" };
  const sidecarRestarts: Restarts = { count: 0, last: "" };
  let ready = 0;
  for (const [i, container] of statuses.entries()) {
    const { state, started } = container;
    const isBeside = isSidecar(containers.get(container.name));
    countRestarts(restarts, container);
    if (isBeside) countRestarts(sidecarRestarts, container);
    if (state?.terminated && !state.terminated.exitCode) continue;
    if (isBeside && started) {
      if (container.ready) ready++;
      continue;
    }
    let waitsFor = `Init:${i}/${containers.size}`;
    const waiting = state?.waiting?.reason;
    if (state?.terminated) waitsFor = `Init:${endOf(state.terminated)}`;
    else if (waiting && waiting !== "PodInitializing") waitsFor = `Init:${waiting}`;
    return { ready, restarts, sidecarRestarts, waitsFor };
  }
  return { ready, restarts, sidecarRestarts, waitsFor: undefined };
}

function printRestarts({ restarts, lastRestart }: Summary, now: number): string {
  return lastRestart === "" ? String(restarts) : `${restarts} (${printAge(lastRestart, now)} ago)`;
}

function printGates({ spec, status }: Pod): string {
  const gates = spec?.readinessGates ?? [];
  if (gates.length === 0) return none;
  const open = gates.filter(({ conditionType }) => {
    return status?.conditions?.find(({ type }) => type === conditionType)?.status === "True";
  });
  return `${open.length}/${gates.length}`;
}

export const podColumns: readonly Column<Pod>[] = [
  {
    name: "Ready",
    type: "string",
    description: "The aggregate readiness state of this pod for accepting traffic.",
    of: (pod) => {
      const { ready, total } = summarizePod(pod);
      return `${ready}/${total}`;
    },
  },
  {
    name: "Status",
    type: "string",
    description: "The aggregate status of the containers in this pod.",
    of: (pod) => summarizePod(pod).status,
  },
  {
    name: "Restarts",
    type: "string",
    description:
      "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    of: (pod, now) => printRestarts(summarizePod(pod), now),
  },
  ageColumn,
  {
    name: "IP",
    type: "string",
    priority: 1,
    description: { field: "V1PodStatus.podIP" },
    of: ({ status }) => status?.podIPs?.[0]?.ip || none,
  },
  {
    name: "Node",
    type: "string",
    priority: 1,
    description: { field: "V1PodSpec.nodeName" },
    of: ({ spec }) => spec?.nodeName || none,
  },
  {
    name: "Nominated Node",
    type: "string",
    priority: 1,
    description: { field: "V1PodStatus.nominatedNodeName" },
    of: ({ status }) => status?.nominatedNodeName || none,
  },
  {
    name: "Readiness Gates",
    type: "string",
    priority: 1,
    description: { field: "V1PodSpec.readinessGates" },
    of: printGates,
  },
];

const endings: Readonly<Record<string, string>> = {
  Succeeded: "The pod has completed successfully.",
  Failed: "The pod failed.",
};

/** Finished pods are marked, so that clients may grey them out. */
export function podRowConditions({ status }: Pod): { type: string; status: string; reason: string; message: string }[] {
  const phase = status?.phase ?? "";
  const message = endings[phase];
  return message ? [{ type: "Completed", status: "True", reason: phase, message }] : [];
}
