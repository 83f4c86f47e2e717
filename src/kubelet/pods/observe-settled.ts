/**
 * Looks at a pod until the runtime agrees with its own events: containerd tells that a task ended a moment before its CRI shows the
 * container as ended.
 */
import { delay } from "#client";
import type { PodRuntime } from "../core/types.ts";
import type { PodContext } from "./context.ts";

const delaysMs = [5, 10, 20, 40, 80, 160, 320];

/** Empties `endedContainers`. */
export async function observeSettled(
  { observer, clock }: Pick<PodContext, "observer" | "clock">,
  { runtime, endedContainers }: { runtime: PodRuntime; endedContainers: Set<string> },
): Promise<PodRuntime> {
  for (let tries = 0; ; tries++) {
    const seen = await observer.pod(runtime.uid, runtime);
    const early = seen.containers.some(({ id, state }) => state === "running" && endedContainers.has(id));
    const sandboxEarly = seen.sandboxes.some(({ id, ready }) => ready && endedContainers.has(id));
    const waitMs = delaysMs[tries];
    if ((!early && !sandboxEarly) || waitMs === undefined) {
      endedContainers.clear();
      return seen;
    }
    await delay(clock, waitMs);
  }
}
