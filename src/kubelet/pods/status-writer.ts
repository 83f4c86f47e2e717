/**
 * Tells the API server a pod's status: one write at a time for each pod, always the newest, nothing when nothing changed. What the server
 * has is known from its answers and from the watch, whichever is newer, so that a status somebody else changed is put right.
 */
import type { Pod } from "#api";
import type { Clock, Logger } from "#base";
import { backoffMs } from "#base";
import { type Client, delay } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import type { PodStatusView, PodView } from "../core/types.ts";
import { statusPatch } from "./status-patch.ts";

export interface StatusWriter {
  /** What the watch shows. */
  seen(pod: PodView): void;
  write(status: PodStatusView): void;
  /** Resolves when the newest status was written, or can't be because the pod is gone. */
  flushed(): Promise<void>;
  /** Nothing is written any more. */
  stop(): void;
}

const retry = { initialMs: 200, maxMs: 10_000, jitter: 0.2 };

export function createStatusWriter(pod: PodView, options: { client: Client; clock: Clock; log: Logger }): StatusWriter {
  const { client, clock, log } = options;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const pods = client.resource("v1/pods", namespace);
  const stopped = new AbortController();
  let known = { status: pod.status ?? {}, version: versionOf(pod) };
  let wanted: PodStatusView | undefined;
  let running: Promise<void> | undefined;
  /** What still differed after the server took a write: asking for it again would change nothing. */
  let taken = "";

  /** What still has to be written. */
  function pending(): object | undefined {
    const patch = wanted && statusPatch(known.status, wanted, uid);
    return patch && JSON.stringify(patch) !== taken ? patch : undefined;
  }

  function learn(object: DeepReadonly<Pod>): void {
    const version = versionOf(object);
    if (version >= known.version) known = { status: object.status ?? {}, version };
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopped.signal.aborted; ) {
      const patch = pending();
      if (!patch) return;
      const sent = wanted;
      try {
        learn(await pods.patch(name, patch, { type: "strategic", subresource: "status" }));
        const left = sent && statusPatch(known.status, sent, uid);
        taken = left ? JSON.stringify(left) : "";
        failures = 0;
      } catch (error) {
        // Gone, or another pod of the same name: its status is nobody's business any more.
        if (isStatusError(error, "NotFound") || isStatusError(error, "Conflict")) return stopped.abort();
        failures++;
        log.warn("a pod's status could not be written", { namespace, pod: name, error });
        await delay(clock, backoffMs(failures, retry), stopped.signal);
      }
    }
  }

  function start(): void {
    running ??= run().finally(() => {
      running = undefined;
    });
  }

  return {
    seen(object) {
      learn(object);
      if (!running && pending()) start();
    },
    write(status) {
      wanted = status;
      if (!stopped.signal.aborted) start();
    },
    async flushed() {
      while (running) await running;
    },
    stop: () => stopped.abort(),
  };
}

/** Our servers count; of another server's versions the latest seen is the newest. */
const versionOf = ({ metadata }: PodView): number => Number(metadata.resourceVersion ?? 0) || 0;
