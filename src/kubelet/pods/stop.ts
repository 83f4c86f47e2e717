/** Stopping containers and pods: preStop hooks, grace periods, sidecars last, then the sandbox. */
import { delay } from "#client";
import { goQuote } from "#machinery";
import {
  newestContainer,
  containerByName,
  isSidecar,
  type PodRuntime,
  type PodView,
  type RuntimeContainer,
} from "../core/types.ts";
import { wording } from "../core/wording.ts";
import { CriError } from "../cri/client.ts";
import { printRuntimeError } from "../images/image-manager.ts";
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
  let grace = options.graceSeconds ?? podGraceSeconds(pod);
  event("Normal", "Killing", options.message ?? wording.stopping(container.name));
  const preStop = spec?.lifecycle?.preStop;
  // A hook that is late goes on beside the polite signal, as long as the container does.
  const stopped = new AbortController();
  if (preStop && grace > 0) {
    const hook = runHook(preStop, {
      cri: context.cri,
      clock: context.clock,
      pod,
      container: spec,
      containerId: container.id,
      podIP,
      signal: AbortSignal.any([stopped.signal, signal]),
      event,
    })
      .catch((error: unknown) => String(error))
      .then((failed) => {
        if (failed !== undefined && !stopped.signal.aborted && !signal.aborted)
          event("Warning", "FailedPreStopHook", wording.preStopFailed());
      });
    grace -= await within(context, grace, hook);
    signal.throwIfAborted();
  }
  if (options.turn && grace > 0) grace -= await within(context, grace, options.turn);
  const timeout = Math.max(graceSecondsMin, grace);
  try {
    await context.cri.runtime.stopContainer(
      { containerId: container.id, timeout },
      { timeoutMs: timeout * 1000 + stopAnswerMs, signal },
    );
  } finally {
    stopped.abort();
  }
}

/** Seconds that this pod's containers get. */
export const podGraceSeconds = (pod: PodView): number =>
  pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? graceSecondsDefault;

/** Seconds for a pod that ends: somebody may ask for less than it wants, but a moment is always left. */
export const endGraceSeconds = (pod: PodView, asked?: number): number =>
  Math.max(
    1,
    Math.min(
      asked ?? Number.POSITIVE_INFINITY,
      pod.metadata.deletionGracePeriodSeconds ?? asked ?? podGraceSeconds(pod),
    ),
  );

/** Waits for `work` for at most that long; answers how many whole seconds it took. */
async function within({ clock }: PodContext, limitSeconds: number, work: Promise<void>): Promise<number> {
  const started = clock.now();
  const late = new AbortController();
  await Promise.race([work, delay(clock, limitSeconds * 1000, late.signal)]).finally(() => late.abort());
  // A clock that jumps neither takes time away nor gives more.
  return Math.min(limitSeconds, Math.max(0, Math.floor((clock.now() - started) / 1000)));
}

/**
 * Stops all containers, then the sandboxes. Sidecars hear of it when the containers they serve are gone, the last declared first.
 * Rejects with upstream's text when something could not be stopped.
 */
export async function stopPod(
  context: PodContext,
  pod: PodView,
  options: { runtime: PodRuntime; podIP: string; signal: AbortSignal; graceSeconds?: number },
): Promise<void> {
  const { runtime, podIP, signal, graceSeconds } = options;
  const alive = runtime.containers.filter(({ state }) => state === "running" || state === "unknown");
  const failures: string[] = [];
  const failed = (what: string, name: string) => (error: unknown) => {
    if (error instanceof CriError && error.code === "NOT_FOUND") return;
    signal.throwIfAborted();
    failures.push(
      `failed to "Kill${what}" for ${goQuote(name)} with Kill${what}Error: ${goQuote(printRuntimeError(error))}`,
    );
  };
  const stop = (container: RuntimeContainer, turn?: Promise<void>) =>
    stopContainer(context, pod, { container, podIP, signal, graceSeconds, ...(turn ? { turn } : {}) }).catch(
      failed("Container", container.name),
    );
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar);
  const isMain = (name: string) => pod.spec?.containers.some((main) => main.name === name) ?? false;
  const isOther = (name: string) => !isMain(name) && !sidecars.some((sidecar) => sidecar.name === name);
  const served = alive.filter(({ name }) => isMain(name)).map((container) => stop(container));
  const others = alive.filter(({ name }) => isOther(name)).map((container) => stop(container));
  for (const { name } of [...sidecars].reverse()) {
    const container = newestContainer({ ...runtime, containers: alive }, name);
    if (!container) continue;
    const before = Promise.allSettled([...served]).then(() => undefined);
    served.push(stop(container, before));
  }
  await Promise.all([...served, ...others]);
  await Promise.all(
    runtime.sandboxes.map(({ id }) =>
      context.cri.runtime
        .stopPodSandbox({ podSandboxId: id }, { signal })
        .catch(failed("PodSandbox", pod.metadata.uid ?? "")),
    ),
  );
  if (failures.length > 0) throw new Error(failures.length > 1 ? `[${failures.join(", ")}]` : failures[0]);
}
