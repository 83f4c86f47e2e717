/**
 * Looks at a pod until the runtime agrees with its own events: containerd tells that a task ended a moment before its CRI shows the
 * container as ended.
 */
import { delay } from "#client";
import type { PodRuntime } from "../core/types.ts";
import type { PodContext } from "./context.ts";

const delaysMs = [5, 10, 20, 40, 80, 160, 320];

/** Takes from `endedContainers` what the runtime shows as ended, too; what is left has to be looked at again. */
export async function observeSettled(
  { observer, clock }: Pick<PodContext, "observer" | "clock">,
  { runtime, endedContainers }: { runtime: PodRuntime; endedContainers: Set<string> },
): Promise<PodRuntime> {
  for (let tries = 0; ; tries++) {
    const seen = await observer.pod(runtime.uid, runtime);
    const alive = new Set([
      ...seen.containers.filter(({ state }) => state === "running").map(({ id }) => id),
      ...seen.sandboxes.filter(({ ready }) => ready).map(({ id }) => id),
    ]);
    for (const id of endedContainers) if (!alive.has(id)) endedContainers.delete(id);
    const waitMs = delaysMs[tries];
    if (endedContainers.size === 0 || waitMs === undefined) return seen;
    await delay(clock, waitMs);
  }
}
