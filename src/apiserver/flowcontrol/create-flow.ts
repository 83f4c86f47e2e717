/** Puts the doorkeeper together: priority and fairness, or fixed limits, and what they tell. */
import type { Clock, Logger, MetricRegistry } from "#base";
import { createLocalTransport } from "../local-transport.ts";
import type { PathHandler } from "../paths.ts";
import type { Pipeline } from "../pipeline.ts";
import type { Storage } from "../registry/storage.ts";
import type { ResourceTarget } from "../request-target.ts";
import type { ResourceTable } from "../resource.ts";
import { dumpHandler } from "./dumps.ts";
import { FlowControl } from "./flow-control.ts";
import { FlowKeeper } from "./keeper.ts";
import { MaxInFlight } from "./max-in-flight.ts";
import { inFlightGauges } from "./request-kinds.ts";
import { createTurnGate } from "./turn-gate.ts";
import type { Doorkeeper } from "./visit.ts";
import type { WatchCounts } from "./watch-counts.ts";

/** Upstream's flags. */
export interface FlowOptions {
  /** Default: true. */
  readonly enabled: boolean;
  readonly maxRequestsInFlight: number;
  readonly maxMutatingRequestsInFlight: number;
}

export const flowDefaults: FlowOptions = {
  enabled: true,
  maxRequestsInFlight: 400,
  maxMutatingRequestsInFlight: 200,
};

export interface FlowParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly table: ResourceTable;
  readonly storage: Storage;
}

export interface Flow {
  readonly doorkeeper: Doorkeeper | undefined;
  readonly watches: WatchCounts | undefined;
  /** Below /debug/api_priority_and_fairness/. */
  readonly dumps: PathHandler | undefined;
  /** Resolves when the objects are there and in use. */
  start(pipeline: Pipeline): Promise<void>;
  close(): void;
}

export function createFlow(options: FlowOptions = flowDefaults, parts: FlowParts): Flow {
  const { enabled, maxRequestsInFlight: reading, maxMutatingRequestsInFlight: changing } = options;
  if (!enabled) return fixedFlow({ reading, changing }, parts);
  const { clock, log, metrics, table, storage } = parts;
  const control = new FlowControl({
    seats: reading + changing,
    clock,
    gate: createTurnGate(),
    metrics,
    stock: ({ group, version, resource }: ResourceTarget) => {
      const kind = table.find(group, version, resource)?.stored;
      const cache = kind && storage.caches.peek(kind);
      return cache && { objects: cache.size, bytes: cache.bytes };
    },
  });
  let keeper: FlowKeeper | undefined;
  return {
    doorkeeper: control,
    watches: control.watches,
    dumps: dumpHandler(control),
    async start(pipeline) {
      const user = { name: "system:apiserver", uid: "", groups: ["system:masters"], extra: {} };
      const transport = createLocalTransport({ pipeline, clock, user, userAgent: "kube-apiserver" });
      keeper = new FlowKeeper({ control, storage, table, transport, clock, log });
      await keeper.start();
    },
    close() {
      keeper?.close();
      control.close();
    },
  };
}

function fixedFlow(limits: { reading: number; changing: number }, { clock, metrics }: FlowParts): Flow {
  const doorkeeper = new MaxInFlight(limits, clock);
  inFlightGauges(metrics, {
    executing: (kind) => doorkeeper.inFlight(kind),
    waiting: () => 0,
  });
  const unlimited = limits.reading === 0 && limits.changing === 0;
  return {
    doorkeeper: unlimited ? undefined : doorkeeper,
    watches: undefined,
    dumps: undefined,
    start: async () => undefined,
    close: () => undefined,
  };
}
