/**
 * The pods that a node runs by itself: from where (file-source.ts, url-source.ts), which of them now, and their mirrors in the API. Two pods of
 * one name never run beside each other: when a file changed, the old pod ends first.
 */
import type { Node, Pod } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import { type Client, delay, type EventRecorder, type Informer } from "#client";
import type { KubeletConfiguration } from "../config/configuration.ts";
import type { PodView } from "../core/types.ts";
import type { StatusWriter } from "../pods/status-writer.ts";
import { seenAnnotation, sourceAnnotation, type StaticSource } from "./decode.ts";
import { createMirrorPods, fullNameOf, isMirror, type MirrorPods } from "./mirror-pods.ts";

export interface StaticPods {
  /** Reads all sources until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when each source was read: what isn't wanted by then isn't wanted. */
  readAll(): Promise<void>;
  /** Nothing of a pod is left here. */
  gone(pod: PodView): void;
  has(uid: string): boolean;
  readonly mirrors: MirrorPods;
}

export interface StaticPodsOptions {
  readonly config: Readonly<KubeletConfiguration>;
  readonly nodeName: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  /** Holds this node alone. */
  readonly nodes: Informer<Node>;
  /** Undefined: pods can have addresses. */
  whyNoNetwork(): Promise<string | undefined>;
  /** Begins, or goes on with another spec under the same uid. */
  start(pod: PodView, writer: StatusWriter): void;
  /** Ends within its grace period; `gone` is told then. */
  end(uid: string): void;
}

const networkRetry = { initialMs: 50, maxMs: 2000 };

export function createStaticPods(options: StaticPodsOptions): StaticPods {
  const { config, nodeName, clock, log } = options;
  const mirrors = createMirrorPods(options);
  /** By source, then uid: what is wanted. */
  const wanted: Record<StaticSource["kind"], Map<string, PodView>> = { file: new Map(), http: new Map() };
  /** By full name: which runs, or is ending. */
  const running = new Map<string, string>();
  /** For the network. */
  const waiting = new Set<string>();
  const unread = new Set<StaticSource["kind"]>();
  if (config.staticPodPath) unread.add("file");
  if (config.staticPodURL) unread.add("http");
  const read = Promise.withResolvers<void>();

  const isWanted = (uid: string) => wanted.file.has(uid) || wanted.http.has(uid);

  function begin(pod: PodView): void {
    const name = fullNameOf(pod);
    const { uid = "" } = pod.metadata;
    const holder = running.get(name);
    if (holder !== undefined && holder !== uid) return;
    running.set(name, uid);
    const writer = mirrors.show(pod);
    if (waiting.has(uid)) return;
    if (holder === uid || pod.spec?.hostNetwork) {
      options.start(pod, writer);
      return;
    }
    waiting.add(uid);
    whenNetworkReady(pod)
      .then(() => {
        if (waiting.delete(uid)) options.start(wanted.file.get(uid) ?? wanted.http.get(uid) ?? pod, writer);
      })
      .catch((error: unknown) => log.error("a static pod could not be started", { pod: name, error }));
  }

  async function whenNetworkReady(pod: PodView): Promise<void> {
    const { uid = "" } = pod.metadata;
    for (let failures = 0; waiting.has(uid); failures++) {
      const why = await options.whyNoNetwork();
      if (why === undefined) return;
      if (failures === 0)
        options.recorder.event(pod, {
          ...{ type: "Warning", reason: "NetworkNotReady", message: `network is not ready: ${why}` },
        });
      await delay(clock, backoffMs(failures + 1, networkRetry));
    }
  }

  function stop(pod: PodView): void {
    const { uid = "" } = pod.metadata;
    if (waiting.delete(uid)) gone(pod);
    else options.end(uid);
  }

  function gone(pod: PodView): void {
    const name = fullNameOf(pod);
    if (running.get(name) !== pod.metadata.uid) return;
    running.delete(name);
    const next = [...wanted.file.values(), ...wanted.http.values()].find((other) => fullNameOf(other) === name);
    if (next) begin(next);
    else mirrors.hide(name);
  }

  function accept(source: StaticSource["kind"], pods: readonly Pod[]): void {
    const before = wanted[source];
    const now = new Map<string, PodView>();
    const names = new Set<string>();
    for (const pod of pods) {
      const { uid = "", name } = pod.metadata;
      if (names.has(fullNameOf(pod))) {
        const what = `Error validating pod ${name}_${pod.metadata.namespace}(${uid}) from ${source} due to duplicate pod name "${name}", ignoring`;
        log.warn("two static pods have one name", { pod: fullNameOf(pod), source });
        options.recorder.event(pod, { type: "Warning", reason: "FailedValidation", message: what });
        continue;
      }
      names.add(fullNameOf(pod));
      const seen = before.get(uid)?.metadata.annotations?.[seenAnnotation] ?? timestamp(clock.now());
      const annotations = { ...pod.metadata.annotations, [seenAnnotation]: seen };
      now.set(uid, { ...pod, metadata: { ...pod.metadata, annotations } });
    }
    wanted[source] = now;
    for (const [uid, pod] of before) if (!isWanted(uid) && running.get(fullNameOf(pod)) === uid) stop(pod);
    for (const [uid, pod] of now) if (JSON.stringify(before.get(uid)) !== JSON.stringify(pod)) begin(pod);
    unread.delete(source);
    if (unread.size === 0) read.resolve();
  }

  return {
    mirrors,
    has: isWanted,
    readAll: () => read.promise,
    gone,
    async run(signal) {
      const work: Promise<void>[] = [];
      const common = { nodeName, clock, log };
      if (config.staticPodPath) {
        const { followFiles } = await import("./file-source.ts");
        const onPods = (pods: readonly Pod[]) => accept("file", pods);
        work.push(
          followFiles({ ...common, path: config.staticPodPath, checkMs: config.fileCheckFrequency, onPods }, signal),
        );
      }
      if (config.staticPodURL) {
        const { followUrl } = await import("./url-source.ts");
        const onPods = (pods: readonly Pod[]) => accept("http", pods);
        const { staticPodURL: url, staticPodURLHeader: headers, httpCheckFrequency: checkMs } = config;
        work.push(followUrl({ ...common, url, headers, checkMs, onPods }, signal));
      }
      if (work.length === 0) read.resolve();
      // Mirrors of pods that nobody wants any more may be there also then.
      const ended = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.all([...work, ended]).finally(() => {
        waiting.clear();
        mirrors.close();
      });
    },
  };
}

export { isMirror };

/** Nobody may pass a pod of the API off as the node's own, which is spared where others aren't. */
export function ofApi(pod: PodView): PodView {
  const source = pod.metadata.annotations?.[sourceAnnotation];
  if (source === undefined || source === "api") return pod;
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, [sourceAnnotation]: "api" } },
  };
}

/** With nanoseconds, as Go writes it. */
const timestamp = (ms: number): string => new Date(ms).toISOString().replace("Z", "000000Z");
