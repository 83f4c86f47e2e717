/**
 * Is the container runtime well? One answer that fails says little; half a minute without one makes the node not ready, and so do three minutes
 * in which nobody could list what runs. Texts and times are upstream's (there the lists are those of the PLEG).
 */
import { type Clock, type Logger, printDuration } from "#base";
import type { NodeRuntime } from "../runtime-setup.ts";
import type { RuntimeObserver } from "./observe.ts";

export interface RuntimeHealth {
  /** What is wrong, and the images that are there. A private runtime that died or hangs is started again. */
  look(): Promise<{ problems: string[]; images: { names: string[]; sizeBytes: number }[] }>;
}

const answerMsMax = 10_000;
const downMs = 30_000;
const listMsMax = 180_000;

export function createRuntimeHealth(
  runtime: NodeRuntime,
  { clock, log, observer }: { clock: Clock; log: Logger; observer: Pick<RuntimeObserver, "seenAt"> },
): RuntimeHealth {
  let answeredAt: number | undefined;
  let images: { names: string[]; sizeBytes: number }[] = [];

  async function ask(): Promise<string[]> {
    const options = { timeoutMs: answerMsMax };
    const [answer, list] = await Promise.all([
      runtime.cri.runtime.status({}, options),
      runtime.cri.image.listImages({}, options),
    ]);
    answeredAt = clock.now();
    runtime.seen(answer);
    images = list.images.map(({ repoTags, repoDigests, size }) => ({
      names: [...repoDigests, ...repoTags],
      sizeBytes: size,
    }));
    return (
      (answer.status?.conditions ?? [])
        // A runtime tells of other things too (features that will go), which keep no pod from running.
        .filter(({ type, status }) => !status && (type === "RuntimeReady" || type === "NetworkReady"))
        .map(({ type, reason, message }) => {
          const what = type === "NetworkReady" ? "container runtime network not ready" : "container runtime not ready";
          return `${what}: ${type}=false reason:${reason} message:${message}`;
        })
    );
  }

  return {
    async look() {
      const problems: string[] = await ask().catch(async (error: unknown) => {
        log.warn("the container runtime doesn't answer", { error });
        await runtime
          .keep()
          .catch((failed: unknown) => log.warn("the container runtime could not be started again", { error: failed }));
        return [];
      });
      const now = clock.now();
      if (answeredAt === undefined) problems.unshift("container runtime status check may not have completed yet");
      else if (now - answeredAt >= downMs) problems.unshift("container runtime is down");
      const unseenMs = now - observer.seenAt();
      if (unseenMs > listMsMax)
        problems.push(
          `PLEG is not healthy: pleg was last seen active ${printDuration(unseenMs)} ago; threshold is ${printDuration(listMsMax)}`,
        );
      return { problems, images };
    },
  };
}
