/** On which nodes a DaemonSet should have pods, which pods go, and how a new template replaces old pods. Pure. */
import type { DaemonSet, DaemonSetStatus, Pod, PodSpec, Toleration } from "#api";
import { compileRequiredNodes, isTolerated } from "#machinery";
import { shareOf } from "../lib/int-or-percent.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { byCreation, isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { availableInMs, isPodAvailable, isPodFinished, isPodReady, type SeenPod } from "../lib/pods.ts";

export const revisionHashLabel = "controller-revision-hash";
const templateGenerationLabel = "pod-template-generation";
const templateGenerationAnnotation = "deprecated.daemonset.template.generation";

/** Pods made or deleted in one go. */
const burstMax = 250;

/** A DaemonSet's pods stay on nodes that are in trouble: often they are what mends them. */
const standingTolerations: readonly Toleration[] = [
  { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" },
  { key: "node.kubernetes.io/disk-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/pid-pressure", operator: "Exists", effect: "NoSchedule" },
  { key: "node.kubernetes.io/unschedulable", operator: "Exists", effect: "NoSchedule" },
];
const hostNetworkToleration: Toleration = {
  key: "node.kubernetes.io/network-unavailable",
  operator: "Exists",
  effect: "NoSchedule",
};

/** A toleration that says the same in other words, or for a while only, is replaced where it stands. */
export function daemonTolerations(spec: Seen<PodSpec>): Toleration[] {
  const tolerations = (spec.tolerations ?? []).map((toleration) => ({ ...toleration }));
  for (const standing of spec.hostNetwork ? [...standingTolerations, hostNetworkToleration] : standingTolerations) {
    const isSame = ({ key, effect, operator, value }: Toleration) =>
      key === standing.key && effect === standing.effect && operator === standing.operator && !value;
    if (!tolerations.some(isSame)) tolerations.push(standing);
    else for (const [index, own] of tolerations.entries()) if (isSame(own)) tolerations[index] = standing;
  }
  return tolerations;
}

/** Which nodes want a pod, and which would keep one that is there. */
export interface Placement {
  wants(node: SeenNode): boolean;
  keeps(node: SeenNode): boolean;
}

export function createPlacement({ spec }: Seen<DaemonSet>): Placement {
  const podSpec = spec?.template.spec;
  if (!podSpec) return { wants: () => false, keeps: () => false };
  const tolerations = daemonTolerations(podSpec);
  const required = podSpec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const allows = compileRequiredNodes(podSpec.nodeSelector, required) ?? (() => true);
  const fits = (node: SeenNode) =>
    (!podSpec.nodeName || podSpec.nodeName === nameOf(node)) &&
    allows({ name: nameOf(node), labels: node.metadata.labels ?? {} });
  const bears = (node: SeenNode, effects: readonly string[]) =>
    (node.spec?.taints ?? []).every((taint) => !effects.includes(taint.effect) || isTolerated(taint, tolerations));
  return {
    wants: (node) => fits(node) && bears(node, ["NoSchedule", "NoExecute"]),
    keeps: (node) => fits(node) && bears(node, ["NoExecute"]),
  };
}

/** The node a pod is on, or meant for. */
export function targetNode(pod: SeenPod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  for (const { matchFields = [] } of required?.nodeSelectorTerms ?? []) {
    for (const { key, operator, values = [] } of matchFields) {
      if (key === "metadata.name" && operator === "In") return values.length === 1 ? values[0] : undefined;
    }
  }
  return undefined;
}

export interface DaemonState {
  readonly set: Seen<DaemonSet>;
  readonly nodes: readonly SeenNode[];
  /** Those it controls, going ones included. */
  readonly pods: readonly SeenPod[];
  /** Of today's template. */
  readonly hash: string;
  readonly now: number;
  /** How long a failed pod on this node must stay before it is replaced; 0: not at all. */
  failureWaitMs(nodeName: string): number;
}

export interface DaemonPlan {
  /** Nodes that get a pod. */
  readonly create: readonly string[];
  readonly delete: readonly SeenPod[];
  /** Those among the deleted whose containers have ended. */
  readonly finished: readonly { readonly pod: SeenPod; readonly nodeName: string }[];
  readonly againMs?: number;
}

/** Scheduled before unscheduled, older before younger. */
const bySeniority = (a: SeenPod, b: SeenPod) =>
  Number(!a.spec?.nodeName) - Number(!b.spec?.nodeName) || byCreation(a, b);

/** Without pods that have ended and are going: whoever holds them, their place is free. */
export function podsByNode(pods: readonly SeenPod[]): Map<string, SeenPod[]> {
  const found = new Map<string, SeenPod[]>();
  for (const pod of pods) {
    const node = targetNode(pod);
    if (node === undefined || (isPodFinished(pod) && isDeleting(pod))) continue;
    const others = found.get(node);
    if (others) others.push(pod);
    else found.set(node, [pod]);
  }
  return found;
}

/** First every node gets what it lacks and loses what it has too much; only when that is so, old pods make way. */
export function planDaemons(state: DaemonState): DaemonPlan {
  const placement = createPlacement(state.set);
  const onNode = podsByNode(state.pods);
  const plan = settle(state, placement, onNode);
  if (plan.create.length > 0 || plan.delete.length > 0) return cut(plan);
  if ((state.set.spec?.updateStrategy?.type ?? "RollingUpdate") !== "RollingUpdate") return plan;
  return cut({ ...plan, ...roll(state, placement, onNode) });
}

const cut = (plan: DaemonPlan): DaemonPlan => ({
  ...plan,
  create: plan.create.slice(0, burstMax),
  delete: plan.delete.slice(0, burstMax),
});

function settle(state: DaemonState, placement: Placement, onNode: Map<string, SeenPod[]>): DaemonPlan {
  const create: string[] = [];
  const remove: SeenPod[] = [];
  const finished: { pod: SeenPod; nodeName: string }[] = [];
  let againMs: number | undefined;
  const names = new Set<string>();
  for (const node of state.nodes) {
    const name = nameOf(node);
    names.add(name);
    const pods = onNode.get(name);
    const wants = placement.wants(node);
    if (wants && !pods) create.push(name);
    else if (placement.keeps(node)) {
      const running: SeenPod[] = [];
      for (const pod of pods ?? []) {
        if (isDeleting(pod)) continue;
        if (!isPodFinished(pod)) {
          running.push(pod);
          continue;
        }
        const waitMs = pod.status?.phase === "Failed" ? state.failureWaitMs(name) : 0;
        if (waitMs > 0) againMs = Math.min(againMs ?? waitMs, waitMs);
        else {
          finished.push({ pod, nodeName: name });
          remove.push(pod);
        }
      }
      running.sort(bySeniority);
      if (surgeOf(state.set, 1) === 0) remove.push(...running.slice(1));
      else if (running.length === 0 && wants) create.push(name);
      else if (running.length > 1) remove.push(...surplus(state, running));
    } else remove.push(...(pods ?? []).filter((pod) => !isDeleting(pod)));
  }
  // Nobody else would remove pods that were never scheduled to a node that is gone.
  for (const [name, pods] of onNode) {
    if (!names.has(name)) remove.push(...pods.filter((pod) => !pod.spec?.nodeName && !isDeleting(pod)));
  }
  return { create, delete: remove, finished, ...(againMs === undefined ? {} : { againMs }) };
}

/** With surge, one pod of each kind may be on a node: until the new one works, or the old one doesn't. */
function surplus({ set, hash, now }: DaemonState, running: readonly SeenPod[]): SeenPod[] {
  const isNew = (pod: SeenPod) => pod.metadata.labels?.[revisionHashLabel] === hash;
  const newest = running.find(isNew);
  const oldest = running.find((pod) => !isNew(pod));
  const remove = running.filter((pod) => pod !== newest && pod !== oldest);
  if (newest && oldest && (!isPodReady(oldest) || isAvailable(newest, set, now))) remove.push(oldest);
  return remove;
}

function isAvailable(pod: SeenPod, set: Seen<DaemonSet>, now: number): boolean {
  const { minReadySeconds } = set.spec ?? {};
  return isPodAvailable(pod, { ...(minReadySeconds ? { minReadySeconds } : {}), now });
}

function surgeOf({ spec }: Seen<DaemonSet>, nodes: number): number {
  const { type = "RollingUpdate", rollingUpdate } = spec?.updateStrategy ?? {};
  return type === "RollingUpdate" ? shareOf(rollingUpdate?.maxSurge, { total: nodes, roundUp: true }) : 0;
}

export function isUpdated(pod: SeenPod, set: Seen<DaemonSet>, hash: string): boolean {
  const labels = pod.metadata.labels ?? {};
  const generation = set.metadata.annotations?.[templateGenerationAnnotation];
  return (
    labels[revisionHashLabel] === hash || (generation !== undefined && labels[templateGenerationLabel] === generation)
  );
}

function roll(
  state: DaemonState,
  placement: Placement,
  onNode: Map<string, SeenPod[]>,
): Pick<DaemonPlan, "create" | "delete"> {
  const { set, hash, now } = state;
  const wanted = state.nodes.filter((node) => placement.wants(node)).map(nameOf);
  const maxSurge = surgeOf(set, wanted.length);
  const asked = shareOf(set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, {
    total: wanted.length,
    roundUp: true,
  });
  const maxUnavailable = maxSurge === 0 && asked === 0 && wanted.length > 0 ? 1 : asked;
  const isWanted = new Set(wanted);
  const names = new Set([...onNode.keys(), ...wanted]);
  /** Nodes that get a second pod, and old pods that go: at once, or as far as there is room. */
  const create = { must: [] as string[], may: [] as string[] };
  const remove = { must: [] as SeenPod[], may: [] as SeenPod[] };
  let inProgress = 0;
  let available = 0;
  for (const name of names) {
    const here = (onNode.get(name) ?? []).filter((pod) => !isDeleting(pod));
    const fresh = here.filter((pod) => isUpdated(pod, set, hash));
    const stale = here.filter((pod) => !isUpdated(pod, set, hash));
    const [newPod] = fresh;
    const [oldPod] = stale;
    if (fresh.length > 1 || stale.length > 1) {
      inProgress++;
      continue;
    }
    const counted = oldPod ?? newPod;
    const works = counted !== undefined && isAvailable(counted, set, now);
    if (works) available++;
    if (maxSurge === 0) {
      if (!newPod === !oldPod || !works) inProgress++;
      if (oldPod && !newPod) (works ? remove.may : remove.must).push(oldPod);
    } else if (oldPod && !newPod) {
      if (isWanted.has(name)) (works ? create.may : create.must).push(name);
      else (works ? remove.may : remove.must).push(oldPod);
    } else if (oldPod && newPod) {
      if (isAvailable(newPod, set, now)) remove.must.push(oldPod);
      else inProgress++;
    }
  }
  const surging = create.may.slice(0, Math.max(0, maxSurge - inProgress));
  // While surging, a node that isn't wanted any more keeps its working pod until enough others work.
  const spare = maxSurge === 0 ? maxUnavailable - inProgress : available - wanted.length;
  return {
    create: maxSurge === 0 ? [] : [...create.must, ...surging],
    delete: [...remove.must, ...remove.may.slice(0, Math.max(0, spare))],
  };
}

/** A pod for one node: the scheduler is asked to place it there and nowhere else. */
export function daemonPod(
  pod: Pod,
  { nodeName, set, hash }: { nodeName: string; set: Seen<DaemonSet>; hash: string },
): Pod {
  const generation = set.metadata.annotations?.[templateGenerationAnnotation];
  const { affinity, ...spec } = pod.spec ?? { containers: [] };
  const nodeAffinity = {
    ...affinity?.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [nodeName] }] }],
    },
  };
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      labels: {
        ...pod.metadata.labels,
        [revisionHashLabel]: hash,
        ...(generation === undefined ? {} : { [templateGenerationLabel]: generation }),
      },
    },
    spec: { ...spec, tolerations: daemonTolerations(spec), affinity: { ...affinity, nodeAffinity } },
  };
}

/** `observed`: the set was acted on, not only looked at. */
export function daemonStatus(state: DaemonState, { observed }: { observed: boolean }): DaemonSetStatus {
  const { set, nodes, pods, hash, now } = state;
  const placement = createPlacement(set);
  const onNode = podsByNode(pods);
  const count = { desired: 0, current: 0, misscheduled: 0, ready: 0, available: 0, updated: 0 };
  for (const node of nodes) {
    const [pod] = (onNode.get(nameOf(node)) ?? []).toSorted(bySeniority);
    if (!placement.wants(node)) {
      if (pod) count.misscheduled++;
      continue;
    }
    count.desired++;
    if (!pod) continue;
    count.current++;
    if (isPodReady(pod)) count.ready++;
    if (isAvailable(pod, set, now)) count.available++;
    if (isUpdated(pod, set, hash)) count.updated++;
  }
  const { collisionCount, conditions, observedGeneration = 0 } = set.status ?? {};
  return {
    currentNumberScheduled: count.current,
    numberMisscheduled: count.misscheduled,
    desiredNumberScheduled: count.desired,
    numberReady: count.ready,
    observedGeneration: observed ? (set.metadata.generation ?? 0) : observedGeneration,
    updatedNumberScheduled: count.updated,
    numberAvailable: count.available,
    numberUnavailable: count.desired - count.available,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions ? { conditions: conditions.map((condition) => ({ ...condition })) } : {}),
  };
}

/** When the next ready pod will count as available. */
export function nextAvailabilityMs({ set, pods, now }: Pick<DaemonState, "set" | "pods" | "now">): number | undefined {
  const { minReadySeconds } = set.spec ?? {};
  if (!minReadySeconds) return undefined;
  const left = pods.map((pod) => availableInMs(pod, { minReadySeconds, now })).filter((ms) => ms !== undefined);
  return left.length > 0 ? Math.min(...left) : undefined;
}

export function describeFinished({ pod, nodeName }: DaemonPlan["finished"][number]) {
  const isFailed = pod.status?.phase === "Failed";
  const [what, end] = isFailed ? ["failed", "kill"] : ["succeeded", "delete"];
  const message = `Found ${what} daemon pod ${namespaceOf(pod)}/${nameOf(pod)} on node ${nodeName}, will try to ${end} it`;
  return isFailed
    ? ({ type: "Warning", reason: "FailedDaemonPod", message } as const)
    : ({ type: "Normal", reason: "SucceededDaemonPod", message } as const);
}
