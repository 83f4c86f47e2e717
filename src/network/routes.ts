/** The way to other nodes' pods. */
import type { Clock, Logger } from "#base";
import type { Client, InformerSet } from "#client";
import type { NodeNetwork } from "./node-network.ts";

export interface RoutesOptions {
  readonly informers: InformerSet;
  readonly client: Client;
  readonly nodeName: string;
  readonly network: NodeNetwork;
  readonly clusterCidrs: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Routes {
  /** Resolves when the signal aborted. Routes stay: pods go on without this process. */
  run(signal: AbortSignal): Promise<void>;
}

export function createRoutes(_options: RoutesOptions): Routes {
  return { run: (signal) => new Promise((done) => signal.addEventListener("abort", () => done(), { once: true })) };
}
