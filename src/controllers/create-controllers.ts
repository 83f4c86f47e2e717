/** All controllers of a process: each with a client of its own identity, all on the same informers. */
import { type Clock, type Logger, type MetricRegistry, realClock, silentLogger } from "#base";
import { type Client, createEventRecorder, type EventRecorder, type InformerSet } from "#client";
import type { Controller, ControllerOptions } from "./lib/controller.ts";
import { runLoop } from "./lib/run-loop.ts";
import { controllers as allControllers } from "./registry.ts";

export interface ControllersOptions {
  /** Run by the caller. Needs to list and watch everything the controllers watch. */
  readonly informers: InformerSet;
  /** A client that acts as `system:serviceaccount:kube-system:<account>`, or as the manager itself; or one client for all. */
  clientFor(account: string | undefined): Client;
  /** Where events go; by default each controller records its own as its own account. */
  recorderFor?(component: string, client: Client): EventRecorder & { close?(): Promise<void> };
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Where their queues count; absent: nowhere. */
  readonly metrics?: MetricRegistry | undefined;
  readonly options?: ControllerOptions;
  /** Which ones; by default all. */
  readonly controllers?: readonly Controller[];
}

export interface Controllers {
  /** Controls until the signal aborts; resolves when everything under way has ended. */
  run(signal: AbortSignal): Promise<void>;
}

export function createControllers(setup: ControllersOptions): Controllers {
  const { informers, clientFor, clock = realClock, log = silentLogger, options = {} } = setup;
  const recorderFor =
    setup.recorderFor ??
    ((component: string, client: Client) => createEventRecorder({ client, component, clock, log }));
  const created = (setup.controllers ?? allControllers).map((controller) => {
    const client = clientFor(controller.account);
    const events: ReturnType<NonNullable<typeof setup.recorderFor>> = recorderFor(controller.component, client);
    const ownLog = log.with({ controller: controller.name });
    const loops = controller.create({
      client,
      informers,
      events,
      clock,
      log: ownLog,
      options,
      metrics: setup.metrics,
    });
    return { controller, loops, events, log: ownLog };
  });
  return {
    async run(signal) {
      await Promise.all(
        created.flatMap(({ controller, loops, log: ownLog }) =>
          loops.map((loop, at) => {
            const name = at === 0 ? controller.name : `${controller.name}-${at + 1}`;
            const workers = (at === 0 && options.workers?.get(controller.name)) || loop.workers;
            return runLoop(loop, { name, workers, clock, log: ownLog, metrics: setup.metrics }, signal);
          }),
        ),
      );
      await Promise.all(created.map(({ events }) => events.close?.()));
    },
  };
}
