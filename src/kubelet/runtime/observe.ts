/**
 * Pods as the runtime has them. One list of sandboxes and one of containers tell the states; the details of a container are asked
 * for only when its state changed, since they can't change otherwise.
 */
import type { CriClient } from "../cri/client.ts";
import { CriError } from "../cri/client.ts";
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Decoded,
  LinuxContainerResources,
  PodSandbox,
} from "../cri/types.d.ts";
import { annotation, label } from "../core/labels.ts";
import { milliOfQuota, milliOfShares } from "../core/resources.ts";
import type { PodRuntime, RuntimeContainer, RuntimeSandbox, RuntimeState } from "../core/types.ts";
import { terminationMessage } from "./termination-message.ts";

export interface RuntimeObserver {
  /** What the runtime has for this pod now. */
  pod(uid: string, about: { namespace: string; name: string }): Promise<PodRuntime>;
  /** Every pod that the runtime has something of. */
  all(): Promise<PodRuntime[]>;
  /** The pod of a sandbox or container seen in some answer, or noted. */
  podOf(id: string): string | undefined;
  /** A sandbox or container was made for this pod: it may end before anybody looks. */
  note(id: string, uid: string): void;
  /** When something was last listed. */
  seenAt(): number;
  /** Something else than this container's state changed: its details are asked for again. */
  forget(id: string): void;
}

const states: Readonly<Record<ContainerState, RuntimeState>> = {
  CONTAINER_CREATED: "created",
  CONTAINER_RUNNING: "running",
  CONTAINER_EXITED: "exited",
  CONTAINER_UNKNOWN: "unknown",
};

export function createObserver({ runtime }: CriClient, { now }: { now: () => number }): RuntimeObserver {
  const containers = new Map<string, { state: string; uid: string; value: RuntimeContainer }>();
  const sandboxes = new Map<string, { state: string; uid: string; value: RuntimeSandbox }>();

  /** Made, but not seen yet. */
  const noted = new Map<string, string>();
  let seenAt = now();

  async function sandboxOf(one: Decoded<PodSandbox>): Promise<RuntimeSandbox | undefined> {
    const known = sandboxes.get(one.id);
    if (known?.state === one.state) return known.value;
    const value: RuntimeSandbox | undefined = await orGone(async () => {
      const { status } = await runtime.podSandboxStatus({ podSandboxId: one.id });
      const first = status?.network?.ip;
      const hostNetwork = status?.linux?.namespaces?.options?.network === "NODE";
      return {
        id: one.id,
        ready: status?.state === "SANDBOX_READY",
        attempt: one.metadata?.attempt ?? 0,
        createdAt: nanoToMs(one.createdAt),
        hostNetwork,
        handler: one.runtimeHandler,
        ips: first ? [first, ...(status?.network?.additionalIps ?? []).map(({ ip }) => ip)] : [],
      };
    });
    if (value) sandboxes.set(one.id, { state: one.state, uid: one.labels[label.podUid] ?? "", value });
    return value;
  }

  async function containerOf(one: Decoded<Container>): Promise<RuntimeContainer | undefined> {
    const known = containers.get(one.id);
    if (known?.state === one.state && !mayTurnOomKilled(known.value, now())) return known.value;
    const value = await orGone(async () => {
      const { status } = await runtime.containerStatus({ containerId: one.id });
      return status && (await readStatus(status, one.podSandboxId));
    });
    // The state may have moved on between the list and the status; remember the one that the details belong to.
    if (value) containers.set(one.id, { state: stateName(value.state), uid: one.labels[label.podUid] ?? "", value });
    return value;
  }

  function forgetMissing(uid: string | undefined, present: ReadonlySet<string>): void {
    for (const known of [containers, sandboxes])
      for (const [id, entry] of known)
        if ((uid === undefined || entry.uid === uid) && !present.has(id)) known.delete(id);
  }

  async function observe(uid?: string): Promise<Map<string, PodRuntime>> {
    const filter = uid === undefined ? {} : { filter: { labelSelector: { [label.podUid]: uid } } };
    const [sandboxList, containerList] = await Promise.all([
      runtime.listPodSandbox(filter),
      runtime.listContainers(filter),
    ]);
    seenAt = now();
    const pods = new Map<
      string,
      { namespace: string; name: string; sandboxes: RuntimeSandbox[]; containers: RuntimeContainer[] }
    >();
    const podOf = (labels: Record<string, string>) => {
      const id = labels[label.podUid] ?? "";
      let pod = pods.get(id);
      if (!pod) {
        pod = {
          namespace: labels[label.podNamespace] ?? "",
          name: labels[label.podName] ?? "",
          sandboxes: [],
          containers: [],
        };
        pods.set(id, pod);
      }
      return pod;
    };
    await Promise.all([
      ...sandboxList.items.map(async (one) => {
        const value = one.labels[label.podUid] ? await sandboxOf(one) : undefined;
        if (value) podOf(one.labels).sandboxes.push(value);
      }),
      ...containerList.containers.map(async (one) => {
        const value = one.labels[label.podUid] ? await containerOf(one) : undefined;
        if (value) podOf(one.labels).containers.push(value);
      }),
    ]);
    const present = [...sandboxList.items, ...containerList.containers].map(({ id }) => id);
    for (const id of present) noted.delete(id);
    forgetMissing(uid, new Set(present));
    const result = new Map<string, PodRuntime>();
    for (const [id, pod] of pods) {
      pod.sandboxes.sort((a, b) => b.createdAt - a.createdAt || b.attempt - a.attempt);
      pod.containers.sort((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount);
      result.set(id, { uid: id, ...pod });
    }
    return result;
  }

  return {
    async pod(uid, about) {
      return (await observe(uid)).get(uid) ?? { uid, ...about, sandboxes: [], containers: [] };
    },
    all: async () => [...(await observe()).values()],
    podOf: (id) => (containers.get(id) ?? sandboxes.get(id))?.uid ?? noted.get(id),
    note: (id, uid) => void noted.set(id, uid),
    seenAt: () => seenAt,
    forget(id) {
      const known = containers.get(id);
      if (known) containers.set(id, { ...known, state: "" });
    },
  };
}

/** How long the runtime may take to learn that it was the kernel that killed a container for its memory. */
const oomNewsMs = 2000;

/** Killed a moment ago: the reason may still change to OOMKilled. */
export const mayTurnOomKilled = ({ state, exitCode, reason, finishedAt }: RuntimeContainer, now: number): boolean =>
  state === "exited" && exitCode === 137 && reason === "Error" && Math.abs(now - finishedAt) < oomNewsMs;

const stateName = (state: RuntimeState): string =>
  Object.entries(states).find(([, value]) => value === state)?.[0] ?? "";

async function readStatus(status: Decoded<ContainerStatus>, sandboxId: string): Promise<RuntimeContainer> {
  const state = states[status.state] ?? "unknown";
  const left = state === "exited" ? await terminationMessage(status) : "";
  return {
    id: status.id,
    name: status.labels[label.containerName] ?? status.metadata?.name ?? "",
    sandboxId,
    state,
    createdAt: nanoToMs(status.createdAt),
    startedAt: nanoToMs(status.startedAt),
    finishedAt: nanoToMs(status.finishedAt),
    exitCode: status.exitCode,
    reason: status.reason,
    message: [status.message, left].filter(Boolean).join(": "),
    image: status.image?.image ?? "",
    imageRef: status.imageRef,
    restartCount: Number(status.annotations[annotation.restartCount] ?? status.metadata?.attempt ?? 0),
    hash: status.annotations[annotation.hash] ?? "",
    logPath: status.logPath,
    ...(status.user?.linux ? { user: status.user.linux } : {}),
    ...(status.stopSignal && status.stopSignal !== "RUNTIME_DEFAULT" ? { stopSignal: status.stopSignal } : {}),
    ...limitsOf(status.resources?.linux),
  };
}

/** Undefined as long as the runtime tells nothing (containerd before 1.7). */
function limitsOf(linux: Decoded<LinuxContainerResources> | undefined) {
  if (!linux) return {};
  const { cpuShares, cpuQuota, cpuPeriod, memoryLimitInBytes } = linux;
  const cpuLimitMilli = milliOfQuota(cpuQuota, cpuPeriod);
  const cpuRequestMilli = milliOfShares(cpuShares);
  if (!cpuLimitMilli && !cpuRequestMilli && memoryLimitInBytes <= 0) return {};
  return { resources: { cpuRequestMilli, cpuLimitMilli, memoryLimitBytes: Math.max(0, memoryLimitInBytes) } };
}

const nanoToMs = (nano: number): number => (nano > 0 ? Math.floor(nano / 1e6) : 0);

/** Something that was removed between the list and the question is no error. */
async function orGone<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof CriError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}
