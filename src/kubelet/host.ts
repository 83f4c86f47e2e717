/** What the node's HTTPS server (logs, exec, attach, port-forward, stats) needs to know of pods and containers. */
import type { ContainerStatus, Pod, PodStatus } from "#api";
import { containerByName, newestContainer, type PodRuntime, type PodView } from "./core/types.ts";
import type { CriClient } from "./cri/client.ts";
import type { PodManager } from "./pods/pod-manager.ts";

export interface KubeletHost {
  readonly nodeName: string;
  readonly cri: CriClient;
  /** All pods of this node, with the status that the node made last. */
  pods(): Pod[];
  /** Undefined: no such pod here. `uid` "": any. */
  findPod(namespace: string, name: string, uid?: string): HostedPod | undefined;
  /** Calls back whenever the node has looked at the pod; the answer stops it. */
  onLook(pod: HostedPod, listener: () => void): () => void;
  /** The running container of this name. Throws HostError with upstream's text. */
  runningContainer(pod: HostedPod, container: string): { id: string; tty: boolean };
  /** Where the container's log is. Throws HostError with upstream's text. */
  containerLog(pod: HostedPod, container: string, options: { previous: boolean }): ContainerLog;
  /** The sandbox to forward ports to. Throws HostError. */
  sandbox(pod: HostedPod): string;
  /** Of all pods, by uid: for stats. */
  runtimes(): ReadonlyMap<string, PodRuntime>;
}

export interface HostedPod {
  readonly pod: PodView;
  readonly status: PodStatus;
  readonly runtime: PodRuntime;
}

export interface ContainerLog {
  readonly containerId: string;
  readonly path: string;
  /** Following it makes sense. */
  readonly running: boolean;
}

export class HostError extends Error {
  override name = "HostError";
  /** HTTP status to answer with. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function createHost({
  nodeName,
  cri,
  pods,
}: {
  nodeName: string;
  cri: CriClient;
  pods: PodManager;
}): KubeletHost {
  const hosted = (worker: NonNullable<ReturnType<PodManager["byUid"]>>): HostedPod => ({
    pod: worker.pod(),
    status: worker.status() ?? (worker.pod().status as PodStatus | undefined) ?? {}, // only read
    runtime: worker.runtime(),
  });
  return {
    nodeName,
    cri,
    pods: () => [...pods.workers()].map((worker) => ({ ...worker.pod(), status: hosted(worker).status }) as Pod), // only read
    findPod(namespace, name, uid = "") {
      const worker = uid ? pods.byUid(uid) : pods.byName(namespace, name);
      const { metadata } = worker?.pod() ?? {};
      return worker && metadata?.name === name && metadata.namespace === namespace ? hosted(worker) : undefined;
    },
    onLook: ({ pod }, listener) => pods.byUid(pod.metadata.uid ?? "")?.onLook(listener) ?? (() => undefined),
    runningContainer({ pod, runtime }, container) {
      const found = newestContainer(runtime, container);
      if (found?.state !== "running") throw new HostError(404, `container not found (${JSON.stringify(container)})`);
      return { id: found.id, tty: containerByName(pod, container)?.tty ?? false };
    },
    containerLog({ pod, status, runtime }, container, { previous }) {
      const id = logContainerId(pod, status, { container, previous });
      const found = runtime.containers.find((one) => one.id === id);
      // By then upstream's answer has begun.
      if (!found) throw new HostError(200, `unable to retrieve container logs for containerd://${id}`);
      return { containerId: id, path: found.logPath, running: found.state === "running" };
    },
    sandbox({ pod, runtime }) {
      const sandbox = runtime.sandboxes[0];
      if (!sandbox?.ready)
        throw new HostError(404, `pod not found (${JSON.stringify(`${pod.metadata.name}_${pod.metadata.namespace}`)})`);
      return sandbox.id;
    },
    runtimes: () => new Map([...pods.workers()].map((worker) => [worker.uid, worker.runtime()])),
  };
}

/** Which run of a container a reader of logs means. */
export function logContainerId(
  pod: PodView,
  status: PodStatus,
  { container, previous }: { container: string; previous: boolean },
): string {
  const where = `container ${JSON.stringify(container)} in pod ${JSON.stringify(pod.metadata.name)}`;
  const fail = (what: string) => new HostError(400, `${where} ${what}`);
  const all = [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
  const found: ContainerStatus | undefined = all.find(({ name }) => name === container);
  if (!found) throw fail("is not available");
  const bare = (id: string | undefined) => id?.replace(/^\w+:\/\//, "") ?? "";
  const last = bare(found.lastState?.terminated?.containerID);
  if (previous) {
    if (last) return last;
    throw new HostError(400, `previous terminated ${where} not found`);
  }
  if (found.state?.running) return bare(found.containerID);
  if (found.state?.terminated) {
    const id = bare(found.state.terminated.containerID) || last;
    if (id) return id;
    throw fail("is terminated");
  }
  if (found.lastState?.terminated) {
    if (last) return last;
    throw fail("is terminated");
  }
  const reason = found.state?.waiting?.reason;
  if (reason === undefined) throw fail("is waiting to start - no logs yet");
  if (reason === "ErrImagePull") throw fail("is waiting to start: image can't be pulled");
  if (reason === "ImagePullBackOff") throw fail("is waiting to start: trying and failing to pull image");
  throw fail(`is waiting to start: ${reason}`);
}
