/**
 * Mirror pods: what the API server shows of static pods. The node makes one for each, makes it anew when somebody deletes or changes it,
 * and removes it when its static pod is gone. The status of a static pod is written to its mirror.
 */
import type { Node, Pod } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import type { Client, Informer } from "#client";
import { isStatusError } from "#machinery";
import type { PodStatusView, PodView } from "../core/types.ts";
import { createStatusWriter, type StatusWriter } from "../pods/status-writer.ts";
import { hashAnnotation, mirrorAnnotation } from "./decode.ts";

export interface MirrorPods {
  /** This static pod is to be seen; the answer writes its status. */
  show(pod: PodView): StatusWriter;
  /** The static pod has ended, and no other has its name. */
  hide(fullName: string): void;
  /** What the API shows of a mirror pod; `gone`: not any more. */
  seen(mirror: PodView, change?: "gone"): void;
  /** Of the static pod that a mirror pod stands for. */
  staticUid(mirrorUid: string): string | undefined;
  /** The mirrors that are there belong to pods that are wanted, or go: all sources have been read. */
  settle(): void;
  close(): void;
}

export interface MirrorPodsOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  /** Holds this node alone. */
  readonly nodes: Informer<Node>;
}

export const fullNameOf = ({ metadata }: PodView): string => `${metadata.namespace}/${metadata.name}`;
export const isMirror = ({ metadata }: PodView): boolean => metadata.annotations?.[mirrorAnnotation] !== undefined;

const retry = { initialMs: 200, maxMs: 30_000 };

interface Shown {
  readonly pod: PodView;
  readonly writer: MirrorWriter;
}

export function createMirrorPods(options: MirrorPodsOptions): MirrorPods {
  const { client, clock, log, nodeName } = options;
  const shown = new Map<string, Shown>();
  const mirrors = new Map<string, PodView>();
  /** One at a time for a name; asked again meanwhile: once more. */
  const working = new Map<string, "once" | "again">();
  const stopped = new AbortController();
  let isSettled = false;

  /** One step towards what should be; events of what it does bring the next. */
  async function reconcile(name: string): Promise<void> {
    const [wanted, mirror] = [shown.get(name), mirrors.get(name)];
    if (mirror && (!wanted || !isMirrorOf(mirror, wanted.pod))) {
      if (wanted || isSettled) await remove(mirror);
      if (!wanted) return;
      mirrors.delete(name);
      await create(wanted);
    } else if (mirror) wanted?.writer.follow(mirror);
    else if (wanted) await create(wanted);
  }

  async function remove({ metadata }: PodView): Promise<void> {
    const { name = "", namespace = "", uid = "" } = metadata;
    await client
      .resource("v1/pods", namespace)
      .delete(name, { gracePeriodSeconds: 0, preconditions: { uid } })
      .catch((error: unknown) => {
        if (!isStatusError(error, "NotFound") && !isStatusError(error, "Conflict")) throw error;
      });
  }

  /** Resolves when the API has the node: before that, and when it was removed, no mirror can belong to it. */
  function uidOfNode(): Promise<string> {
    const known = options.nodes.get(nodeName);
    if (known) return Promise.resolve(known.metadata.uid ?? "");
    return new Promise((resolve) => {
      const remove = options.nodes.addHandler({
        added({ metadata }) {
          resolve(metadata.uid ?? "");
          queueMicrotask(() => remove());
        },
      });
    });
  }

  async function create({ pod, writer }: Shown): Promise<void> {
    const nodeUid = await uidOfNode();
    if (stopped.signal.aborted) return;
    const { resourceVersion, uid, ...metadata } = pod.metadata;
    const hash = metadata.annotations?.[hashAnnotation] ?? "";
    const owner = { apiVersion: "v1", kind: "Node", name: nodeName, uid: nodeUid, controller: true };
    const mirror = {
      ...pod,
      metadata: {
        ...metadata,
        annotations: { ...metadata.annotations, [mirrorAnnotation]: hash },
        ownerReferences: [owner],
      },
    } as Pod; // what was only read is copied by sending
    const pods = client.resource("v1/pods", metadata.namespace ?? "");
    const made = await pods.create(mirror).catch(async (error: unknown) => {
      // Of this node's life before, and not seen yet.
      const there = isStatusError(error, "AlreadyExists") ? await pods.get(metadata.name ?? "") : undefined;
      if (there && isMirrorOf(there, pod)) return there;
      throw error;
    });
    log.debug("a mirror pod is there", { pod: fullNameOf(made) });
    if (shown.get(fullNameOf(pod))?.writer === writer) writer.follow(made);
  }

  function work(name: string, failures = 0): void {
    if (stopped.signal.aborted) return;
    if (working.has(name)) return void working.set(name, "again");
    working.set(name, "once");
    reconcile(name).then(
      () => {
        const isAsked = working.get(name) === "again";
        working.delete(name);
        if (isAsked) work(name);
      },
      (error: unknown) => {
        if (stopped.signal.aborted) return;
        log.warn("a mirror pod is not as it should be", { pod: name, error });
        clock.after(backoffMs(failures + 1, retry), () => {
          working.delete(name);
          work(name, failures + 1);
        });
      },
    );
  }

  return {
    show(pod) {
      const known = shown.get(fullNameOf(pod));
      const isSame = known?.pod.metadata.uid === pod.metadata.uid;
      const writer = (isSame && known?.writer) || createMirrorWriter({ client, clock, log });
      shown.set(fullNameOf(pod), { pod, writer });
      work(fullNameOf(pod));
      return writer;
    },
    hide(name) {
      shown.delete(name);
      work(name);
    },
    seen(mirror, change) {
      const name = fullNameOf(mirror);
      if (change === "gone" && mirrors.get(name)?.metadata.uid !== mirror.metadata.uid) return;
      if (change === "gone") mirrors.delete(name);
      else mirrors.set(name, mirror);
      work(name);
    },
    staticUid(mirrorUid) {
      for (const [name, { metadata }] of mirrors)
        if (metadata.uid === mirrorUid)
          return shown.get(name)?.pod.metadata.uid ?? metadata.annotations?.[hashAnnotation];
      return undefined;
    },
    settle() {
      isSettled = true;
      for (const name of mirrors.keys()) work(name);
    },
    close() {
      stopped.abort();
      for (const { writer } of shown.values()) writer.stop();
    },
  };
}

const isMirrorOf = ({ metadata }: PodView, pod: PodView): boolean =>
  !metadata.deletionTimestamp &&
  metadata.annotations?.[mirrorAnnotation] === pod.metadata.annotations?.[hashAnnotation];

interface MirrorWriter extends StatusWriter {
  follow(mirror: PodView): void;
}

/** Writes to the mirror that is there now, and to none while there is none. */
function createMirrorWriter(context: Parameters<typeof createStatusWriter>[1]): MirrorWriter {
  let inner: StatusWriter | undefined;
  let uid: string | undefined;
  let last: PodStatusView | undefined;
  let isStopped = false;
  return {
    follow(mirror) {
      if (isStopped) return;
      if (mirror.metadata.uid === uid) return inner?.seen(mirror);
      inner?.stop();
      uid = mirror.metadata.uid;
      inner = createStatusWriter(mirror, context);
      if (last) inner.write(last);
    },
    // What is told of the static pod itself is not what the API shows.
    seen: () => undefined,
    write(status) {
      last = status;
      inner?.write(status);
    },
    flushed: async () => inner?.flushed(),
    stop() {
      isStopped = true;
      inner?.stop();
    },
  };
}
