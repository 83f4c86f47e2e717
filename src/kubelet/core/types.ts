/** What the pure part of the node works on: pods as the API shows them, containers as the runtime shows them. */
import type { Container, ContainerStatus, Pod, PodStatus, Service } from "#api";
import type { DeepReadonly } from "#machinery";

export type PodView = DeepReadonly<Pod>;
export type ContainerSpec = DeepReadonly<Container>;
export type PodStatusView = DeepReadonly<PodStatus>;
export type ContainerStatusView = DeepReadonly<ContainerStatus>;
export type ServiceView = DeepReadonly<Service>;

export type RuntimeState = "created" | "running" | "exited" | "unknown";

/** One container as the runtime knows it; a restarted container is a new one. Times are milliseconds, 0: not yet. */
export interface RuntimeContainer {
  readonly id: string;
  /** Name in the pod's spec. */
  readonly name: string;
  readonly sandboxId: string;
  readonly state: RuntimeState;
  readonly createdAt: number;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly exitCode: number;
  readonly reason: string;
  /** The runtime's message, then what the program left as its termination message. */
  readonly message: string;
  /** As the runtime resolved it. */
  readonly image: string;
  readonly imageRef: string;
  readonly restartCount: number;
  /** Of the spec that it was made from (see `container-hash.ts`). */
  readonly hash: string;
  readonly logPath: string;
  /** Whom it runs as; only newer runtimes tell. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] };
  /** What it may use; only newer runtimes tell. 0: they don't say. */
  readonly resources?: {
    readonly cpuRequestMilli: number;
    readonly cpuLimitMilli: number;
    readonly memoryLimitBytes: number;
  };
  /** What asks it to stop; only newer runtimes tell. */
  readonly stopSignal?: string;
}

export interface RuntimeSandbox {
  readonly id: string;
  readonly ready: boolean;
  readonly attempt: number;
  readonly createdAt: number;
  readonly hostNetwork: boolean;
  /** The runtime's name of its RuntimeClass; "": the usual one. */
  readonly handler?: string;
  /** Pod addresses, in the runtime's order; none for host network. */
  readonly ips: readonly string[];
}

/** All that the runtime has for one pod, newest first. */
export interface PodRuntime {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly sandboxes: readonly RuntimeSandbox[];
  readonly containers: readonly RuntimeContainer[];
}

export const emptyRuntime = (uid: string, namespace: string, name: string): PodRuntime => ({
  uid,
  namespace,
  name,
  sandboxes: [],
  containers: [],
});

/** The newest container of this name. */
export const newestContainer = (runtime: PodRuntime, name: string): RuntimeContainer | undefined =>
  runtime.containers.find((container) => container.name === name);

export type ProbeType = "startup" | "liveness" | "readiness";

/** What probes said so far of one container (by id); undefined: nothing yet. */
export interface ProbeResults {
  of(type: ProbeType, containerId: string): boolean | undefined;
}

export const noProbeResults: ProbeResults = { of: () => undefined };

/** Sidecar: an init container that keeps running beside the others. */
export const isSidecar = (container: ContainerSpec): boolean => container.restartPolicy === "Always";

export const isHostNetwork = (pod: PodView): boolean => pod.spec?.hostNetwork === true;

/** Debug containers; the generated type knows no required name, validation does. */
export const ephemeralContainers = (pod: PodView): readonly ContainerSpec[] =>
  (pod.spec?.ephemeralContainers ?? []) as readonly ContainerSpec[]; // see above

/** Every container of the spec, in the order they start. */
export function allContainers(pod: PodView): ContainerSpec[] {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  return [...initContainers, ...containers, ...ephemeralContainers(pod)];
}

export const containerByName = (pod: PodView, name: string): ContainerSpec | undefined =>
  allContainers(pod).find((container) => container.name === name);

/** `name_namespace(uid)`, as upstream prints a pod in messages. */
export const printPod = (pod: PodView): string => `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;

export const isTerminalPhase = (phase: string | undefined): boolean => phase === "Failed" || phase === "Succeeded";
