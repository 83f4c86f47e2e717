/** Stale UDP flows of services that changed, away from the path of transactions: one round at a time, for all that came meanwhile. */
import type { Logger } from "#base";
import type { ServicePort } from "../core/service-port.ts";
import type { ProxyObserver } from "../observer.ts";
import { families } from "./committer.ts";
import { forgetStaleFlows, udpFrontends } from "./conntrack.ts";

export interface FlowCleaner {
  /** These are in force now. */
  update(ports: ReadonlyMap<string, readonly ServicePort[]>): void;
  settled(): Promise<void>;
}

export function createFlowCleaner(log: Logger, observer?: Pick<ProxyObserver, "forgotten">): FlowCleaner {
  /** What was in force, of services with UDP ports. */
  const known = new Map<string, string>();
  const waiting = new Map<string, readonly ServicePort[]>();
  let cleaning: Promise<void> | undefined;
  let withoutConntrack = false;

  async function clean(): Promise<void> {
    while (waiting.size > 0 && !withoutConntrack) {
      const ports = [...waiting.values()].flat();
      waiting.clear();
      for (const family of families) {
        try {
          const begunMs = performance.now();
          const flows = await forgetStaleFlows(udpFrontends(ports.filter((port) => port.family === family)), family);
          observer?.forgotten?.(family, flows, performance.now() - begunMs);
        } catch (error) {
          withoutConntrack = (error as NodeJS.ErrnoException).code === "ENOENT"; // spawn rejects with errno errors
          log.warn(
            withoutConntrack
              ? "proxy: no conntrack program: UDP clients of a removed endpoint go on sending to it until they pause (apt-get install conntrack)"
              : "proxy: stale UDP flows not removed",
            { error },
          );
        }
      }
    }
    cleaning = undefined;
  }

  return {
    update(ports) {
      for (const [key, all] of ports) {
        const udp = all.filter(({ protocol }) => protocol === "udp");
        const before = known.get(key);
        if (udp.length === 0) {
          if (before !== undefined) known.delete(key);
          continue;
        }
        const now = JSON.stringify([...udpFrontends(udp)].map(([at, serving]) => [at, ...serving]));
        if (now === before) continue;
        known.set(key, now);
        waiting.set(key, udp);
      }
      if (waiting.size > 0 && !withoutConntrack) cleaning ??= clean();
    },
    settled: async () => cleaning,
  };
}
