/** How many pulls run at a time, and how many may begin in a second. */
import type { Clock } from "#base";

export interface PullQueueOptions {
  readonly serializeImagePulls: boolean;
  /** Undefined: no limit. */
  readonly maxParallelImagePulls: number | undefined;
  /** 0: no limit. */
  readonly registryPullQPS: number;
  readonly registryBurst: number;
}

/** Runs the work when its turn comes; one that comes too early after others rejects, as upstream's. */
export type PullQueue = <T>(work: () => Promise<T>) => Promise<T>;

export function createPullQueue(options: PullQueueOptions, clock: Clock): PullQueue {
  const { serializeImagePulls, maxParallelImagePulls, registryPullQPS: perSecond, registryBurst } = options;
  const pullsMax = serializeImagePulls ? 1 : maxParallelImagePulls || Number.POSITIVE_INFINITY;
  const waiting: (() => void)[] = [];
  let running = 0;
  let tokens = registryBurst;
  let filledAt = clock.now();

  function takeToken(): void {
    if (perSecond <= 0) return;
    const now = clock.now();
    tokens = Math.min(registryBurst, tokens + ((now - filledAt) / 1000) * perSecond);
    filledAt = now;
    if (tokens < 1) throw new Error("pull QPS exceeded");
    tokens--;
  }

  return async (work) => {
    if (running >= pullsMax) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      takeToken();
      return await work();
    } finally {
      // The next one has this one's place.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
