/**
 * Nodes without machines (docs/simulated.md): real Node objects with leases, whose pods go through every state that they would on a real
 * node, told by the same core, while nothing runs. For clusters of hundreds of nodes and ten thousand pods in one process: one informer of
 * all pods, one heap of timers, one queue of pods to look at, a few hundred bytes for a pod at rest.
 */
import type { Pod } from "#api";
import { backoffMs, type Clock, type Logger, realClock, silentLogger } from "#base";
import { type Client, createEventRecorder, createInformers, delay, type InformerSet, keyOf, TimerHeap } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { milliOf, unitsOf } from "../core/quantity.ts";
import { containerByName, type ContainerSpec, isTerminalPhase, type PodView } from "../core/types.ts";
import { containerPath } from "../pods/context.ts";
import { type Behavior, behaviorPrefix } from "./behavior.ts";
import { SimulatedNode } from "./simulated-node.ts";
import { SimulatedPod, type Simulation } from "./simulated-pod.ts";

export interface SimulatedNodesOptions {
  /** Acts for all nodes: it may write nodes, leases, pods and events. */
  readonly client: Client;
  /** Of another client: shared with others in this process, run by the caller. Own ones when missing. */
  readonly informers?: InformerSet;
  readonly count: number;
  /** `node-0`, `node-1`, …, or this one if there is only one. */
  readonly names?: (index: number) => string;
  /** Host addresses are counted from here on, so that nodes of several processes have different ones. */
  readonly firstHost?: number;
  /** Of each node; cpu 32, memory 128Gi, pods 110 when missing. Other resources may be added. */
  readonly capacity?: Readonly<Record<string, string>>;
  readonly labels?: (index: number) => Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  /** Reported as kubeletVersion. */
  readonly version: string;
  /** How long containers run that are to end, unless their pod says; a second when missing. */
  readonly usualRunMs?: number;
  /** What a test wants of a container, over its annotations. */
  readonly behavior?: (pod: PodView, container: ContainerSpec) => Partial<Behavior> | undefined;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export interface Usage {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
}

export interface SimulatedNodes {
  readonly names: readonly string[];
  /** Resolves when all nodes are registered and their pods are looked after. */
  readonly ready: Promise<void>;
  /** Resolves after the signal; rejects when the nodes can't go on. */
  readonly done: Promise<void>;
  /** What a running container uses: its annotations `cpu` and `memory`, else what it requests. */
  usage(pod: { readonly namespace: string; readonly name: string }, container: string): Usage | undefined;
  /** Ends a running container now; answers whether there was one. */
  exit(pod: { readonly namespace: string; readonly name: string }, container: string, exitCode: number): boolean;
  /** Takes a node's power away, or gives it back: its lease isn't renewed, its pods aren't touched. */
  setPower(node: string, on: boolean): void;
}

const renewMs = 10_000;
const statusMs = 5 * 60_000;
const registerRetry = { initialMs: 100, maxMs: 7_000 };
/** Requests of one kind under way. */
const requestsMax = 16;
/** Pods are looked at in slices, so that the server in the same thread gets its turns. */
const sliceMs = 4;
/** A burst of thousands of pods has three events each; they wait for what matters more. */
const events = { waitingMax: 40_000, sendersMax: 2 };
/** Owners whose pods' failures are counted. */
const ownersMax = 4096;

export function startSimulatedNodes(options: SimulatedNodesOptions, signal: AbortSignal): SimulatedNodes {
  const { client, count, clock = realClock, log = silentLogger, capacity = {}, taints = [], version } = options;
  const informers = options.informers ?? createInformers(client, { clock, log });
  const podInformer = informers.of("v1/pods");
  const nodeInformer = informers.of("v1/nodes");
  const recorder = createEventRecorder({ client, component: "kubelet", clock, log, ...events });
  const nameOf = options.names ?? ((index: number) => `node-${index}`);
  const nodes = new Map(
    Array.from({ length: count }, (_, index) => {
      const name = nameOf(index);
      const labels = { "node.kubernetes.io/instance-type": "simulated", ...options.labels?.(index) };
      const node = () => nodeInformer.get(name);
      return [
        name,
        new SimulatedNode({
          name,
          index: index + (options.firstHost ?? 0),
          capacity,
          labels,
          taints,
          version,
          clock,
          node,
        }),
      ];
    }),
  );
  const pods = new Map<string, SimulatedPod>();
  const failures = new Map<string, Set<string>>();
  const woken: SimulatedPod[] = [];
  let isDraining = false;
  const timers = new TimerHeap(clock, (uid) => {
    const pod = pods.get(uid);
    if (pod) wake(pod);
  });

  function wake(pod: SimulatedPod): void {
    if (pod.isWoken) return;
    pod.isWoken = true;
    woken.push(pod);
    if (isDraining) return;
    isDraining = true;
    void drain();
  }

  async function drain(): Promise<void> {
    await Promise.resolve();
    let sliceEnd = performance.now() + sliceMs;
    for (let at = 0; at < woken.length && !signal.aborted; at++) {
      const pod = woken[at];
      if (!pod) continue;
      pod.isWoken = false;
      if (pods.get(uidOf(pod.pod)) === pod && !nodes.get(pod.place.name)?.isSilent) look(pod);
      if (performance.now() < sliceEnd) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sliceEnd = performance.now() + sliceMs;
    }
    woken.length = 0;
    isDraining = false;
  }

  function look(pod: SimulatedPod): void {
    try {
      pod.step();
    } catch (error) {
      // One pod's trouble must not cost the others their node.
      log.error("a simulated pod could not be looked at", {
        pod: keyOf(pod.pod),
        error,
        stack: (error as Error).stack,
      });
    }
  }

  const simulation: Simulation = {
    client,
    clock,
    log,
    usualRunMs: options.usualRunMs ?? 1000,
    ...(options.behavior && { behavior: options.behavior }),
    wakeAt: (pod, time) => timers.add(uidOf(pod.pod), time),
    gone(pod) {
      const uid = uidOf(pod.pod);
      timers.delete(uid);
      pods.delete(uid);
      nodes.get(pod.place.name)?.pods.delete(pod);
    },
    event(pod, { container, ...event }) {
      const fieldPath = container && containerPath(pod.pod, container);
      const about = { apiVersion: "v1", kind: "Pod", metadata: pod.pod.metadata };
      recorder.event(about, { ...event, host: pod.place.name, ...(fieldPath ? { fieldPath } : {}) });
    },
    failedBefore(pod, container, restartCount) {
      const [owner] = pod.metadata.ownerReferences ?? [];
      if (!owner || pod.spec?.restartPolicy !== "Never" || !pod.metadata.annotations?.[`${behaviorPrefix}failures`])
        return restartCount;
      const index = pod.metadata.annotations["batch.kubernetes.io/job-completion-index"] ?? "";
      const key = `${owner.uid}/${index}/${container.name}`;
      const failed = failures.get(key) ?? new Set<string>();
      failures.delete(key);
      failures.set(key, failed);
      if (failures.size > ownersMax) failures.delete(failures.keys().next().value ?? "");
      const before = [...failed].indexOf(uidOf(pod));
      if (before < 0) failed.add(uidOf(pod));
      return before < 0 ? failed.size - 1 : before;
    },
  };

  function follow(pod: DeepReadonly<Pod>): void {
    const node = nodes.get(pod.spec?.nodeName ?? "");
    if (!node) return;
    const known = pods.get(uidOf(pod));
    if (known) {
      if (known.update(pod)) wake(known);
      return;
    }
    const made = new SimulatedPod(pod, node, simulation);
    pods.set(uidOf(pod), made);
    node.pods.add(made);
    wake(made);
  }

  async function register(node: SimulatedNode): Promise<void> {
    const resource = client.resource("v1/nodes");
    for (let tries = 0; !signal.aborted; ) {
      try {
        const made = await resource.create(node.object()).catch(async (error: unknown) => {
          if (!isStatusError(error, "AlreadyExists")) throw error;
          const { metadata, status } = node.object();
          await resource.patch(node.name, { metadata: { labels: metadata.labels } }, { type: "merge" });
          return resource.patch(node.name, { status }, { type: "strategic", subresource: "status" });
        });
        node.uid = made.metadata.uid;
        const about = { apiVersion: "v1", kind: "Node", metadata: { name: node.name, uid: node.name } };
        const event = (reason: string, message: string) =>
          recorder.event(about, { type: "Normal", reason, message, host: node.name });
        event("Starting", "Starting kubelet.");
        event("NodeReady", `Node ${node.name} status is now: NodeReady`);
        return await renew(node);
      } catch (error) {
        tries++;
        log.warn("a simulated node could not be registered", { node: node.name, error });
        await delay(clock, backoffMs(tries, registerRetry), signal);
      }
    }
  }

  async function renew(node: SimulatedNode): Promise<void> {
    const leases = client.resource("coordination.k8s.io/v1/leases", "kube-node-lease");
    try {
      await leases.patch(node.name, { spec: node.leaseSpec() }, { type: "merge" });
    } catch (error) {
      if (!isStatusError(error, "NotFound")) throw error;
      await leases.create(node.lease());
    }
  }

  async function writeStatus(node: SimulatedNode): Promise<void> {
    node.status = node.statusNow(nodeInformer.get(node.name)?.status ?? node.status);
    await client
      .resource("v1/nodes")
      .patch(node.name, { status: node.status }, { type: "strategic", subresource: "status" });
  }

  /** Signs of life of all nodes, spread over their period: one timer. */
  async function beat(): Promise<void> {
    const all = [...nodes.values()];
    const beats = Math.min(all.length, 40);
    for (let turn = 0; !signal.aborted && all.length > 0; turn++) {
      await delay(clock, renewMs / beats, signal);
      if (signal.aborted) return;
      const rounds = Math.floor(turn / beats);
      const due = all.filter((node, at) => at % beats === turn % beats && !node.isSilent);
      await eachOf(due, async (node) => {
        const isReady = nodeInformer
          .get(node.name)
          ?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
        const isStatusDue = !isReady || (rounds + 1) % (statusMs / renewMs) === 0;
        await Promise.all([renew(node), isStatusDue && writeStatus(node)]).catch((error: unknown) => {
          // A node that was deleted stays away, as its kubelet would until it is started again.
          if (!isStatusError(error, "NotFound"))
            log.warn("a simulated node could not tell of itself", { node: node.name, error });
        });
      });
    }
  }

  const readiness = Promise.withResolvers<void>();
  readiness.promise.catch(() => undefined); // `done` tells it as well
  async function run(): Promise<void> {
    const running = options.informers ? undefined : informers.run(signal);
    await eachOf([...nodes.values()], register);
    await Promise.all([podInformer.synced(), nodeInformer.synced()]);
    const stopFollowing = podInformer.addHandler({
      added: follow,
      updated: follow,
      deleted: (pod) => pods.get(uidOf(pod))?.removed(),
    });
    readiness.resolve();
    await beat();
    stopFollowing();
    timers.clear();
    await recorder.close();
    await running;
  }
  const done = run().catch((error: unknown) => {
    readiness.reject(error);
    throw error;
  });

  const find = ({ namespace, name }: { namespace: string; name: string }) =>
    pods.get(uidOf(podInformer.get(`${namespace}/${name}`) ?? { metadata: {} }));
  return {
    names: [...nodes.keys()],
    ready: readiness.promise,
    done,
    usage(at, name) {
      const pod = find(at);
      const container = pod && containerByName(pod.pod, name);
      if (!container || isTerminalPhase(pod.pod.status?.phase)) return undefined;
      if (!pod.runtime.containers.some((one) => one.name === name && one.state === "running")) return undefined;
      const { requests } = container.resources ?? {};
      return {
        cpuMilli: milliOf(pod.behaviorValue(container, "cpu") ?? requests?.cpu),
        memoryBytes: unitsOf(pod.behaviorValue(container, "memory") ?? requests?.memory),
      };
    },
    exit(at, name, exitCode) {
      const pod = find(at);
      if (!pod?.exit(name, exitCode)) return false;
      wake(pod);
      return true;
    },
    setPower(name, on) {
      const node = nodes.get(name);
      if (!node) throw new Error(`there is no simulated node ${name}`);
      node.isSilent = !on;
      if (on) for (const pod of node.pods) wake(pod);
    },
  };
}

const uidOf = ({ metadata }: { readonly metadata: { readonly uid?: string | undefined } }): string =>
  metadata.uid ?? "";

/** A few at a time. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: Math.min(requestsMax, items.length) }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
