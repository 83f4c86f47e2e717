/** The workers of all pods of this node, and who wakes which. */
import type { Node, Pod } from "#api";
import type { Informer } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { type Refusal, refusal } from "../core/admission.ts";
import { emptyRuntime, isTerminalPhase, type PodRuntime, type PodView } from "../core/types.ts";
import { cleanUpRuntime, cleanUpVolumes } from "./clean-up.ts";
import { isMirror, ofApi, type StaticPods } from "../static/static-pods.ts";
import type { PodContext } from "./context.ts";
import type { StatusWriter } from "./status-writer.ts";
import { same } from "./status-patch.ts";
import { createPodWorker, type PodWorker } from "./pod-worker.ts";
import { stopPod } from "./stop.ts";

export interface PodManager {
  /** Looks at what the runtime has. */
  adopt(): Promise<void>;
  /** Takes what the API wants, after `adopt`; from then on follows both. */
  start(): Promise<void>;
  /** A pod of the node's own, after `adopt`; `writer` takes its status. */
  startStatic(pod: PodView, writer: StatusWriter): void;
  endStatic(uid: string): void;
  workers(): Iterable<PodWorker>;
  byUid(uid: string): PodWorker | undefined;
  /** The newest pod of this name. */
  byName(namespace: string, name: string): PodWorker | undefined;
  runtimeChanged(uid: string, ended: string | undefined): void;
  /** Look at everything again. */
  lookAtAll(): Promise<void>;
  /** May containers change by themselves? */
  isActive(): boolean;
  close(): Promise<void>;
}

export interface PodManagerOptions {
  readonly context: PodContext;
  readonly pods: Informer<Pod>;
  /** Holds this node alone. */
  readonly nodes: Informer<Node>;
  readonly maxPods: number;
  readonly statics: StaticPods;
  /** Beside what pods of this node's leave. */
  refuse?(pod: PodView): Refusal | undefined;
  /** The set of pods changed. */
  onPodsChanged(pods: readonly PodView[]): void;
}

/** Pods that nobody knows get a moment to stop by themselves. */
const orphanGraceSeconds = 1;

export function createPodManager(options: PodManagerOptions): PodManager {
  const { context, pods, nodes, maxPods, statics, onPodsChanged } = options;
  const { log, observer } = context;
  const workers = new Map<string, PodWorker>();
  const orphans = new Set<string>();
  let removeHandler = (): void => undefined;
  let closed = false;
  /** By uid, as the runtime had them at the start. */
  let found: ReadonlyMap<string, PodRuntime> = new Map();
  /** All who may want a pod were asked. */
  let knowsAll = false;

  const activePods = (): PodView[] =>
    [...workers.values()].filter((worker) => worker.stage() !== "ended").map((worker) => worker.pod());
  const changed = (): void => onPodsChanged(activePods());

  function refuse(
    pod: PodView,
    node: DeepReadonly<Node> | undefined = nodes.get(context.node.name),
  ): Refusal | undefined {
    const early = options.refuse?.(pod);
    if (early) return early;
    const others = [...workers.values()]
      .filter((worker) => worker.uid !== pod.metadata.uid && worker.counts())
      .map((worker) => context.resizes.held(worker.pod()))
      .filter(({ status }) => !isTerminalPhase(status?.phase));
    return refusal(pod, {
      others,
      node,
      maxPods,
      isStatic: statics.has(pod.metadata.uid ?? ""),
      name: context.node.name,
      allocatable: context.node.allocatable(),
    });
  }

  const readNode = (): Promise<DeepReadonly<Node> | undefined> =>
    context.client
      .resource("v1/nodes")
      .get(context.node.name)
      .catch((error: unknown) => {
        if (isStatusError(error, "NotFound")) return undefined;
        throw error;
      });

  function add(pod: PodView, writer?: StatusWriter): void {
    const { uid = "", namespace = "", name = "" } = pod.metadata;
    const known = workers.get(uid);
    if (known) {
      known.update(pod);
      return;
    }
    const runtime = found.get(uid);
    const worker = createPodWorker(context, pod, {
      runtime: runtime ?? emptyRuntime(uid, namespace, name),
      refuse,
      readNode,
      ...(writer ? { writer } : {}),
      onGone(gone) {
        workers.delete(gone);
        if (writer) statics.gone(pod);
        context.resizes.forget(gone);
        changed();
      },
    });
    workers.set(uid, worker);
    changed();
  }

  /** Pods that the runtime or a disk has and the API doesn't. */
  async function removeOrphans(there: Iterable<PodRuntime>): Promise<void> {
    if (!knowsAll) return;
    const leftovers = new Set([...(await context.volumes.leftovers()), ...(await context.cgroups.leftovers())]);
    const all = [...there, ...[...leftovers].map((uid) => emptyRuntime(uid, "", ""))];
    const seen = new Set<string>();
    for (const runtime of all) {
      const { uid, namespace, name } = runtime;
      // A pod of the node's own may still wait for its turn.
      if (workers.has(uid) || statics.has(uid) || orphans.has(uid) || seen.has(uid)) continue;
      seen.add(uid);
      orphans.add(uid);
      removeOrphan(runtime)
        .catch((error: unknown) =>
          log.warn("a pod that nobody knows could not be removed", { pod: `${namespace}/${name}`, uid, error }),
        )
        .finally(() => orphans.delete(uid));
    }
  }

  async function removeOrphan(runtime: PodRuntime): Promise<void> {
    const { uid, namespace, name } = runtime;
    // Removing a pod can't be undone: ask the API itself, not the copy.
    if (name && (await isOurs(runtime))) return;
    if (name) log.info("removing a pod that the API doesn't know", { pod: `${namespace}/${name}`, uid });
    const pod: PodView = { metadata: { uid, namespace, name }, spec: { containers: [] } };
    await stopPod(context, pod, {
      runtime,
      podIP: "",
      signal: new AbortController().signal,
      graceSeconds: orphanGraceSeconds,
    });
    await cleanUpVolumes(context, uid);
    await cleanUpRuntime(context, pod, name ? await observer.pod(uid, runtime) : runtime);
  }

  /** A list, since nodes may read no pod that isn't theirs, and one that is gone is nobody's. */
  async function isOurs({ uid, namespace, name }: PodRuntime): Promise<boolean> {
    const { items } = await context.client
      .resource("v1/pods", namespace)
      .list({ fieldSelector: `spec.nodeName=${context.node.name},metadata.name=${name}` });
    return items.some(({ metadata }) => metadata.uid === uid);
  }

  context.resizes.attach({
    podOf: (uid) => workers.get(uid)?.wanted(),
    refuse: (pod) => refuse(pod),
    onChange(uid) {
      workers.get(uid)?.regranted();
      changed();
    },
  });

  return {
    async adopt() {
      found = new Map((await observer.all()).map((runtime) => [runtime.uid, runtime]));
    },
    async start() {
      await Promise.all([pods.synced(), nodes.synced()]);
      const seen = (pod: PodView) => (isMirror(pod) ? statics.mirrors.seen(pod) : add(ofApi(pod)));
      // For those that are there, at once.
      removeHandler = pods.addHandler({
        added: seen,
        updated: seen,
        deleted: (pod) =>
          isMirror(pod) ? statics.mirrors.seen(pod, "gone") : workers.get(pod.metadata.uid ?? "")?.removed(pod),
      });
      // A URL may not answer for long; nothing is removed before.
      const settled = statics.readAll().then(() => {
        knowsAll = true;
        statics.mirrors.settle();
        return removeOrphans(found.values());
      });
      settled.catch((error: unknown) => log.warn("pods that nobody knows could not be looked for", { error }));
    },
    startStatic(pod, writer) {
      const { uid, name, namespace } = pod.metadata;
      const before = [...found.values()].find((one) => one.name === name && one.namespace === namespace);
      if (!before || before.uid === uid || workers.has(before.uid) || orphans.has(before.uid)) return add(pod, writer);
      // What an earlier kubelet ran under this name goes first.
      orphans.add(before.uid);
      removeOrphan(before)
        .catch((error: unknown) => log.warn("an earlier static pod could not be removed", { uid: before.uid, error }))
        .finally(() => {
          orphans.delete(before.uid);
          if (statics.has(uid ?? "") && !closed) add(pod, writer);
        });
    },
    endStatic(uid) {
      const worker = workers.get(uid);
      if (worker) worker.removed(worker.pod());
    },
    workers: () => workers.values(),
    byUid: (uid) => workers.get(uid) ?? workers.get(statics.mirrors.staticUid(uid) ?? ""),
    byName(namespace, name) {
      const named = [...workers.values()].filter(
        ({ pod }) => pod().metadata.namespace === namespace && pod().metadata.name === name,
      );
      return named.find((worker) => worker.stage() !== "ended") ?? named.at(-1);
    },
    runtimeChanged: (uid, ended) => workers.get(uid)?.runtimeChanged(ended),
    async lookAtAll() {
      if (closed) return;
      const now = await observer.all();
      const byUid = new Map(now.map((runtime) => [runtime.uid, runtime]));
      for (const worker of workers.values()) {
        const { sandboxes, containers } = byUid.get(worker.uid) ?? { sandboxes: [], containers: [] };
        const known = worker.runtime();
        if (!same(known.sandboxes, sandboxes) || !same(known.containers, containers)) worker.runtimeChanged();
      }
      await removeOrphans(now);
    },
    isActive: () => [...workers.values()].some((worker) => worker.stage() !== "ended"),
    async close() {
      closed = true;
      removeHandler();
      await Promise.all([...workers.values()].map((worker) => worker.close()));
    },
  };
}
