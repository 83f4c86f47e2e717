/**
 * Tells which pods to look at again. Three sources, the best that the runtime has: CRI events, containerd's events, or looking
 * every second while something may change. A slow look at everything is the safety net under each of them.
 */
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { type CriClient, CriError } from "../cri/client.ts";
import { containerdEvents } from "./containerd-events.ts";

export interface RuntimeWatchOptions {
  readonly cri: CriClient;
  /** The runtime's socket, for containerd's own events. */
  readonly endpoint: string;
  /** containerd's own events; for tests. */
  readonly events?: typeof containerdEvents;
  readonly clock: Clock;
  readonly log: Logger;
  /** A sandbox or container of this pod changed; `ended`: that container is known to have ended. */
  onPod(uid: string, ended: string | undefined): void;
  /** Events may have been missed: look at every pod. */
  onGap(): void;
  /** The runtime doesn't answer. */
  onLost(): Promise<void>;
  /** The pod of a container, if anybody saw it. */
  podOf(containerId: string): string | undefined;
  /** May anything change by itself? Polling is slow while not. */
  isActive(): boolean;
}

const retryMs = 1000;
const pollMs = 1000;
const idlePollMs = 10_000;
const safetyMs = 60_000;

export async function watchRuntime(options: RuntimeWatchOptions, signal: AbortSignal): Promise<void> {
  const { clock, log } = options;
  let source: "cri" | "containerd" | "poll" = "cri";
  const stopSafety = every(clock, { ms: safetyMs, run: options.onGap });
  try {
    while (!signal.aborted) {
      try {
        // Streams connect lazily and say nothing: find out first whether anybody is there.
        await options.cri.runtime.version({}, { signal });
        if (source === "cri") await followCri(options, signal);
        else if (source === "containerd") await followContainerd(options, signal);
        else await poll(options, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof CriError && error.code === "UNIMPLEMENTED") {
          source = source === "cri" ? "containerd" : "poll";
          if (source === "poll") log.info("the runtime tells of no events: looking every second while pods change");
          continue;
        }
        log.warn("runtime events stopped", { error });
        await options.onLost();
      }
      await delay(clock, retryMs, signal);
    }
  } finally {
    stopSafety();
  }
}

async function followCri({ cri, onPod, onGap }: RuntimeWatchOptions, signal: AbortSignal): Promise<void> {
  onGap();
  for await (const event of cri.runtime.getContainerEvents({}, { signal })) {
    const uid = event.podSandboxStatus?.metadata?.uid;
    const ended = event.containerEventType === "CONTAINER_STOPPED_EVENT" ? event.containerId : undefined;
    if (uid) onPod(uid, ended);
  }
}

async function followContainerd(
  { endpoint, events = containerdEvents, onPod, onGap, podOf }: RuntimeWatchOptions,
  signal: AbortSignal,
): Promise<void> {
  for await (const event of events(endpoint, signal)) {
    if (event === "connected") {
      onGap();
      continue;
    }
    const uid = podOf(event.containerId);
    // A start of something unknown is our own doing: whoever makes it looks at it.
    if (uid) onPod(uid, event.topic === "/tasks/exit" ? event.containerId : undefined);
  }
}

async function poll({ clock, onGap, isActive }: RuntimeWatchOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await delay(clock, isActive() ? pollMs : idlePollMs, signal);
    onGap();
  }
}

function every(clock: Clock, { ms, run }: { ms: number; run: () => void }): () => void {
  let cancel = (): void => undefined;
  const next = (): void => {
    cancel = clock.after(ms, () => {
      run();
      next();
    });
  };
  next();
  return () => cancel();
}
