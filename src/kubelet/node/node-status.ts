/** A node's status from what is known of the machine and the runtime. Pure; reasons and messages are upstream's. */
import type { Node, NodeCondition, NodeStatus } from "#api";
import { type DeepReadonly, formatTime } from "#machinery";
import { same } from "../pods/status-patch.ts";
import type { NodeAmounts } from "../resources/amounts.ts";
import type { RuntimeAbilities } from "../runtime/abilities.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import type { DiskSpace, MachineFacts } from "./machine.ts";

export interface NodeStatusInput {
  readonly machine: MachineFacts;
  readonly addresses: readonly string[];
  readonly nodeName: string;
  readonly amounts: NodeAmounts;
  readonly kubeletVersion: string;
  /** `containerd://1.6.20`. */
  readonly runtimeVersion: string;
  /** Of the kubelet's HTTPS server; 0: none. */
  readonly port: number;
  readonly disk: DiskSpace;
  readonly pressures: readonly PressureCondition[];
  /** Why pods can't run; empty: they can. */
  readonly problems: readonly string[];
  readonly images: readonly { readonly names: readonly string[]; readonly sizeBytes: number }[];
  /** -1: all. */
  readonly imagesMax?: number;
  readonly abilities?: RuntimeAbilities;
  /** Volumes that must stay attached. */
  readonly volumesInUse?: readonly string[];
  readonly now: number;
}

/** A node with very many images would make a large object. */
const imagesMaxDefault = 50;
const imageNamesMax = 5;

export function nodeStatus(old: DeepReadonly<NodeStatus>, input: NodeStatusInput): NodeStatus {
  const { machine, nodeName, imagesMax = imagesMaxDefault } = input;
  const own = input.amounts.capacity;
  // What others say that the node has besides is there for pods.
  const foreign = Object.fromEntries(Object.entries(old.capacity ?? {}).filter(([name]) => own[name] === undefined));
  return {
    capacity: { ...foreign, ...own },
    allocatable: { ...foreign, ...input.amounts.allocatable },
    conditions: conditionsOf(old, input),
    addresses: [
      ...input.addresses.map((address) => ({ type: "InternalIP", address })),
      { type: "Hostname", address: nodeName },
    ],
    ...(input.port > 0 ? { daemonEndpoints: { kubeletEndpoint: { Port: input.port } } } : {}),
    nodeInfo: {
      machineID: machine.machineId,
      systemUUID: machine.systemUuid,
      bootID: machine.bootId,
      kernelVersion: machine.kernelVersion,
      osImage: machine.osImage,
      containerRuntimeVersion: withoutPackaging(input.runtimeVersion),
      kubeletVersion: input.kubeletVersion,
      kubeProxyVersion: "",
      operatingSystem: "linux",
      architecture: machine.architecture,
      ...(machine.swapBytes > 0 ? { swap: { capacity: machine.swapBytes } } : {}),
    },
    ...(input.volumesInUse?.length || old.volumesInUse ? { volumesInUse: [...(input.volumesInUse ?? [])] } : {}),
    images: [...input.images]
      .sort((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, imagesMax < 0 ? Infinity : imagesMax)
      .map(({ names, sizeBytes }) => ({ names: names.slice(0, imageNamesMax), sizeBytes })),
    ...(input.abilities?.handlers.length ? { runtimeHandlers: [...input.abilities.handlers] } : {}),
    ...(input.abilities?.features ? { features: input.abilities.features } : {}),
    declaredFeatures: [...declaredFeatures],
  };
}

/** What pods may use that nodes of earlier releases don't know: the scheduler and the API server ask for it. Sorted. */
const declaredFeatures = [
  "ExtendWebSocketsToKubelet",
  "InPlacePodLevelResourcesVerticalScaling",
  "RestartAllContainersOnContainerExits",
];

function conditionsOf(old: DeepReadonly<NodeStatus>, input: NodeStatusInput): NodeCondition[] {
  const { pressures, problems } = input;
  const list: [string, boolean, string, string][] = [
    pressures.includes("MemoryPressure")
      ? ["MemoryPressure", true, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"]
      : ["MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
    pressures.includes("DiskPressure")
      ? ["DiskPressure", true, "KubeletHasDiskPressure", "kubelet has disk pressure"]
      : ["DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
    pressures.includes("PIDPressure")
      ? ["PIDPressure", true, "KubeletHasInsufficientPID", "kubelet has insufficient PID available"]
      : ["PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"],
    problems.length > 0
      ? ["Ready", false, "KubeletNotReady", problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`]
      : ["Ready", true, "KubeletReady", "kubelet is posting ready status"],
  ];
  const time = formatTime(input.now);
  return list.map(([type, is, reason, message]) => {
    const status = is ? "True" : "False";
    const before = old.conditions?.find((condition) => condition.type === type);
    return {
      type,
      status,
      lastHeartbeatTime: time,
      lastTransitionTime: before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : time,
      reason,
      message,
    };
  });
}

/** Debian's `1.6.20~ds1` is 1.6.20: a version that is no semantic one is its numbers. */
const withoutPackaging = (runtime: string): string =>
  /^\w+:\/\/v?\d+\.\d+\.\d+(?:[-+][\w.+-]+)?$/.test(runtime)
    ? runtime
    : (/^\w+:\/\/v?\d+(?:\.\d+)*/.exec(runtime)?.[0] ?? runtime);

/** Does it differ in more than the time of the heartbeat? */
export function statusChanged(from: DeepReadonly<NodeStatus>, to: NodeStatus): boolean {
  const plain = (status: DeepReadonly<NodeStatus>) => ({
    ...status,
    conditions: (status.conditions ?? []).map(({ lastHeartbeatTime, ...rest }) => rest),
  });
  const known = plain(from);
  return Object.entries(plain(to)).some(([field, value]) =>
    field === "conditions"
      ? (value as { type: string }[]).some(
          (condition) =>
            !same(
              known.conditions.find(({ type }) => type === condition.type),
              condition,
            ),
        ) // of that field
      : !same(known[field as keyof typeof known], value),
  );
}

/** Strategic merge: conditions by type (others write some too), everything else as a whole. */
export function nodeStatusPatch(status: NodeStatus, old: DeepReadonly<NodeStatus>): object {
  const { allocatable = {}, addresses = [] } = status;
  const gone = Object.keys(old.allocatable ?? {}).filter((name) => allocatable[name] === undefined);
  return {
    status: {
      ...status,
      addresses: [{ $patch: "replace" }, ...addresses],
      allocatable: { ...allocatable, ...Object.fromEntries(gone.map((name) => [name, null])) },
    },
  };
}

export interface NodeIdentity {
  readonly nodeName: string;
  readonly machine: MachineFacts;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly providerID?: string;
  /** Attaching volumes is the controllers' matter: true when missing. */
  readonly isAttachControlled?: boolean;
}

const attachAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach";

/** The object that a node registers itself with. */
export function newNode(identity: NodeIdentity, status: NodeStatus): Node {
  const { nodeName, machine, labels, taints, annotations, providerID, isAttachControlled = true } = identity;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: nodeName,
      labels: { ...defaultLabels(nodeName, machine), ...labels },
      annotations: { ...(isAttachControlled ? { [attachAnnotation]: "true" } : {}), ...annotations },
    },
    spec: {
      ...(providerID ? { providerID } : {}),
      ...(taints.length > 0 ? { taints: taints.map((taint) => ({ ...taint })) } : {}),
    },
    status,
  };
}

/** Labels that a node goes on saying of itself; others are given once and belong to whoever changes them. */
const kept = new Set([
  ...["hostname", "os", "arch"].map((name) => `kubernetes.io/${name}`),
  ...["os", "arch", "instance-type"].map((name) => `beta.kubernetes.io/${name}`),
  ...["topology.kubernetes.io", "failure-domain.beta.kubernetes.io"].flatMap((at) => [`${at}/zone`, `${at}/region`]),
  "node.kubernetes.io/instance-type",
]);

/** What of an existing node's labels and annotations is to be put right; undefined: nothing. A null removes. */
export function reconciledMetadata(wanted: Node, existing: DeepReadonly<Node>): object | undefined {
  const differing = (
    from: Readonly<Record<string, string>> = {},
    to: Record<string, string | null> = {},
  ): Record<string, string | null> =>
    Object.fromEntries(Object.entries(to).filter(([key, value]) => (from[key] ?? null) !== value));
  const labels = Object.entries(wanted.metadata.labels ?? {}).filter(([key]) => kept.has(key));
  const patch = {
    labels: differing(existing.metadata.labels, Object.fromEntries(labels)),
    annotations: differing(existing.metadata.annotations, {
      [attachAnnotation]: null,
      ...wanted.metadata.annotations,
    }),
  };
  return Object.values(patch).some((each) => Object.keys(each).length > 0) ? patch : undefined;
}

export const defaultLabels = (nodeName: string, { architecture }: MachineFacts): Record<string, string> => ({
  "beta.kubernetes.io/arch": architecture,
  "beta.kubernetes.io/os": "linux",
  "kubernetes.io/arch": architecture,
  "kubernetes.io/hostname": nodeName,
  "kubernetes.io/os": "linux",
});
