/** Stopping containers and pods: preStop hooks, grace periods, sidecars last, then the sandbox. */
import {
  newestContainer,
  type ContainerSpec,
  containerByName,
  isSidecar,
  type PodRuntime,
  type PodView,
  type RuntimeContainer,
} from "../core/types.ts";
import { wording } from "../core/wording.ts";
import { CriError } from "../cri/client.ts";
import { type PodContext, recordEvent } from "./context.ts";
import { runHook } from "./hooks.ts";

/** Upstream's smallest window between the polite and the other signal. */
const graceSecondsMin = 2;
const graceSecondsDefault = 30;
/** The runtime answers a stop when the container is gone. */
const stopAnswerMs = 120_000;

export interface StopContainer {
  readonly container: RuntimeContainer;
  /** Of the Killing event. */
  readonly message?: string;
  /** Instead of the pod's grace period. */
  readonly graceSeconds?: number | undefined;
  readonly podIP: string;
  readonly signal: AbortSignal;
  /** Resolves when containers that this one serves are gone. */
  readonly turn?: Promise<void>;
}

/** Resolves when it is stopped. Rejects with CriError, or when the signal aborts. */
export async function stopContainer(context: PodContext, pod: PodView, options: StopContainer): Promise<void> {
  const { container, podIP, signal } = options;
  const spec = containerByName(pod, container.name);
  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    recordEvent(context, pod, { type, reason, message, container: spec ?? { name: container.name } });
  let graceMs = (options.graceSeconds ?? podGraceSeconds(pod)) * 1000;
  event("Normal", "Killing", options.message ?? wording.stopping(container.name));
  const preStop = spec?.lifecycle?.preStop;
  if (preStop && graceMs > 0)
    graceMs -= await within(context, graceMs, async (limit) => {
      const failed = await runHook(preStop, {
        cri: context.cri,
        clock: context.clock,
        pod,
        container: spec,
        containerId: container.id,
        podIP,
        signal: AbortSignal.any([limit, signal]),
      });
      if (failed !== undefined) event("Warning", "FailedPreStopHook", failed);
    });
  if (options.turn && graceMs > 0) graceMs -= await within(context, graceMs, () => options.turn);
  const timeout = Math.max(graceSecondsMin, Math.round(graceMs / 1000));
  await context.cri.runtime.stopContainer(
    { containerId: container.id, timeout },
    { timeoutMs: timeout * 1000 + stopAnswerMs, signal },
  );
}

/** Seconds that this pod's containers get. */
export const podGraceSeconds = (pod: PodView): number =>
  pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? graceSecondsDefault;

/** Runs `work` for at most `limitMs`; answers how long it took. */
async function within(
  { clock }: PodContext,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<void> | undefined,
): Promise<number> {
  const started = clock.now();
  const stop = new AbortController();
  let cancel = (): void => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(limitMs, () => {
      stop.abort();
      resolve();
    });
  });
  await Promise.race([work(stop.signal), late]).finally(() => cancel());
  return clock.now() - started;
}

/**
 * Stops all containers, then the sandboxes. Sidecars hear of it when the containers they serve are gone, the last declared first.
 * Rejects when something could not be stopped.
 */
export async function stopPod(
  context: PodContext,
  pod: PodView,
  options: { runtime: PodRuntime; podIP: string; signal: AbortSignal; graceSeconds?: number },
): Promise<void> {
  const { runtime, podIP, signal, graceSeconds } = options;
  const alive = runtime.containers.filter(({ state }) => state === "running" || state === "unknown");
  const stops = new Map<string, Promise<void>>();
  const stop = (container: RuntimeContainer, turn?: Promise<void>) => {
    const stopping = stopContainer(context, pod, {
      container,
      podIP,
      signal,
      graceSeconds,
      ...(turn ? { turn } : {}),
    }).catch(ignoreGone);
    stops.set(container.id, stopping);
    return stopping;
  };
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar);
  const isSidecarName = (name: string) => sidecars.some((sidecar) => sidecar.name === name);
  const served: Promise<unknown>[] = alive
    .filter(({ name }) => !isSidecarName(name))
    .map((container) => stop(container));
  for (const sidecar of [...sidecars].reverse() as ContainerSpec[]) {
    const container = newestContainer({ ...runtime, containers: alive }, sidecar.name);
    if (!container) continue;
    const before = Promise.allSettled([...served]).then(() => undefined);
    served.push(stop(container, before));
  }
  await Promise.all(stops.values());
  await Promise.all(
    runtime.sandboxes.map(({ id }) =>
      context.cri.runtime.stopPodSandbox({ podSandboxId: id }, { signal }).catch(ignoreGone),
    ),
  );
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof CriError && error.code === "NOT_FOUND")) throw error;
}
